"""Where libmemcached puts keys: the judge of the Rust client's ketama and modula placement.

One question a line: distribution (ketama, or the number of libmemcached's hash for modula), servers as
host,port,weight separated by ';', and keys in hex separated by ','. One answer a line: the positions of the servers.
"""
import ctypes
import sys

BEHAVIOR_HASH, BEHAVIOR_KETAMA_WEIGHTED = 2, 16

lib = ctypes.CDLL("libmemcached.so.11")
lib.memcached_create.restype = ctypes.c_void_p
lib.memcached_create.argtypes = [ctypes.c_void_p]
lib.memcached_free.argtypes = [ctypes.c_void_p]
lib.memcached_behavior_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint64]
lib.memcached_server_add_with_weight.argtypes = [
    ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint16, ctypes.c_uint32]
lib.memcached_generate_hash.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
lib.memcached_generate_hash.restype = ctypes.c_uint32


def places(distribution, servers, keys):
    client = lib.memcached_create(None)
    if distribution == "ketama":
        failed = lib.memcached_behavior_set(client, BEHAVIOR_KETAMA_WEIGHTED, 1)
    else:
        failed = lib.memcached_behavior_set(client, BEHAVIOR_HASH, int(distribution))
    assert failed == 0, failed
    for server in servers.split(";"):
        host, port, weight = server.split(",")
        failed = lib.memcached_server_add_with_weight(client, host.encode(), int(port), int(weight))
        assert failed == 0, failed
    for key in map(bytes.fromhex, keys.split(",")):
        yield lib.memcached_generate_hash(client, key, len(key))
    lib.memcached_free(client)


for line in sys.stdin:
    print(*places(*line.split()))
