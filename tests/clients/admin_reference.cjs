// The reference for what an Admin UI is told: npm `socket.io` with `instrument()`. Prints where it listens; the
// password of `root` comes from the environment.
"use strict";

const { createServer } = require("node:http");
const { Server } = require("socket.io");
const { instrument } = require("@socket.io/admin-ui");
const bcrypt = require("bcryptjs");

const server = createServer();
const password = bcrypt.hashSync(process.env.ADMIN_PASSWORD, 4);
instrument(new Server(server), { auth: { type: "basic", username: "root", password }, mode: "development" });
server.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}`));
