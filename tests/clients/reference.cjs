// The reference that Santral is compared with: npm `socket.io`, with handlers that do what Santral
// does without user code. Prints where it listens; settings come from the environment.
"use strict";

const http = require("node:http");
const { Server } = require("socket.io");

const number = (name, fallback) => Number(process.env[name] ?? fallback);

const server = http.createServer((request, response) => void answer(request, response));
const io = new Server(server, {
  pingInterval: number("PING_INTERVAL_MS", 25_000),
  pingTimeout: number("PING_TIMEOUT_MS", 20_000),
  upgradeTimeout: number("UPGRADE_TIMEOUT_MS", 10_000),
  connectTimeout: number("CONNECT_TIMEOUT_MS", 45_000),
  maxHttpBufferSize: number("MAX_PAYLOAD", 1_000_000),
  cors: { origin: true },
  transports: ["polling", "websocket"],
  allowRequest: (request, decide) => decide(refusal(request), !refusal(request)),
  ...(process.env.RECOVERY ? { connectionStateRecovery: { skipMiddlewares: false } } : {}),
});

// The one origin that is not welcome; Santral has a list of those that are.
function refusal(request) {
  return request.headers.origin === "http://evil.example" ? "the origin is not allowed" : null;
}

for (const name of ["/", "/chat"]) {
  const namespace = io.of(name);
  namespace.use((socket, next) => {
    const { token } = socket.handshake.auth;
    if (token === undefined || token === null) return next();
    next(Object.assign(new Error("unauthorized"), { data: { code: "invalid_token" } }));
  });
  namespace.on("connection", (socket) => serve(namespace, socket));
}

const OWN = new Set(["join", "leave", "publish"]);

function serve(namespace, socket) {
  const rooms = () => [...socket.rooms].filter((room) => room !== socket.id);
  const done = (ack, more) => typeof ack === "function" && ack({ ok: true, ...more });
  socket.on("join", (room, ack) => {
    const name = typeof room === "object" ? room.room : room;
    socket.join(name);
    done(ack, { room: name });
  });
  socket.on("leave", (room, ack) => {
    socket.leave(room);
    done(ack, { room });
  });
  socket.on("publish", (room, event, ...args) => {
    const ack = typeof args.at(-1) === "function" ? args.pop() : undefined;
    socket.to(room).emit(event, ...args);
    done(ack);
  });
  // Santral's policy for all other events is `relay` or, so that one client suffices, `echo`.
  socket.onAny((event, ...args) => {
    // An EVENT packet without payload arrives as an event without a name.
    if (event === undefined || OWN.has(event)) return;
    const ack = typeof args.at(-1) === "function" ? args.pop() : undefined;
    const sender = process.env.UNKNOWN_EVENT === "echo" ? namespace : socket.broadcast;
    (rooms().length > 0 ? sender.to(rooms()) : sender).emit(event, ...args);
    done(ack);
  });
}

// What the tests use of Santral's REST API.
async function answer(request, response) {
  if (request.url.startsWith("/socket.io/")) return;
  let body = "";
  for await (const piece of request) body += piece;
  const json = (status, value) => {
    response.writeHead(status, { "Content-Type": "application/json" });
    response.end(JSON.stringify(value));
  };
  if (request.method === "GET" && request.url === "/") {
    response.writeHead(200, { "Content-Type": "text/html" });
    return response.end("<!doctype html><title>Reference</title>");
  }
  if (request.method === "POST" && request.url === "/api/broadcast") return broadcast(JSON.parse(body), json);
  if (request.method === "DELETE" && request.url.startsWith("/api/connections/")) {
    io.in(decodeURIComponent(request.url.split("/")[3])).disconnectSockets(false);
    return json(204);
  }
  json(404, {});
}

function broadcast(message, json) {
  const { namespace = "/", event = "message", volatile = false, ackTimeoutMs } = message;
  const rooms = [message.channel, message.connection, message.channels].flat().filter(Boolean);
  const args = message.args ?? [message.data];
  let target = io.of(namespace);
  if (rooms.length > 0) target = target.to(rooms);
  if (message.except) target = target.except(message.except);
  if (volatile) target = target.volatile;
  if (ackTimeoutMs === undefined) {
    target.emit(event, ...args);
    return json(200, { id: "0-0" });
  }
  target.timeout(ackTimeoutMs).emit(event, ...args, (error, responses) => {
    json(200, { responses, missing: error ? 1 : 0 });
  });
}

server.listen(number("PORT", 0), "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
