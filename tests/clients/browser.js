// Runs in a page of the server, in a browser: `start(kind, mode)` makes the checks of `kind` one by one.
// `lines` takes what a program on the command line would print, a line each.
"use strict";

(() => {
  const PATIENCE_MS = 15_000;
  const lines = (window.lines = []);
  const want = (what, more = {}) => lines.push({ want: what, ...more });

  const assert = (holds, what) => {
    if (!holds) throw new Error(typeof what === "string" ? what : JSON.stringify(what));
  };
  const same = (one, other) => assert(JSON.stringify(one) === JSON.stringify(other), [one, other]);

  // The arguments of the next call of a listener that `listen` adds.
  const once = (what, listen) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${what}`)), PATIENCE_MS);
      listen((...args) => (clearTimeout(timer), resolve(args)));
    });
  const heard = (emitter, event) => once(event, (listener) => emitter.once(event, listener));
  const fired = (target, event) =>
    once(event, (listener) => target.addEventListener(event, listener, { once: true })).then(([first]) => first);

  const TRANSPORTS = { polling: ["polling"], websocket: ["websocket"], upgrade: ["polling", "websocket"] };

  const socketio = (mode) => {
    const open = async (path = "", options = {}) => {
      const socket = window.io(path, {
        transports: TRANSPORTS[mode],
        forceNew: true,
        reconnectionDelay: 50,
        reconnectionDelayMax: 200,
        ...options,
      });
      const upgraded = once("upgrade", (listener) =>
        socket.io.once("open", () => (mode === "upgrade" ? socket.io.engine.once("upgrade", listener) : listener())),
      );
      await Promise.all([heard(socket, "connect"), upgraded]);
      return socket;
    };
    const echoed = (socket, event, ...args) => {
      const back = heard(socket, event);
      socket.emit(event, ...args);
      return back;
    };
    return {
      async connects() {
        const socket = await open();
        same(socket.io.engine.transport.name, mode === "polling" ? "polling" : "websocket");
        socket.disconnect();
      },
      async text() {
        const socket = await open();
        const args = [1, "ş€𝄞", [3], { four: null }];
        same(await echoed(socket, "chat message", ...args), args);
        socket.disconnect();
      },
      async binary() {
        const socket = await open();
        const [first, deep] = await echoed(socket, "binary", Uint8Array.from([0, 255]), { deep: new ArrayBuffer(3) });
        same([...new Uint8Array(first)], [0, 255]);
        same(deep.deep.byteLength, 3);
        const [blob] = await echoed(socket, "blob", new Blob(["blob"]));
        same(new TextDecoder().decode(blob), "blob");
        socket.disconnect();
      },
      async acks() {
        const socket = await open();
        same((await socket.timeout(PATIENCE_MS).emitWithAck("join", "browsers")).ok, true);
        socket.disconnect();
      },
      async one_megabyte() {
        const socket = await open();
        const [text] = await echoed(socket, "long", "x".repeat(990_000));
        same(text.length, 990_000);
        socket.disconnect();
      },
      async namespaces() {
        const root = await open();
        const chat = root.io.socket("/chat");
        await heard(chat, "connect");
        same(await echoed(chat, "in chat", 1), [1]);
        same(await echoed(root, "in root", 2), [2]);
        root.disconnect();
        chat.disconnect();
      },
      async reconnects_after_a_cut() {
        const socket = await open();
        const gone = heard(socket, "disconnect");
        want("cut");
        await gone;
        await heard(socket, "connect");
        same(await echoed(socket, "back", 1), [1]);
        socket.disconnect();
      },
      async reconnects_after_a_restart() {
        const socket = await open();
        const gone = heard(socket, "disconnect");
        want("restart");
        await gone;
        await heard(socket, "connect");
        same(await echoed(socket, "back", 1), [1]);
        socket.disconnect();
      },
    };
  };

  const websocket = () => {
    const open = async (query = "") => {
      const socket = new WebSocket(`${location.origin.replace("http", "ws")}/api/v1/ws?broadcast=0&channel=a${query}`);
      const messages = [];
      const waiting = [];
      const take = (line) => (waiting.length > 0 ? waiting.shift()(line) : messages.push(line));
      socket.addEventListener("message", ({ data }) => {
        const message = JSON.parse(data);
        if (message.event !== "ping") take(message);
      });
      socket.addEventListener("close", ({ code, reason }) => take({ code, reason }));
      socket.next = () =>
        messages.length > 0 ? Promise.resolve(messages.shift()) : once("message", (take) => waiting.push(take)).then(([first]) => first);
      socket.hello = await socket.next();
      return socket;
    };
    const publish = (socket, data) => socket.send(JSON.stringify({ publish: { channel: "a", data } }));
    return {
      async hello() {
        const socket = await open();
        same([socket.hello.event, socket.extensions, socket.protocol], ["hello", "", ""]);
        socket.close();
      },
      async text() {
        const socket = await open();
        publish(socket, { text: "ş€𝄞" });
        same((await socket.next()).data, { text: "ş€𝄞" });
        socket.close();
      },
      async one_megabyte() {
        const socket = await open();
        publish(socket, "x".repeat(1_000_000));
        same((await socket.next()).data.length, 1_000_000);
        socket.close();
      },
      async binary_is_refused() {
        const socket = await open();
        socket.send(Uint8Array.from([1]));
        same((await socket.next()).code, 1003);
      },
      async close() {
        const socket = await open();
        socket.close(4321, "enough");
        const end = await socket.next();
        assert(end.code === 4321 || end.code === 1000, end);
      },
      async kick() {
        const socket = await open();
        want("kick", { id: socket.hello.data.connection });
        same((await socket.next()).event, "bye");
        const end = await socket.next();
        same(end.code, 1008);
        assert(end.reason.startsWith("4010 kicked"), end);
      },
      async resumes_after_a_cut() {
        const socket = await open();
        publish(socket, "seen");
        const { id } = await socket.next();
        want("cut and publish", { channel: "a", count: 3 });
        same((await socket.next()).code, 1006);
        let again = await open(`&lastEventId=${id}`);
        while (again.hello.event !== "hello") again = await open(`&lastEventId=${id}`);
        same([(await again.next()).data, (await again.next()).data, (await again.next()).data], [0, 1, 2]);
        again.close();
      },
    };
  };

  const eventsource = () => ({
    async resumes_by_itself() {
      const source = new EventSource("/api/events?broadcast=0&channel=a");
      same(JSON.parse((await fired(source, "hello")).data).channels, ["a"]);
      const got = [];
      const all = once("three messages", (done) => {
        source.addEventListener("message", ({ data }) => got.push(JSON.parse(data)) === 3 && done());
      });
      const again = once("hello", (listener) => source.addEventListener("hello", listener, { once: true }));
      want("cut and publish", { channel: "a", count: 3 });
      await again;
      await all;
      same(got, [0, 1, 2]);
      source.close();
    },
  });

  const kinds = { socketio, websocket, eventsource };

  window.start = async (kind, mode) => {
    const checks = kinds[kind](mode);
    for (const [check, run] of Object.entries(checks)) {
      try {
        await run();
        lines.push({ check, ok: true });
      } catch (error) {
        lines.push({ check, ok: false, error: String(error.stack ?? error) });
      }
    }
    lines.push({ done: Object.keys(checks).length });
  };
})();
