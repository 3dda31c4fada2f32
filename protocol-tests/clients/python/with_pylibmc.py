"""pylibmc: libmemcached from Python. The word `binary` takes the binary protocol."""
import pylibmc

from checks import HOST, LARGE, PHASE, PORT, UNICODE, WORDS, check, eventually, finish, raises

BINARY = "binary" in WORDS
client = pylibmc.Client([f"{HOST}:{PORT}"], binary=BINARY, behaviors={"cas": True, "tcp_nodelay": True})
TYPES = {"i": 7, "s": UNICODE, "l": [1, {"a": None}], "b": b"\0\r\n\xff", "t": True}


def before():
    check("set", client.set("k", "one"), True)
    check("get", client.get("k"), "one")
    check("get of nothing", client.get("nothing"), None)
    check("add to something", client.add("k", "two"), False)
    check("add", client.add("added", b"two"), True)
    if BINARY:
        raises("replace of nothing", pylibmc.NotFound, lambda: client.replace("nothing", "x"))
    else:
        check("replace of nothing", client.replace("nothing", "x"), False)
    check("replace", client.replace("added", b"three"), True)
    check("append", client.append("added", b"+"), True)
    check("prepend", client.prepend("added", b"-"), True)
    check("what they made", client.get("added"), b"-three+")
    value, cas = client.gets("k")
    check("gets", value, "one")
    check("cas", client.cas("k", 1, cas), True)
    check("cas too late", client.cas("k", 2, cas), False)
    check("incr", client.incr("k", 41), 42)
    check("decr below 0", (client.decr("k", 2), client.decr("k", 50)), (40, 0))
    raises("incr of nothing", pylibmc.NotFound, lambda: client.incr("nothing"))
    check("delete", (client.delete("k"), client.delete("k")), (True, False))
    many = {f"m{i}": i for i in range(100)}
    check("set_multi", client.set_multi(many), [])
    check("get_multi", client.get_multi([*many, "nothing"]), many)
    check("get_multi with a prefix", client.get_multi(["1", "2"], key_prefix="m"), {"1": 1, "2": 2})
    check("add_multi", client.add_multi({"m1": 0, "n1": 1}) != [] and client.get("n1"), 1)
    check("incr_multi", (client.incr_multi(["m3", "m4"], delta=10), client.get("m3"), client.get("m4")), (None, 13, 14))
    check("delete_multi", (client.delete_multi(["m0", "m1"]), client.get_multi(["m0", "m1", "m2"])), (True, {"m2": 2}))
    check("a large value", (client.set("large", LARGE), client.get("large")), (True, LARGE))
    check("compressed", (client.set("packed", b"x" * 500000, min_compress_len=100), client.get("packed")),
          (True, b"x" * 500000))
    raises("too large", pylibmc.TooBig if BINARY else pylibmc.Error, lambda: client.set("huge", bytes(2 << 20)))
    check("after a refusal", client.get("m2"), 2)
    check("expiry, present", client.set("short", "v", time=1), True)
    eventually("expiry, gone", lambda: client.get("short"), None)
    client.set("touched", "v")
    check("touch", client.touch("touched", 1), True)
    eventually("touched, gone", lambda: client.get("touched"), None)
    for name, value in TYPES.items():
        check(f"type {name}", (client.set(name, value), client.get(name)), (True, value))
    check("no value", (client.set("empty", b""), client.get("empty")), (True, b""))
    quiet = pylibmc.Client([f"{HOST}:{PORT}"], binary=BINARY, behaviors={"no_block": True, "buffer_requests": False})
    check("without waiting", ([quiet.set(f"q{i}", i) for i in range(50)], quiet.get("q49")), ([True] * 50, 49))
    if not BINARY:
        silent = pylibmc.Client([f"{HOST}:{PORT}"], behaviors={"_noreply": True})
        silent.set("silent", "v")
        eventually("without a reply", lambda: client.get("silent"), "v")
    hashed = pylibmc.Client([f"{HOST}:{PORT}"], binary=BINARY, behaviors={"ketama": True})
    check("ketama", (hashed.set("ketama", 1), hashed.get("ketama")), (True, 1))
    check("stats", client.get_stats()[0][1]["version"], b"1.6.45")
    check("flush_all", (client.flush_all(), client.get("m2")), (True, None))
    check("to be kept", client.set("kept", "v", time=3600), True)
    check("to be counted", client.set("count", 41), True)
    check("to be typed", client.set_multi(TYPES), [])
    check("to be large", client.set("large", LARGE), True)


def after():
    check("kept", client.get("kept"), "v")
    check("touch", client.touch("kept", 7200), True)
    check("counted", client.incr("count"), 42)
    check("typed", client.get_multi(list(TYPES)), TYPES)
    check("large", client.get("large"), LARGE)
    check("flushed", client.get("m2"), None)
    check("cas", client.cas("kept", "w", client.gets("kept")[1]), True)


{"before": before, "after": after}[PHASE]()
finish(f"{pylibmc.__version__} (libmemcached {pylibmc.libmemcached_version})")
