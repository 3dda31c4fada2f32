// What the Node suites share: a line for each check, and the sum.
// usage of a suite: with_CLIENT.js before|after HOST PORT [WORD...]
"use strict";
const { isDeepStrictEqual, inspect } = require("node:util");

const [phase, host, port, ...words] = process.argv.slice(2);
const PATIENCE_MS = 30_000;
const LARGE = Buffer.alloc(768_000, Buffer.from([...Array(256).keys()]));
const UNICODE = "grüße, 世界 🗝";
let passed = 0;
let failed = 0;

function check(name, got, expected) {
  if (isDeepStrictEqual(got, expected)) {
    passed += 1;
    console.log(`ok ${name}`);
  } else {
    failed += 1;
    console.log(`not ok ${name}: ${inspect(got).slice(0, 200)} instead of ${inspect(expected).slice(0, 200)}`);
  }
}

// What comes with time, such as an expiry.
async function eventually(name, look, expected) {
  const deadline = Date.now() + PATIENCE_MS;
  let got = await look();
  while (!isDeepStrictEqual(got, expected) && Date.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    got = await look();
  }
  check(name, got, expected);
}

// Runs the phase that is asked for.
async function main(library, phases) {
  try {
    await phases[phase]();
  } catch (error) {
    check("no error", String(error.stack ?? error), "");
  }
  console.log(`version ${require(`${library}/package.json`).version}`);
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed > 0 ? 1 : 0);
}

module.exports = { host, port, words, LARGE, UNICODE, check, eventually, main };
