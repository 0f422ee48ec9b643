// An unmodified npm `socket.io-client` against a server: `node socketio.cjs URL PACKAGE MODE [CHECK]`,
// where PACKAGE names the version and MODE is `polling`, `websocket` or `upgrade`. Without the name of a
// check all are made but that of recovery, for which the reference needs another setting.
//
// Prints one line of JSON for each check. Where a check needs something of its surroundings, it prints
// `{"want": …}` and goes on once that has been done.
"use strict";

const assert = require("node:assert/strict");

const [url, name, mode, only] = process.argv.slice(2);
const { io } = require(name);
const { version } = require(`${name}/package.json`);

const TRANSPORTS = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };
const PATIENCE_MS = 15_000;

const isAtLeast = (major, minor) => {
  const [own, ownMinor] = version.split(".").map(Number);
  return own > major || (own === major && ownMinor >= minor);
};

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const want = (what, more = {}) => say({ want: what, ...more });

const open = (path = "", options = {}) =>
  io(`${url}${path}`, {
    transports: TRANSPORTS[mode],
    forceNew: true,
    reconnectionDelay: 50,
    reconnectionDelayMax: 200,
    ...options,
  });

// The next event of that name, as its arguments.
const heard = (emitter, event) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${event} within ${PATIENCE_MS} ms`)), PATIENCE_MS);
    emitter.once(event, (...args) => {
      clearTimeout(timer);
      resolve(args);
    });
  });

const asked = (socket, event, ...args) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ack of ${event} within ${PATIENCE_MS} ms`)), PATIENCE_MS);
    socket.emit(event, ...args, (...answer) => {
      clearTimeout(timer);
      resolve(answer);
    });
  });

// A connected socket; in the mode `upgrade` one whose upgrade is over.
async function connected(path, options) {
  const socket = open(path, options);
  const connects = heard(socket, "connect");
  if (mode === "upgrade") {
    // The upgrade may be over before the namespace is joined.
    const upgraded = new Promise((resolve) => {
      socket.io.once("open", () => socket.io.engine.once("upgrade", resolve));
    });
    await Promise.all([connects, upgraded]);
  } else {
    await connects;
  }
  return socket;
}

// What comes back of an event that the server sends to everyone, or to the sender's rooms.
async function echoed(socket, event, ...args) {
  const back = heard(socket, event);
  socket.emit(event, ...args);
  return back;
}

const bytes = (value) => [...Buffer.from(value)];

const checks = {
  async connects() {
    const socket = await connected();
    assert.equal(socket.io.engine.transport.name, mode === "polling" ? "polling" : "websocket");
    assert.ok(socket.id.length >= 20);
    assert.notEqual(socket.id, socket.io.engine.id);
    socket.disconnect();
  },

  async text() {
    const socket = await connected();
    const args = [1, "two", [3, [4]], { five: 6.5, "ş€𝄞": null }, true];
    assert.deepEqual(await echoed(socket, "chat message", ...args), args);
    assert.deepEqual(await echoed(socket, "none"), []);
    assert.deepEqual(await echoed(socket, "array", [1, 2]), [[1, 2]]);
    socket.disconnect();
  },

  async binary() {
    const socket = await connected();
    const [one, deep] = await echoed(socket, "binary", Buffer.from([0, 1, 255]), {
      deep: [Uint8Array.from([7, 8]), "text"],
    });
    assert.deepEqual(bytes(one), [0, 1, 255]);
    assert.deepEqual(bytes(deep.deep[0]), [7, 8]);
    assert.equal(deep.deep[1], "text");
    const [empty] = await echoed(socket, "empty", Buffer.alloc(0));
    assert.equal(Buffer.from(empty).length, 0);
    socket.disconnect();
  },

  async acks() {
    const socket = await connected();
    for (const room of ["a", "b", "c"]) {
      const [answer] = await asked(socket, "join", `acks-${room}`);
      assert.equal(answer.ok, true);
    }
    const answers = await Promise.all([1, 2, 3].map((number) => asked(socket, "counted", number)));
    assert.deepEqual(answers.map(([answer]) => answer.ok), [true, true, true]);
    if (isAtLeast(4, 6)) {
      const answer = await socket.timeout(PATIENCE_MS).emitWithAck("join", "acks-d");
      assert.equal(answer.ok, true);
    }
    socket.disconnect();
  },

  async asked_by_the_server() {
    const socket = await connected();
    socket.on("question", (number, answer) => answer({ answer: number * 2 }));
    await asked(socket, "join", "asked");
    const done = heard(socket, "done");
    want("ask", { channel: "asked", event: "question", data: 21, response: { answer: 42 } });
    await done;
    socket.disconnect();
  },

  async one_megabyte() {
    const socket = await connected();
    const text = "x".repeat(990_000);
    const [back] = await echoed(socket, "long", text);
    assert.ok(back === text, `${back.length} characters came back`);
    // Over polling bytes are base64.
    const data = Buffer.alloc(mode === "polling" ? 740_000 : 990_000, 7);
    const [same] = await echoed(socket, "large", data);
    assert.ok(data.equals(Buffer.from(same)));
    socket.disconnect();
  },

  async order() {
    const [sender, receiver] = [await connected(), await connected()];
    await asked(sender, "join", "order");
    await asked(receiver, "join", "order");
    const got = [];
    const last = new Promise((resolve) => {
      receiver.on("step", (number) => got.push(number) === 200 && resolve());
    });
    for (let number = 0; number < 200; number += 1) sender.emit("publish", "order", "step", number);
    await last;
    assert.deepEqual(got, [...Array(200).keys()]);
    sender.disconnect();
    receiver.disconnect();
  },

  async rooms() {
    const [one, two, three] = [await connected(), await connected(), await connected()];
    await asked(one, "join", "club");
    await asked(two, "join", "club");
    const got = [];
    for (const socket of [one, two, three]) socket.on("news", (text) => got.push([socket.id, text]));
    const arrives = heard(two, "news");
    assert.equal((await asked(one, "publish", "club", "news", "first"))[0].ok, true);
    await arrives;
    await asked(two, "leave", "club");
    await asked(one, "publish", "club", "news", "second");
    await echoed(two, "later", 1);
    assert.deepEqual(got, [[two.id, "first"]]);
    for (const socket of [one, two, three]) socket.disconnect();
  },

  async namespaces() {
    const root = await connected();
    const chat = root.io.socket("/chat");
    await heard(chat, "connect");
    assert.notEqual(root.id, chat.id);
    let strays = 0;
    root.on("in chat", () => (strays += 1));
    assert.deepEqual(await echoed(chat, "in chat", 1), [1]);
    chat.disconnect();
    assert.deepEqual(await echoed(root, "in root", 2), [2]);
    assert.equal(strays, 0);
    root.disconnect();
  },

  async unknown_namespace() {
    const socket = open("/nowhere");
    const [error] = await heard(socket, "connect_error");
    assert.equal(error.message, "Invalid namespace");
    socket.disconnect();
  },

  async refused_token() {
    const socket = open("", { auth: { token: "forged" } });
    const [error] = await heard(socket, "connect_error");
    assert.equal(error.message, "unauthorized");
    assert.equal(typeof error.data.code, "string");
    assert.equal(socket.connected, false);
    socket.disconnect();
  },

  async volatile() {
    const socket = await connected();
    const back = heard(socket, "fleeting");
    // Dropped while the transport is busy, so it may take some.
    const timer = setInterval(() => socket.volatile.emit("fleeting", 1), 20);
    assert.deepEqual(await back, [1]);
    clearInterval(timer);
    socket.disconnect();
  },

  async client_disconnects() {
    const socket = await connected();
    const gone = heard(socket, "disconnect");
    socket.disconnect();
    assert.equal((await gone)[0], "io client disconnect");
    const again = heard(socket, "connect");
    socket.connect();
    await again;
    socket.disconnect();
  },

  async server_kicks() {
    const socket = await connected();
    const gone = heard(socket, "disconnect");
    want("kick", { id: socket.id });
    assert.equal((await gone)[0], "io server disconnect");
    socket.disconnect();
  },

  async reconnects_after_a_cut() {
    const socket = await connected();
    const before = socket.id;
    const gone = heard(socket, "disconnect");
    want("cut");
    const [reason] = await gone;
    assert.ok(["transport close", "transport error"].includes(reason), reason);
    await heard(socket, "connect");
    assert.notEqual(socket.id, before);
    assert.deepEqual(await echoed(socket, "back", 1), [1]);
    socket.disconnect();
  },

  async recovers_after_a_cut() {
    const socket = await connected("", { auth: { recover: true } });
    await asked(socket, "join", "recovery");
    await echoed(socket, "seen", 0);
    const before = socket.id;
    const got = [];
    socket.on("missed", (number) => got.push(number));
    const gone = heard(socket, "disconnect");
    // While it is away three messages are published.
    want("cut and publish", { channel: "recovery", event: "missed", count: 3 });
    await gone;
    await heard(socket, "connect");
    assert.equal(socket.recovered, true);
    assert.equal(socket.id, before);
    await echoed(socket, "back", 1);
    assert.deepEqual(got, [0, 1, 2]);
    socket.disconnect();
  },

  async reconnects_after_a_restart() {
    const socket = await connected();
    const gone = heard(socket, "disconnect");
    want("restart");
    await gone;
    await heard(socket, "connect");
    assert.deepEqual(await echoed(socket, "back", 1), [1]);
    socket.disconnect();
  },
};

const isWanted = ([check]) => (only === undefined ? check !== "recovers_after_a_cut" : check === only);

(async () => {
  const wanted = Object.entries(checks).filter(isWanted);
  for (const [check, run] of wanted) {
    try {
      await run();
      say({ check, ok: true });
    } catch (error) {
      say({ check, ok: false, error: String(error.stack ?? error) });
    }
  }
  say({ done: wanted.length, version });
  process.exit(0);
})();
