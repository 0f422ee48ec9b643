// An unmodified npm `socket.io-client` in the place of the Admin UI: `node admin_ui.cjs URL TRANSPORT AUTH`, with
// AUTH as JSON. Prints each event that it hears as a line of JSON, its arguments behind its name; calls what it
// reads as such a line, and prints `["ack", …]` with what it is answered.
"use strict";

const { createInterface } = require("node:readline");
const { io } = require("socket.io-client");

const [url, transport, auth] = process.argv.slice(2);
const say = (...line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const socket = io(`${url}/admin`, {
  transports: transport === "polling" ? ["polling"] : [transport],
  reconnection: false,
  auth: JSON.parse(auth),
});
socket.on("connect", () => say("connect", socket.id, socket.io.engine.id));
socket.on("connect_error", (error) => say("connect_error", error.message, error.data ?? null));
socket.on("disconnect", (reason) => say("disconnect", reason));
socket.onAny((event, ...args) => say(event, ...args));

createInterface({ input: process.stdin })
  .on("line", (line) => socket.emit(...JSON.parse(line), (...answer) => say("ack", ...answer)))
  .on("close", () => process.exit(0));
