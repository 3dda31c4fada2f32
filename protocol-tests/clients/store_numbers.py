"""Stores numbered keys with pymemcache, as a program does that knows one server only: key0, key1 ..., each with its
number as its value.

usage: store_numbers.py HOST PORT COUNT
"""
import sys

from pymemcache.client.base import Client

CHUNK = 500

host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
client = Client((host, port), default_noreply=False)
for begin in range(0, count, CHUNK):
    numbers = range(begin, min(begin + CHUNK, count))
    failed = client.set_many({f"key{number}": b"%d" % number for number in numbers})
    if failed:
        sys.exit(f"not stored: {failed[:3]}")
client.close()
