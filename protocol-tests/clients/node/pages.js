// The pages of an application that keeps sessions: /login?name=, /count, /logout, and whoami for anything else.
"use strict";

// `packages` are named, with their versions, in every answer.
exports.serve = (app, packages) => {
  const version = (name) => `${name} ${require(`${name}/package.json`).version}`;
  app.get("/:what", (request, response) => {
    const { what } = request.params;
    const answer = (kept) => {
      response.set("X-Version", packages.map(version).join(", "));
      response.send(`${kept.name ?? "nobody"} ${kept.count ?? 0}`);
    };
    if (what === "login") request.session.name = request.query.name;
    if (what === "count") request.session.count = (request.session.count ?? 0) + 1;
    if (what === "logout") return request.session.destroy(() => answer({}));
    answer(request.session);
  });
  const server = app.listen(0, "127.0.0.1", () => console.log(`serving ${server.address().port}`));
};
