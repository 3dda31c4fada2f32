"""pymemcache: the text protocol, pooled and hashed clients, pickled values."""
import ssl
from importlib.metadata import version

from pymemcache import serde
from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient
from pymemcache.exceptions import MemcacheClientError, MemcacheIllegalInputError

from checks import HOST, LARGE, PHASE, PORT, UNICODE, WORDS, check, eventually, finish, raises

# Behind TLS the CA lies in the working directory.
TLS = {"tls_context": ssl.create_default_context(cafile="ca.pem")} if "tls" in WORDS else {}
client = Client((HOST, PORT), default_noreply=False, timeout=60, **TLS)
objects = Client((HOST, PORT), default_noreply=False, timeout=60, serde=serde.pickle_serde, **TLS)
TYPES = {"i": 7, "f": 1.5, "s": UNICODE, "l": [1, {"a": None}], "b": b"\0\r\n\xff", "t": True}


def before():
    check("version", client.version(), b"1.6.45")
    check("set", client.set("k", b"one", expire=0, flags=5), True)
    check("get", client.get("k"), b"one")
    check("get of nothing", client.get("nothing", default="d"), "d")
    check("add to something", client.add("k", b"two"), False)
    check("add", client.add("added", b"two"), True)
    check("replace of nothing", client.replace("nothing", b"x"), False)
    check("replace", client.replace("added", b"three"), True)
    check("append", client.append("added", b"+"), True)
    check("prepend", client.prepend("added", b"-"), True)
    check("what they made", client.get("added"), b"-three+")
    check("append to nothing", client.append("nothing", b"x"), False)
    value, cas = client.gets("k")
    check("gets", value, b"one")
    check("cas", client.cas("k", b"1", cas), True)
    check("cas of a stranger", client.cas("k", b"2", cas), False)
    check("cas of nothing", client.cas("nothing", b"2", cas), None)
    check("incr", client.incr("k", 41), 42)
    check("decr below 0", client.decr("k", 50), 0)
    check("incr of nothing", client.incr("nothing", 1), None)
    raises("incr of a word", MemcacheClientError, lambda: client.incr("added", 1))
    check("delete", client.delete("k"), True)
    check("delete of nothing", client.delete("k"), False)
    check("set_many", client.set_many({f"m{i}": b"%d" % i for i in range(100)}), [])
    keys = [f"m{i}" for i in range(101)]
    check("get_many", client.get_many(keys), {f"m{i}": b"%d" % i for i in range(100)})
    check("gets_many", {k: v for k, (v, _) in client.gets_many(["m1", "m2"]).items()}, {"m1": b"1", "m2": b"2"})
    check("delete_many", client.delete_many(["m0", "m1"]), True)
    check("what is left", client.get_many(["m0", "m1", "m2"]), {"m2": b"2"})
    check("a large value", (client.set("large", LARGE), client.get("large")), (True, LARGE))
    check("no value", (client.set("empty", b""), client.get("empty")), (True, b""))
    raises("a value above the limit", Exception, lambda: client.set("huge", bytes(2 << 20)))
    check("after a refusal", client.get("m2"), b"2")
    raises("a key with a space", MemcacheIllegalInputError, lambda: client.set("a b", b""))
    check("the longest key", (client.set("k" * 250, b"v"), client.get("k" * 250)), (True, b"v"))
    check("without a reply", (client.set("quiet", b"v", noreply=True), client.get("quiet")), (True, b"v"))
    check("expiry, present", (client.set("short", b"v", expire=1), client.touch("kept", 1)), (True, False))
    eventually("expiry, gone", lambda: client.get("short"), None)
    client.set("touched", b"v", expire=0)
    check("touch", client.touch("touched", 1), True)
    eventually("touched, gone", lambda: client.get("touched"), None)
    for name, value in TYPES.items():
        check(f"type {name}", (objects.set(name, value), objects.get(name)), (True, value))
    unicode = Client((HOST, PORT), allow_unicode_keys=True, default_noreply=False, **TLS)
    check("unicode key", (unicode.set("schlüssel", b"v"), unicode.get("schlüssel")), (True, b"v"))
    pool = PooledClient((HOST, PORT), max_pool_size=4, **TLS)
    check("pooled", (pool.set("pooled", b"v"), pool.get("pooled")), (True, b"v"))
    hashed = HashClient([(HOST, PORT)], use_pooling=True, **TLS)
    check("hashed", (hashed.set_many({"h1": b"1", "h2": b"2"}), hashed.get_many(["h1", "h2"])),
          ([], {"h1": b"1", "h2": b"2"}))
    check("stats", client.stats()[b"version"], b"1.6.45")
    check("flush_all", (client.flush_all(), client.get("m2")), (True, None))
    check("to be kept", client.set("kept", b"v", expire=3600), True)
    check("to be counted", client.set("count", b"41"), True)
    check("to be large", client.set("large", LARGE), True)
    check("to be typed", objects.set_many(TYPES), [])


def after():
    check("kept", client.get("kept"), b"v")
    check("touch", client.touch("kept", 7200), True)
    check("counted", client.incr("count", 1), 42)
    check("large", client.get("large"), LARGE)
    check("typed", objects.get_many(TYPES), TYPES)
    check("flushed", client.get_many(["m2", "h1", "pooled"]), {})
    value, cas = client.gets("kept")
    check("cas", client.cas("kept", b"w", cas), True)


{"before": before, "after": after}[PHASE]()
finish(version("pymemcache"))
