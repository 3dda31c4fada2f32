"""python-memcached: the text protocol, values typed by flags, compression."""
from importlib.metadata import version

import memcache

from checks import HOST, LARGE, PHASE, PORT, UNICODE, check, eventually, finish

client = memcache.Client([f"{HOST}:{PORT}"], cache_cas=True, socket_timeout=60)
TYPES = {"i": 7, "s": UNICODE, "l": [1, {"a": None}], "b": b"\0\r\n\xff", "t": True, "n": 1 << 70}


def before():
    check("set", client.set("k", "one"), True)
    check("get", client.get("k"), "one")
    check("get of nothing", client.get("nothing"), None)
    check("add to something", client.add("k", "two"), False)
    check("add", client.add("added", "two"), True)
    check("replace of nothing", client.replace("nothing", "x"), False)
    check("replace", client.replace("added", "three"), True)
    check("append", client.append("added", "+"), True)
    check("prepend", client.prepend("added", "-"), True)
    check("what they made", client.get("added"), "-three+")
    check("gets", client.gets("k"), "one")
    check("another's change", memcache.Client([f"{HOST}:{PORT}"]).set("k", "1"), True)
    check("cas too late", client.cas("k", "2"), False)
    check("gets again", client.gets("k"), "1")
    check("cas", client.cas("k", "1"), True)
    check("incr", client.incr("k", 41), 42)
    check("decr", client.decr("k", 2), 40)
    check("decr below 0", client.decr("k", 50), 0)
    check("incr of nothing", client.incr("nothing"), None)
    check("delete", (client.delete("k"), client.get("k")), (1, None))
    many = {f"m{i}": i for i in range(100)}
    check("set_multi", client.set_multi(many), [])
    check("get_multi", client.get_multi([*many, "nothing"]), many)
    check("get_multi with a prefix", client.get_multi(["1", "2"], key_prefix="m"), {"1": 1, "2": 2})
    check("delete_multi", (client.delete_multi(["m0", "m1"]), client.get_multi(["m0", "m1", "m2"])), (1, {"m2": 2}))
    check("a large value", (client.set("large", LARGE), client.get("large")), (True, LARGE))
    check("compressed", (client.set("packed", "x" * 500000, min_compress_len=100), client.get("packed")),
          (True, "x" * 500000))
    check("too large", (not client.set("huge", bytes(2 << 20)), client.get("m2")), (True, 2))
    check("without a reply", (client.set("quiet", "v", noreply=True), client.get("quiet")), (True, "v"))
    check("expiry, present", client.set("short", "v", time=1), True)
    eventually("expiry, gone", lambda: client.get("short"), None)
    client.set("touched", "v")
    check("touch", client.touch("touched", 1), 1)
    eventually("touched, gone", lambda: client.get("touched"), None)
    for name, value in TYPES.items():
        check(f"type {name}", (client.set(name, value), client.get(name)), (True, value))
    check("stats", client.get_stats()[0][1]["version"], "1.6.45")
    check("settings", client.get_stats("settings")[0][1]["evictions"], "on")
    client.flush_all()
    check("flush_all", client.get("m2"), None)
    check("to be kept", client.set("kept", "v", time=3600), True)
    check("to be counted", client.set("count", 41), True)
    check("to be typed", client.set_multi(TYPES), [])
    check("to be large", client.set("large", LARGE), True)


def after():
    check("kept", client.get("kept"), "v")
    check("counted", client.incr("count"), 42)
    check("typed", client.get_multi(TYPES), TYPES)
    check("large", client.get("large"), LARGE)
    check("flushed", client.get("m2"), None)
    check("gets and cas", (client.gets("kept"), client.cas("kept", "w"), client.get("kept")), ("v", True, "w"))


{"before": before, "after": after}[PHASE]()
finish(version("python-memcached"))
