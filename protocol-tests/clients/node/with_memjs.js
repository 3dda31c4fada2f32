// memjs: the binary protocol. The word `sasl` gives a name and a password.
"use strict";
const memjs = require("memjs");
const { host, port, words, LARGE, UNICODE, check, eventually, main } = require("./checks.js");

const SASL = words.includes("sasl");
const SILENT = { log() {} };
const connect = (password) =>
  memjs.Client.create(`${host}:${port}`, {
    logger: SILENT,
    timeout: 60,
    ...(SASL ? { username: "ann", password } : {}),
  });
const client = connect("one");
const text = async (key) => {
  const { value } = await client.get(key);
  return value === null ? null : value.toString();
};

async function before() {
  check("set", await client.set("k", "one", {}), true);
  check("get", await text("k"), "one");
  check("get of nothing", await text("nothing"), null);
  check("add to something", await client.add("k", "two", {}), false);
  check("add", await client.add("added", "two", {}), true);
  check("replace of nothing", await client.replace("nothing", "x", {}), false);
  check("replace", await client.replace("added", "three", {}), true);
  check("append", await client.append("added", "+"), true);
  // memjs 1.3.2 sends the opcode of append for prepend too, and has no false for "nothing to append to".
  check("what it made", await text("added"), "three+");
  check("append to nothing", await client.append("nothing", "x").catch((error) => error.message),
    "MemJS APPEND: Item not stored");
  check("increment begins", await client.increment("n", 1, { initial: 41 }), { success: true, value: 41 });
  check("increment", await client.increment("n", 1, {}), { success: true, value: 42 });
  check("decrement below 0", await client.decrement("n", 50, {}), { success: true, value: 0 });
  check("delete", [await client.delete("k"), await client.delete("k")], [true, false]);
  const keys = [...Array(100).keys()].map((i) => `m${i}`);
  const stored = await Promise.all(keys.map((key) => client.set(key, `${key}!`, {})));
  check("many at once", stored.every((said) => said === true), true);
  const got = await Promise.all(keys.map(text));
  check("read at once", got, keys.map((key) => `${key}!`));
  check("a large value", [await client.set("large", LARGE, {}), LARGE.equals((await client.get("large")).value)],
    [true, true]);
  check("bytes", [await client.set("b", Buffer.from([0, 13, 10, 255]), {}), [...(await client.get("b")).value]],
    [true, [0, 13, 10, 255]]);
  check("unicode", [await client.set("s", UNICODE, {}), await text("s")], [true, UNICODE]);
  check("expiry, present", await client.set("short", "v", { expires: 1 }), true);
  await eventually("expiry, gone", () => text("short"), null);
  await client.set("touched", "v", {});
  check("touch", await client.touch("touched", 1), true);
  await eventually("touched, gone", () => text("touched"), null);
  const stats = await new Promise((resolve) => client.stats((_, __, found) => resolve(found)));
  check("stats", stats.version, "1.6.45");
  await new Promise((resolve) => client.flush(resolve));
  check("flush", await text("m2"), null);
  if (SASL) {
    const stranger = connect("two");
    const said = await stranger.get("k").then(() => "let in", () => "refused");
    check("a wrong password", said, "refused");
  }
  check("to be kept", await client.set("kept", "v", { expires: 3600 }), true);
  check("to be counted", (await client.increment("count", 1, { initial: 41 })).value, 41);
  check("to be large", await client.set("large", LARGE, {}), true);
}

async function after() {
  check("kept", await text("kept"), "v");
  check("touch", await client.touch("kept", 7200), true);
  check("counted", (await client.increment("count", 1, {})).value, 42);
  check("large", LARGE.equals((await client.get("large")).value), true);
  check("flushed", await text("m2"), null);
}

main("memjs", { before, after });
