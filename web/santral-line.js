// The line of a call to its server: a session's events down, requests up, over any transport.
//
// A line calls `onEvent(name, data)` for whatever its session is told, `hello`, `gap` and `bye` included, and
// `onEvent("down")` when it is lost; it comes back by itself, behind what it has seen. `request(kind, body, token)`
// asks for one of "join", "leave" and "signal" on the way that the transport has for it. No DOM in here.

// Every event of rooms and signals. An EventSource hears an event with a name only if it is asked to.
const EVENTS = [
  "video.participant.joined", "video.participant.updated", "video.participant.left", "video.room.updated",
  "video.room.closed", "video.room.expiring", "video.room.replay", "video.room.resync", "video.lobby.waiting",
  "video.lobby.admitted", "video.lobby.denied", "video.host.changed", "video.moderation", "video.quality",
  "video.advice", "webrtc.signal", "webrtc.undelivered", "webrtc.ice-servers",
];

// An answer that has not come by then does not come, in milliseconds.
const PATIENCE_MS = 15_000;
// Pause before a lost line is opened again, in milliseconds, random to spread a crowd.
const RETRY_MS = { min: 500, max: 2500 };
// A heartbeat in milliseconds, until the server has said its own; and how much later than that it may come.
const HEARTBEAT_MS = 25_000;
const HEARTBEAT_GRACE_MS = 5000;
// The longest that the server asks an EventSource to wait before it comes back, in milliseconds.
const SERVER_RETRY_MAX_MS = 20_000;
// How long a poll waits, in seconds. Below the 45 s after which a session counts as gone.
const POLL_WAIT_S = 20;

/** What the server said no to, as its problem document (RFC 9457) has it. */
export class Problem extends Error {
  constructor({ status = 0, code = "unknown", title = "", detail = "", remediation = "", ...rest }) {
    super(detail || title || `The server answered ${status}.`);
    Object.assign(this, { name: "Problem", status, code, title, detail, remediation, rest });
  }

  /** Whether the same request may succeed later without anybody doing anything. */
  get passes() {
    return this.status === 429 || this.status >= 500;
  }
}

/** One request with JSON; `null` for an answer without a body. */
export async function ask(method, url, { body, headers = {} } = {}) {
  const answer = await fetch(url, {
    method,
    headers: body === undefined ? headers : { "content-type": "application/json", ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  if (!answer.ok) throw await problemOf(answer);
  const text = await answer.text();
  return text === "" ? null : JSON.parse(text);
}

/** What an answer that is none of the expected kind says. */
async function problemOf(answer) {
  const seconds = Number(answer.headers.get("retry-after"));
  const known = { status: answer.status, retryAfterMs: seconds > 0 ? 1000 * seconds : undefined };
  try {
    return new Problem({ ...(await answer.json()), ...known });
  } catch {
    return new Problem(known);
  }
}

/** A token with 128 random bits as base64url: the secret of a session. */
export function newToken() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** What all lines have in common: the address, the position, and requests over HTTP. */
class Line {
  /**
   * `base` is the server's address, `session` the secret token of the session; `headers()` gives what says who asks,
   * and `ticket()` a ticket for one stream, or `null`: neither is needed where everybody may come in.
   */
  constructor({ base, session, headers, ticket }) {
    Object.assign(this, { base, session, headers, ticket, position: "", isClosed: false, retry: 0 });
  }

  open(onEvent) {
    this.onEvent = onEvent;
    this.connect();
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.retry);
    this.drop();
  }

  /** Asks over HTTP. A participant's token says who asks where there is one. */
  async request(kind, { roomId, ...body }, token) {
    const room = `api/video/rooms/${encodeURIComponent(roomId)}`;
    const headers = token ? { authorization: `Bearer ${token}` } : await this.headers();
    switch (kind) {
      case "join": return ask("POST", this.address(`${room}/join`), { body: { session: this.session, ...body }, headers });
      case "leave": return ask("POST", this.address(`${room}/leave`), { body, headers });
      case "signal": return ask("POST", this.address("api/webrtc/signal"), { body: { roomId, ...body }, headers });
      default: throw new TypeError(`a line knows no ${kind}`);
    }
  }

  address(path) {
    return new URL(path, this.base);
  }

  /** The address of a stream of this session, behind what was seen of it. */
  async streamAddress(path) {
    const url = this.address(path);
    url.searchParams.set("session", this.session);
    url.searchParams.set("broadcast", "0");
    if (this.position) url.searchParams.set("lastEventId", this.position);
    const ticket = await this.ticket();
    if (ticket) url.searchParams.set("ticket", ticket);
    return { url, hasTicket: Boolean(ticket) };
  }

  /** Hands one event on. A `bye` that asks nobody back ends the line. */
  heard(name, data, id) {
    if (this.isClosed) return;
    if (id) this.position = id;
    if (name === "bye" && data.reconnect === false) this.close();
    this.onEvent(name, data);
  }

  /** The line is lost: says so and opens it again soon. */
  lost(pauseMs = RETRY_MS.min + Math.random() * (RETRY_MS.max - RETRY_MS.min)) {
    if (this.isClosed) return;
    this.drop();
    this.onEvent("down");
    clearTimeout(this.retry);
    this.retry = setTimeout(() => this.connect(), pauseMs);
  }

  /** The server refused the stream: for good, or until later. */
  refused(error) {
    if (this.isClosed) return;
    if (!(error instanceof Problem) || error.passes) return this.lost(error.rest?.retryAfterMs);
    this.close();
    return this.onEvent("refused", error);
  }
}

/** Server-Sent Events by the browser's own EventSource; requests are POSTs. */
class SseLine extends Line {
  #source = null;
  #heardAt = 0;
  #heartbeatMs = HEARTBEAT_MS;
  #isLive = false;
  #pulse = 0;

  async connect() {
    this.#pulse ||= setInterval(() => this.#checkPulse(), 1000);
    this.#heardAt = Date.now();
    let stream;
    try {
      stream = await this.streamAddress("api/events");
    } catch (error) {
      return this.refused(error);
    }
    if (this.isClosed) return undefined;
    stream.url.searchParams.set("format", "raw");
    const source = new EventSource(stream.url);
    this.#source = source;
    for (const name of ["hello", "gap", "bye", "ping", ...EVENTS]) source.addEventListener(name, this.#onMessage);
    source.onerror = (event) => this.#onError(event, stream);
    return undefined;
  }

  drop() {
    this.#source?.close();
    this.#source = null;
    this.#isLive = false;
    if (this.isClosed) clearInterval(this.#pulse);
  }

  #onMessage = (event) => {
    if (event.target !== this.#source) return;
    this.#heardAt = Date.now();
    const data = JSON.parse(event.data);
    if (event.type === "hello") {
      this.#heartbeatMs = data.heartbeatMs ?? HEARTBEAT_MS;
      this.#isLive = true;
    }
    this.heard(event.type, data, event.lastEventId);
  };

  #onError(event, { url, hasTicket }) {
    if (event.target !== this.#source) return;
    this.#isLive = false;
    if (this.#source.readyState === EventSource.CLOSED) this.#onRefusal(url);
    // The browser would come back with the ticket that it has used.
    else if (hasTicket) this.lost();
    else this.onEvent("down");
  }

  /** The browser gives up at an error status and does not say which, so ask once. */
  async #onRefusal(url) {
    const abort = new AbortController();
    try {
      const accept = { ...(await this.headers()), accept: "application/problem+json" };
      url.searchParams.delete("ticket");
      const answer = await fetch(url, { signal: abort.signal, headers: accept });
      if (answer.ok) return this.lost();
      return this.refused(await problemOf(answer));
    } catch (error) {
      return this.refused(error);
    } finally {
      abort.abort();
    }
  }

  /** EventSource never gives up what is merely silent; pings tell silence from death. */
  #checkPulse() {
    const allowance = HEARTBEAT_GRACE_MS + (this.#isLive ? 0 : SERVER_RETRY_MAX_MS);
    if (this.#source !== null && Date.now() - this.#heardAt > this.#heartbeatMs + allowance) this.lost(0);
  }
}

/** A WebSocket, which carries requests as well; each has an answer by its number. */
class WebSocketLine extends Line {
  #socket = null;
  #waiting = new Map();
  #number = 0;
  #silence = 0;
  #heartbeatMs = HEARTBEAT_MS;

  async connect() {
    let stream;
    try {
      stream = await this.streamAddress("api/v1/ws");
    } catch (error) {
      return this.refused(error);
    }
    if (this.isClosed) return undefined;
    stream.url.protocol = stream.url.protocol.replace("http", "ws");
    const socket = new WebSocket(stream.url);
    this.#socket = socket;
    this.#listen();
    socket.onmessage = ({ data }) => socket === this.#socket && this.#onMessage(JSON.parse(data));
    socket.onclose = (event) => socket === this.#socket && this.#onClose(event);
    return undefined;
  }

  drop() {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#silence);
    socket?.close();
    for (const { reject } of this.#waiting.values()) reject(new TypeError("the line is down"));
    this.#waiting.clear();
  }

  request(kind, body) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return Promise.reject(new TypeError("the line is down"));
    const id = (this.#number += 1);
    const command = kind === "signal" ? { id, signal: body } : { id, video: { [kind]: body } };
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#socket.send(JSON.stringify(command));
      setTimeout(() => this.#waiting.delete(id) && reject(new TypeError("no answer")), PATIENCE_MS);
    });
  }

  #onMessage(message) {
    this.#listen();
    if (message.event) {
      if (message.event === "hello") this.#heartbeatMs = message.data.heartbeatMs ?? HEARTBEAT_MS;
      return this.heard(message.event, message.data, message.id);
    }
    const asked = this.#waiting.get(message.reply);
    this.#waiting.delete(message.reply);
    return message.error ? asked?.reject(new Problem(message.error)) : asked?.resolve(message.result);
  }

  /** 1008 is for good, and its reason names a code; with all else it is worth coming back. */
  #onClose({ code, reason }) {
    if (code === 1008) this.refused(new Problem({ status: 403, code: reason.split(" ")[0], detail: reason }));
    else this.lost();
  }

  #listen() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.lost(0), this.#heartbeatMs + HEARTBEAT_GRACE_MS);
  }
}

/** One poll after the other; requests are POSTs. */
class PollLine extends Line {
  #abort = null;

  async connect() {
    const abort = new AbortController();
    this.#abort = abort;
    const isMine = () => this.#abort === abort;
    try {
      while (isMine()) {
        const { url } = await this.streamAddress("api/poll");
        url.searchParams.set("wait", POLL_WAIT_S);
        const signal = AbortSignal.any([abort.signal, AbortSignal.timeout(1000 * POLL_WAIT_S + PATIENCE_MS)]);
        const answer = await fetch(url, { headers: await this.headers(), signal });
        if (!answer.ok) throw await problemOf(answer);
        const news = await answer.json();
        if (isMine()) this.#onAnswer(news);
      }
    } catch (error) {
      if (isMine()) this.refused(error);
    }
  }

  drop() {
    this.#abort?.abort();
    this.#abort = null;
  }

  #onAnswer({ events, position }) {
    for (const { event, data } of events) this.heard(event, data);
    if (position) this.position = position;
  }
}

/** A socket of Socket.IO: `io` is the function of npm socket.io-client, which reconnects by itself. */
class SocketIoLine extends Line {
  #socket = null;

  async connect() {
    this.#socket ??= await this.#makeSocket();
    if (!this.#socket.connected) this.#socket.connect();
  }

  async #makeSocket() {
    const auth = async (give) => {
      const { authorization = "" } = await this.headers();
      give({ recover: true, ...(authorization && { token: authorization.replace(/^Bearer /, "") }) });
    };
    const socket = this.io(new URL(this.base).origin, { auth, forceNew: true, autoConnect: false });
    socket.on("connect", () => this.heard("hello", { recovered: socket.recovered === true }));
    socket.on("disconnect", (reason) => {
      if (reason === "io server disconnect") this.heard("bye", { reconnect: false, name: "kicked", reason: "" });
      else this.onEvent("down");
    });
    socket.on("connect_error", ({ data }) => {
      // Without data the server was not reached, and the client tries again.
      if (data?.code) this.refused(new Problem({ status: 401, code: data.code }));
    });
    socket.on("santral:gap", (gap) => this.heard("gap", gap));
    socket.onAny((name, data) => EVENTS.includes(name) && this.heard(name, data));
    return socket;
  }

  drop() {
    this.#socket?.disconnect();
  }

  async request(kind, body) {
    const event = kind === "signal" ? "signal" : `video:${kind}`;
    const answer = await this.#socket.timeout(PATIENCE_MS).emitWithAck(event, body);
    if (answer.ok) return answer;
    throw new Problem({ ...answer.error, detail: answer.error.message });
  }
}

const LINES = { sse: SseLine, websocket: WebSocketLine, poll: PollLine, socketio: SocketIoLine };

/** A line over "sse", "websocket", "poll" or "socketio"; the last one needs `io` in its options. */
export function createLine(transport, options) {
  const Kind = LINES[transport];
  if (!Kind) throw new TypeError(`there is no transport ${transport}`);
  return Object.assign(new Kind(options), { io: options.io });
}
