// Express with connect-memjs, which speaks the binary protocol. usage: express_memjs_sessions.js LARDER
"use strict";
const LARDER = process.argv[2];
const express = require("express");
const app = express();
const session = require("express-session");
const MemjsStore = require("connect-memjs")(session);
app.use(session({
  store: new MemjsStore({ servers: [LARDER], timeout: 5 }),
  secret: "of a test",
  resave: true,
  saveUninitialized: false,
  rolling: true,
  cookie: { maxAge: 1000 * 1000 },
}));

require("./pages.js").serve(app, ["connect-memjs", "memjs", "express"]);
