// The npm package `ws` against `GET /api/v1/ws`: `node ws.cjs URL`.
//
// Prints one line of JSON for each check. Where a check needs something of its surroundings, it prints
// `{"want": …}` and goes on once that has been done.
"use strict";

const assert = require("node:assert/strict");
const { WebSocket } = require("ws");

const url = process.argv[2].replace(/^http/, "ws");
const PATIENCE_MS = 15_000;

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const want = (what, more = {}) => say({ want: what, ...more });

// A WebSocket whose frames can be waited for one by one.
class Client {
  constructor(query = "", options = {}) {
    this.socket = new WebSocket(`${url}/api/v1/ws?broadcast=0&channel=a${query}`, options);
    this.frames = [];
    this.waiting = [];
    const take = (frame) => (this.waiting.length > 0 ? this.waiting.shift()(frame) : this.frames.push(frame));
    this.socket.on("message", (data, isBinary) => take({ isBinary, text: String(data) }));
    this.socket.on("pong", (data) => take({ pong: String(data) }));
    this.socket.on("close", (code, reason) => take({ code, reason: String(reason) }));
    this.socket.on("error", () => {});
  }

  async frame() {
    if (this.frames.length > 0) return this.frames.shift();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error("nothing comes")), PATIENCE_MS);
      this.waiting.push((frame) => (clearTimeout(timer), resolve(frame)));
    });
  }

  // The next message that is no ping of the server.
  async next() {
    for (;;) {
      const frame = await this.frame();
      assert.equal(frame.isBinary, false, JSON.stringify(frame));
      const message = JSON.parse(frame.text);
      if (message.event !== "ping") return message;
    }
  }

  static async open(query, options) {
    const client = new Client(query, options);
    const hello = await client.next();
    assert.equal(hello.event, "hello");
    client.hello = hello;
    return client;
  }

  send(command) {
    this.socket.send(JSON.stringify(command));
  }
}

const publish = (data) => ({ publish: { channel: "a", data } });

const checks = {
  async hello() {
    const client = await Client.open();
    assert.deepEqual(client.hello.data.channels, ["a"]);
    assert.equal(client.socket.extensions, "", "compression was offered and not taken");
    client.socket.close();
  },

  async text() {
    const client = await Client.open();
    client.send(publish({ text: "ş€𝄞", list: [1, null] }));
    const message = await client.next();
    assert.deepEqual(message.data, { text: "ş€𝄞", list: [1, null] });
    assert.equal(message.channel, "a");
    client.socket.close();
  },

  async commands() {
    const client = await Client.open();
    client.send({ id: 7, subscribe: ["b"] });
    assert.deepEqual((await client.next()).result.channels, ["a", "b"]);
    client.send({ id: "x", nonsense: true });
    const answer = await client.next();
    assert.equal(answer.reply, "x");
    assert.equal(typeof answer.error.code, "string");
    client.socket.close();
  },

  async one_megabyte() {
    const client = await Client.open();
    const text = "x".repeat(1_000_000);
    client.send(publish(text));
    assert.ok((await client.next()).data === text);
    client.socket.close();
  },

  async fragments() {
    const client = await Client.open();
    const text = JSON.stringify(publish("in pieces ş€𝄞"));
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; at += 1) {
      client.socket.send(bytes.subarray(at, at + 1), { binary: false, fin: at + 1 === bytes.length });
    }
    assert.equal((await client.next()).data, "in pieces ş€𝄞");
    client.socket.close();
  },

  async ping() {
    const client = await Client.open();
    client.socket.ping("are you there");
    assert.deepEqual(await client.frame(), { pong: "are you there" });
    client.socket.close();
  },

  async binary_is_refused() {
    const client = await Client.open();
    client.socket.send(Buffer.from([1, 2]));
    assert.equal((await client.frame()).code, 1003);
  },

  async close() {
    const client = await Client.open();
    client.socket.close(1000, "enough");
    assert.equal((await client.frame()).code, 1000);
  },

  async kick() {
    const client = await Client.open();
    want("kick", { id: client.hello.data.connection });
    assert.equal((await client.next()).event, "bye");
    const end = await client.frame();
    assert.equal(end.code, 1008);
    assert.match(end.reason, /^4010 kicked/);
  },

  async resumes_after_a_cut() {
    await resumes("cut and publish");
  },

  async resumes_after_a_restart() {
    await resumes("restart and publish");
  },
};

async function resumes(how) {
  const client = await Client.open();
  client.send(publish("seen"));
  const { id } = await client.next();
  want(how, { channel: "a", count: 3 });
  const end = await client.frame();
  assert.equal(end.code, 1006, JSON.stringify(end));
  for (;;) {
    const again = new Client(`&lastEventId=${id}`);
    const first = await again.frame();
    if (first.code !== undefined) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      continue;
    }
    const data = [];
    while (data.length < 3) data.push((await again.next()).data);
    assert.deepEqual(data, [0, 1, 2]);
    again.socket.close();
    return;
  }
}

(async () => {
  for (const [check, run] of Object.entries(checks)) {
    try {
      await run();
      say({ check, ok: true });
    } catch (error) {
      say({ check, ok: false, error: String(error.stack ?? error) });
    }
  }
  say({ done: Object.keys(checks).length });
  process.exit(0);
})();
