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

app.get("/:what", (request, response) => {
  const { what } = request.params;
  const answer = (kept) => {
    const version = (name) => `${name} ${require(`${name}/package.json`).version}`;
    response.set("X-Version", `${version("connect-memcached")}, ${version("express")}`);
    response.send(`${kept.name ?? "nobody"} ${kept.count ?? 0}`);
  };
  if (what === "login") request.session.name = request.query.name;
  if (what === "count") request.session.count = (request.session.count ?? 0) + 1;
  if (what === "logout") return request.session.destroy(() => answer({}));
  answer(request.session);
});

const server = app.listen(0, "127.0.0.1", () => console.log(`serving ${server.address().port}`));
