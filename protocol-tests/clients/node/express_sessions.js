// Express with connect-memcached. usage: express_sessions.js LARDER
"use strict";
const LARDER = process.argv[2];
const express = require("express");
const app = express();
const session = require("express-session");
const MemcachedStore = require("connect-memcached")(session);
app.use(session({
  store: new MemcachedStore({ hosts: [LARDER], retry: 100, timeout: 5000 }),
  secret: "of a test",
  resave: false,
  saveUninitialized: false,
  rolling: true,
  cookie: { maxAge: 1000 * 1000 },
}));

require("./pages.js").serve(app, ["connect-memcached", "express"]);
