"""Stores package descriptions with pymemcache, as any program would, and reads them back.

    real_input.py store HOST:PORT [LIMIT] < descriptions   writes the number of each stored package as it is acknowledged
    real_input.py check HOST:PORT COUNT < descriptions     compares the first COUNT with what the server has

Descriptions are what `apt-cache dumpavail` prints: stanzas with an empty line behind each. The key is the name of the
package; where a name comes twice, the first counts. `store` ends with 0 when all is stored or the server has gone away.
"""

import sys

from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheError


def descriptions():
    seen = set()
    for stanza in sys.stdin.buffer.read().split(b"\n\n"):
        if not stanza.strip():
            continue
        first = stanza.split(b"\n", 1)[0]
        name = first.removeprefix(b"Package: ")
        if name not in seen:
            seen.add(name)
            yield name, stanza


def store(client, limit):
    for number, (name, stanza) in zip(range(limit), descriptions()):
        try:
            stored = client.set(name, stanza, noreply=False)
        except (OSError, MemcacheError):
            return
        if not stored:
            sys.exit(f"{name!r} was not stored")
        print(number + 1, flush=True)


def check(client, count):
    checked = size = 0
    for _, (name, stanza) in zip(range(count), descriptions()):
        if client.get(name) != stanza:
            sys.exit(f"{name!r} is not what was acknowledged")
        checked += 1
        size += len(stanza)
    print(checked, size)


def main():
    what, address, *rest = sys.argv[1:]
    host, port = address.rsplit(":", 1)
    client = Client((host, int(port)), connect_timeout=60, timeout=60, no_delay=True)
    if what == "store":
        store(client, int(rest[0]) if rest else sys.maxsize)
    else:
        check(client, int(rest[0]))


if __name__ == "__main__":
    main()
