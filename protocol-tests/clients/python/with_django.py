"""Django's cache framework. The word names the backend: PyMemcacheCache or PyLibMCCache."""
import django
from django.conf import settings

from checks import HOST, LARGE, PHASE, PORT, UNICODE, WORDS, check, eventually, finish, raises

settings.configure(CACHES={"default": {
    "BACKEND": f"django.core.cache.backends.memcached.{WORDS[0]}",
    "LOCATION": f"{HOST}:{PORT}",
    "KEY_PREFIX": "site",
}})
django.setup()
from django.core.cache import cache  # noqa: E402
from django.core.cache.backends.base import InvalidCacheKey  # noqa: E402

TYPES = {"i": 7, "f": 1.5, "s": UNICODE, "l": [1, {"a": None}], "b": b"\0\r\n\xff", "t": True, "n": None}


def before():
    check("set", cache.set("k", "one"), None)
    check("get", cache.get("k"), "one")
    check("get of nothing", cache.get("nothing", "d"), "d")
    check("add to something", cache.add("k", "two"), False)
    check("add", cache.add("added", "two"), True)
    check("has_key", ("added" in cache, "nothing" in cache), (True, False))
    check("get_or_set", (cache.get_or_set("made", lambda: 40), cache.get_or_set("made", 0)), (40, 40))
    check("incr", cache.incr("made", 2), 42)
    check("decr", cache.decr("made", 2), 40)
    raises("incr of nothing", ValueError, lambda: cache.incr("nothing"))
    check("delete", (cache.delete("k"), cache.delete("k")), (True, False))
    many = {f"m{i}": i for i in range(100)}
    check("set_many", cache.set_many(many), [])
    check("get_many", cache.get_many([*many, "nothing"]), many)
    cache.delete_many(["m0", "m1"])
    check("delete_many", cache.get_many(["m0", "m1", "m2"]), {"m2": 2})
    check("versions", (cache.set("v", 1, version=1), cache.incr_version("v"), cache.get("v"), cache.get("v", version=2)),
          (None, 2, None, 1))
    check("a large value", (cache.set("large", LARGE), cache.get("large")), (None, LARGE))
    raises("a key with a space", InvalidCacheKey, lambda: cache.get("a b"))
    cache.set("short", "v", timeout=1)
    eventually("expiry", lambda: cache.get("short"), None)
    cache.set("touched", "v", timeout=None)
    check("touch", (cache.touch("touched", 1), cache.touch("nothing", 1)), (True, False))
    eventually("touched, gone", lambda: cache.get("touched"), None)
    cache.set("zero", "v", timeout=0)
    check("timeout 0 keeps nothing", cache.get("zero"), None)
    for name, value in TYPES.items():
        check(f"type {name}", (cache.set(name, value), cache.get(name, "nothing")), (None, value))
    cache.clear()
    check("clear", cache.get("m2"), None)
    check("to be kept", cache.set_many({**TYPES, "large": LARGE, "count": 41}, timeout=None), [])
    check("to be kept an hour", cache.set("kept", "v", timeout=3600), None)


def after():
    check("kept", cache.get("kept"), "v")
    check("touch", cache.touch("kept", 7200), True)
    check("counted", cache.incr("count"), 42)
    check("typed", cache.get_many(TYPES), TYPES)
    check("large", cache.get("large"), LARGE)
    check("cleared", cache.get("m2"), None)


{"before": before, "after": after}[PHASE]()
finish(django.get_version())
