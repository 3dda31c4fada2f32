// memcached of npm: the text protocol, values typed by flags.
"use strict";
const { promisify } = require("node:util");
const Memcached = require("memcached");
const { host, port, UNICODE, check, eventually, main } = require("./checks.js");

// The client of callbacks as one of promises.
const connect = () => {
  const raw = new Memcached(`${host}:${port}`, { poolSize: 4, timeout: 60_000, maxValue: 4 << 20 });
  return new Proxy(raw, { get: (target, name) => promisify(target[name]).bind(target) });
};
const client = connect();
// The client says a refusal (NOT_STORED, EXISTS) as an error or as false.
const refused = (promise) => promise.then((said) => said === false, () => true);
// It sends bytes as UTF-8, so those from 128 on count double towards the largest item.
const LARGE = Buffer.alloc(768_000, "0123456789");
const TYPES = { i: 7, s: UNICODE, l: [1, { a: null }], b: Buffer.from([0, 13, 10, 255]), t: true };

async function before() {
  check("set", await client.set("k", "one", 0), true);
  check("get", await client.get("k"), "one");
  check("get of nothing", await client.get("nothing"), undefined);
  check("add to something", await refused(client.add("k", "two", 0)), true);
  check("add", await client.add("added", "two", 0), true);
  check("replace of nothing", await refused(client.replace("nothing", "x", 0)), true);
  check("replace", await client.replace("added", "three", 0), true);
  check("append", await client.append("added", "+"), true);
  check("prepend", await client.prepend("added", "-"), true);
  check("what they made", await client.get("added"), "-three+");
  const found = await client.gets("k");
  check("gets", found.k, "one");
  check("cas", await client.cas("k", 1, found.cas, 0), true);
  check("cas too late", await refused(client.cas("k", 2, found.cas, 0)), true);
  check("incr", await client.incr("k", 41), 42);
  check("decr below 0", await client.decr("k", 50), 0);
  check("incr of nothing", await refused(client.incr("nothing", 1)), true);
  check("del", await client.del("k"), true);
  check("del of nothing", await refused(client.del("k")), true);
  const many = {};
  for (let i = 0; i < 100; i += 1) many[`m${i}`] = i;
  const stored = await Promise.all(Object.entries(many).map(([key, value]) => client.set(key, value, 0)));
  check("many at once", stored.every((said) => said === true), true);
  check("getMulti", { ...(await client.getMulti([...Object.keys(many), "nothing"])) }, many);
  check("a large value", [await client.set("large", LARGE, 0), LARGE.equals(await client.get("large"))], [true, true]);
  // To this client a SERVER_ERROR is a dead server: it gets a client of its own.
  check("too large", await refused(connect().set("huge", "x".repeat(2 << 20), 0)), true);
  check("after a refusal", await client.get("m2"), 2);
  for (const [name, value] of Object.entries(TYPES)) {
    check(`type ${name}`, [await client.set(name, value, 0), await client.get(name)], [true, value]);
  }
  check("expiry, present", await client.set("short", "v", 1), true);
  await eventually("expiry, gone", () => client.get("short"), undefined);
  await client.set("touched", "v", 0);
  check("touch", await client.touch("touched", 1), true);
  await eventually("touched, gone", () => client.get("touched"), undefined);
  check("version", (await client.version())[0].version, "1.6.45");
  check("stats", (await client.stats())[0].version, "1.6.45");
  check("flush", [(await client.flush())[0], await client.get("m2")], [true, undefined]);
  check("to be kept", await client.set("kept", "v", 3600), true);
  check("to be counted", await client.set("count", 41, 0), true);
  check("to be large", await client.set("large", LARGE, 0), true);
  for (const [name, value] of Object.entries(TYPES)) {
    check(`to be kept, type ${name}`, await client.set(name, value, 0), true);
  }
}

async function after() {
  check("kept", await client.get("kept"), "v");
  check("touch", await client.touch("kept", 7200), true);
  check("counted", await client.incr("count", 1), 42);
  check("large", LARGE.equals(await client.get("large")), true);
  check("typed", { ...(await client.getMulti(Object.keys(TYPES))) }, TYPES);
  check("flushed", await client.get("m2"), undefined);
  check("cas", await client.cas("kept", "w", (await client.gets("kept")).cas, 0), true);
}

main("memcached", { before, after });
