"""python-binary-memcached: the binary protocol. The word `sasl` gives a name and a password."""
from importlib.metadata import version

import bmemcached

from checks import HOST, LARGE, PHASE, PORT, UNICODE, WORDS, check, eventually, finish, raises

SERVERS = (f"{HOST}:{PORT}",)
SASL = "sasl" in WORDS
client = bmemcached.Client(SERVERS, "ann", "one") if SASL else bmemcached.Client(SERVERS)
TYPES = {"i": 7, "s": UNICODE, "l": [1, {"a": None}], "b": b"\0\r\n\xff", "t": True}


def before():
    check("set", client.set("k", "one"), True)
    check("get", client.get("k"), "one")
    check("get of nothing", client.get("nothing"), None)
    check("add to something", client.add("k", "two"), False)
    check("add", client.add("added", "two"), True)
    check("replace of nothing", client.replace("nothing", "x"), False)
    check("replace", client.replace("added", "three"), True)
    value, cas = client.gets("k")
    check("gets", value, "one")
    check("cas", client.cas("k", "1", cas), True)
    check("cas too late", client.cas("k", "2", cas), False)
    check("delete", (client.delete("k"), client.get("k")), (True, None))
    check("incr begins", client.incr("n", 1, default=41), 41)
    check("incr", client.incr("n", 1), 42)
    check("decr below 0", client.decr("n", 50), 0)
    many = {f"m{i}": str(i) for i in range(100)}
    check("set_multi", client.set_multi(many), [])
    check("get_multi", client.get_multi([*many, "nothing"]), many)
    check("delete_multi", (client.delete_multi(["m0", "m1"]), client.get_multi(["m0", "m1", "m2"])), (True, {"m2": "2"}))
    check("a large value", (client.set("large", LARGE, compress_level=0), client.get("large")), (True, LARGE))
    check("compressed", (client.set("packed", "x" * 500000), client.get("packed")), (True, "x" * 500000))
    check("expiry, present", client.set("short", "v", time=1), True)
    eventually("expiry, gone", lambda: client.get("short"), None)
    for name, value in TYPES.items():
        check(f"type {name}", (client.set(name, value), client.get(name)), (True, value))
    check("stats", client.stats()[SERVERS[0]]["version"], b"1.6.45")
    check("flush_all", (client.flush_all(), client.get("m2")), (True, None))
    if SASL:
        stranger = bmemcached.Client(SERVERS, "ann", "two")
        raises("a wrong password", bmemcached.exceptions.MemcachedException, lambda: stranger.get("k"))
    check("to be kept", client.set("kept", "v", time=3600), True)
    check("to be counted", client.incr("count", 1, default=41), 41)
    check("to be typed", client.set_multi(TYPES), [])
    check("to be large", client.set("large", LARGE), True)


def after():
    check("kept", client.get("kept"), "v")
    check("counted", client.incr("count", 1), 42)
    check("typed", client.get_multi(TYPES), TYPES)
    check("large", client.get("large"), LARGE)
    check("flushed", client.get("m2"), None)
    value, cas = client.gets("kept")
    check("cas", client.cas("kept", "w", cas), True)


{"before": before, "after": after}[PHASE]()
client.disconnect_all()
finish(version("python-binary-memcached"))
