"""aiomcache: the text protocol from asyncio."""
import asyncio
from importlib.metadata import version

import aiomcache

from checks import HOST, LARGE, PHASE, PORT, PATIENCE_S, check, finish


async def gone(client, name, key):
    async with asyncio.timeout(PATIENCE_S):
        while await client.get(key) is not None:
            await asyncio.sleep(0.05)
    check(name, await client.get(key), None)


async def before(client):
    check("version", await client.version(), b"1.6.45")
    check("set", await client.set(b"k", b"one"), True)
    check("get", await client.get(b"k"), b"one")
    check("get of nothing", await client.get(b"nothing", b"d"), b"d")
    check("add to something", await client.add(b"k", b"two"), False)
    check("add", await client.add(b"added", b"two"), True)
    check("replace of nothing", await client.replace(b"nothing", b"x"), False)
    check("replace", await client.replace(b"added", b"three"), True)
    check("append", await client.append(b"added", b"+"), True)
    check("prepend", await client.prepend(b"added", b"-"), True)
    check("what they made", await client.get(b"added"), b"-three+")
    value, cas = await client.gets(b"k")
    check("gets", value, b"one")
    check("cas", await client.cas(b"k", b"1", cas), True)
    check("cas too late", await client.cas(b"k", b"2", cas), False)
    check("incr", await client.incr(b"k", 41), 42)
    check("decr below 0", await client.decr(b"k", 50), 0)
    try:
        said = await client.incr(b"nothing")
    except aiomcache.ClientException as error:
        said = str(error)
    check("incr of nothing", "NOT_FOUND" in said, True)
    check("delete", (await client.delete(b"k"), await client.delete(b"k")), (True, False))
    stored = await asyncio.gather(*(client.set(b"m%d" % i, b"%d" % i) for i in range(100)))
    check("many at once", stored, [True] * 100)
    check("multi_get", await client.multi_get(*(b"m%d" % i for i in range(101))),
          (*(b"%d" % i for i in range(100)), None))
    check("a large value", (await client.set(b"large", LARGE), await client.get(b"large")), (True, LARGE))
    check("no value", (await client.set(b"empty", b""), await client.get(b"empty")), (True, b""))
    check("expiry, present", await client.set(b"short", b"v", exptime=1), True)
    await gone(client, "expiry, gone", b"short")
    await client.set(b"touched", b"v")
    check("touch", await client.touch(b"touched", 1), True)
    await gone(client, "touched, gone", b"touched")
    check("stats", (await client.stats())[b"version"], b"1.6.45")
    await client.flush_all()
    check("flush_all", await client.get(b"m2"), None)
    check("to be kept", await client.set(b"kept", b"v", exptime=3600), True)
    check("to be counted", await client.set(b"count", b"41"), True)
    check("to be large", await client.set(b"large", LARGE), True)


async def after(client):
    check("kept", await client.get(b"kept"), b"v")
    check("touch", await client.touch(b"kept", 7200), True)
    check("counted", await client.incr(b"count"), 42)
    check("large", await client.get(b"large"), LARGE)
    check("flushed", await client.get(b"m2"), None)


async def main():
    client = aiomcache.Client(HOST, PORT, pool_size=8)
    await {"before": before, "after": after}[PHASE](client)
    await client.close()


asyncio.run(main())
finish(version("aiomcache"))
