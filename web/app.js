// The first page: a live feed over the browser's own EventSource, and a form that publishes.
//
// Server-Sent Events as in WHATWG HTML, section 9.2. What comes from the server reaches the
// document as text nodes only. A module: strict, and without globals.

import { Account, Refused } from "./account.js";

// The feed keeps so many entries; the oldest goes first.
const FEED_ENTRIES_MAX = 200;
// The page listens to at most so many event names: one listener each.
const EVENT_NAMES_MAX = 50;
const EVENT_NAME = /^[\w.:-]{1,128}$/;
// What the server itself says, and what EventSource fires anyway: nobody needs to ask for these.
const KNOWN_EVENTS = ["hello", "ping", "gap", "bye", "presence", "open", "error", "message"];
// Silence after which a line counts as dead, in heartbeats: a half-open socket tells nobody.
const HEARTBEATS_MISSED_MAX = 3;
// A heartbeat in milliseconds, until the server has said its own.
const HEARTBEAT_MS = 25_000;
// Pause before the page itself tries again, in milliseconds, random to spread a crowd; and the
// longest that the server asks a browser to wait.
const RETRY_MS = { min: 1000, max: 3000, serverMax: 20_000 };
// The position before everything that is retained.
const EARLIEST = "earliest";

// Each state of the line: what it is called, and what the button then does.
const STATES = {
  connecting: ["Connecting", "Drop the line"],
  live: ["Live", "Drop the line"],
  reconnecting: ["Reconnecting", "Drop the line"],
  dropped: ["Dropped on purpose", "Resume"],
  ended: ["Ended by the server", "Connect again"],
};

const CLOCK = new Intl.DateTimeFormat([], {
  hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false,
});

const byId = (id) => document.getElementById(id);

const say = (id, text) => {
  byId(id).textContent = text;
};

/** An element with text in it, never markup. */
function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

/** The names in a list separated by commas or white space, each once. */
function splitNames(text) {
  return [...new Set(text.split(/[\s,]+/).filter(Boolean))];
}

const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

/** 128 random bits as base64url: the session's secret. */
function newSessionToken() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** JSON for people: one line while it fits, else indented. */
function prettyJson(value) {
  const line = JSON.stringify(value);
  return line === undefined || line.length <= 120 ? String(line) : JSON.stringify(value, null, 2);
}

/** Replaces what a result box says: a tone and one paragraph per line. */
function showResult(box, tone, lines) {
  box.dataset.tone = tone;
  box.replaceChildren(...lines.filter(Boolean).map((line) => element("p", "", line)));
}

/** The list of what came, newest first. Entries are made once per frame, however fast they come. */
function createFeed() {
  const list = byId("feed");
  let waiting = [];
  let messages = 0;
  let frame = null;

  function describe() {
    const shown = list.childElementCount;
    const bound = shown < FEED_ENTRIES_MAX ? "" : `, the newest ${FEED_ENTRIES_MAX} entries stay`;
    byId("feed-empty").hidden = messages > 0;
    say("feed-count", messages === 0 ? "No messages yet" : plural(messages, "message") + bound);
  }

  function draw() {
    frame = null;
    const wasAtTop = list.scrollTop < 8;
    list.prepend(...waiting.reverse().map((makeEntry) => makeEntry()));
    waiting = [];
    while (list.childElementCount > FEED_ENTRIES_MAX) list.lastElementChild.remove();
    if (wasAtTop) list.scrollTop = 0;
    describe();
  }

  function add(makeEntry) {
    waiting.push(makeEntry);
    // A hidden tab draws nothing; it must not collect without bound either.
    if (waiting.length > FEED_ENTRIES_MAX) waiting.shift();
    frame ??= requestAnimationFrame(draw);
  }

  return {
    /** A message: event name, channel, position, time, data. */
    message({ name, channel, id, at, data }) {
      messages += 1;
      add(() => entry("message", [
        element("span", "event", name),
        channel === undefined ? "" : element("span", "channel", channel),
        id === undefined ? element("span", "tag", "volatile") : element("code", "id", id),
        timeOf(at),
      ], element("pre", "data", data)));
    },
    /** Something the server or the line itself says. */
    note(tone, title, text) {
      const now = new Date().toISOString();
      add(() => entry(`note ${tone}`, [element("strong", "event", title), timeOf(now)], element("p", "text", text)));
    },
    clear() {
      waiting = [];
      messages = 0;
      list.replaceChildren();
      describe();
    },
  };
}

/** One entry of the feed: a line of facts, and what it carries below. */
function entry(className, facts, body) {
  const node = element("li", `entry ${className}`);
  const head = element("div", "entry-head");
  head.append(...facts);
  node.append(head, body);
  return node;
}

/** A moment by the reader's clock; the exact one as a tooltip. */
function timeOf(iso) {
  const at = new Date(iso);
  const node = element("time", "", Number.isNaN(at.getTime()) ? "" : CLOCK.format(at));
  node.title = iso;
  return node;
}

/** The facts about the line, and its state. */
function createFacts() {
  const box = byId("state");
  return {
    state(name) {
      // Said only when it changes: a screen reader reads it out.
      if (box.dataset.state === name) return;
      box.dataset.state = name;
      [box.textContent, byId("drop").textContent] = STATES[name];
    },
    hello({ session, connection, node, channels }) {
      Object.entries({ session, connection, node }).forEach(([id, text]) => say(id, text));
      say("channels", channels.join(", "));
    },
    position: (position) => say("position", position),
    pulse: (kind) => say("pulse", `${kind}, ${CLOCK.format()}`),
    resume: (tone, ...lines) => showResult(byId("resume"), tone, lines),
  };
}

/** Counts what was published while the line was away, so that a resume can be seen to be whole. */
function createRecovery(facts) {
  let since = null;
  let count = 0;
  let lead = "";
  let frame = null;

  function show() {
    frame = null;
    if (since === null) return;
    const came = count === 0 ? "Nothing was published meanwhile." : `${plural(count, "message")} recovered.`;
    facts.resume("good", `${lead} ${came}`);
  }

  return {
    /** The line is back: what is older than this moment of the server was missed. */
    begin(serverTime, text) {
      since = Date.parse(serverTime);
      count = 0;
      lead = text;
      frame ??= requestAnimationFrame(show);
    },
    message(at) {
      if (since === null || !(Date.parse(at) <= since)) return;
      count += 1;
      frame ??= requestAnimationFrame(show);
    },
    stop() {
      since = null;
    },
  };
}

/** The stream: one EventSource at a time, opened again at the last position. */
class Line {
  #account;
  #feed;
  #facts;
  #recovery;
  #onUnauthorized;
  #session = newSessionToken();
  #names = new Set();
  #channels = [];
  #source = null;
  #state = "dropped";
  #position = "";
  // Where the latest EventSource was told to begin, until its first hello; later the browser sees to that.
  #asked = null;
  #hello = null;
  #isWhole = true;
  #heardAt = 0;
  #retry = 0;
  // Counts what was begun, so that what comes late from a request for a ticket is recognised.
  #attempt = 0;

  /** `onUnauthorized` is called when the server wants to know who listens. */
  constructor(account, feed, facts, onUnauthorized) {
    this.#account = account;
    this.#onUnauthorized = onUnauthorized;
    this.#feed = feed;
    this.#facts = facts;
    this.#recovery = createRecovery(facts);
    setInterval(() => this.#checkPulse(), 1000);
  }

  get names() {
    return [...this.#names];
  }

  /** Listens to one more event name; the stream stays open. */
  listenTo(name) {
    if (KNOWN_EVENTS.includes(name) || this.#names.has(name)) return;
    if (this.#names.size >= EVENT_NAMES_MAX || !EVENT_NAME.test(name)) return;
    this.#names.add(name);
    this.#source?.addEventListener(name, this.#onMessage);
  }

  /** Listens to these names alone. */
  listenOnlyTo(wanted) {
    for (const name of this.#names) this.#source?.removeEventListener(name, this.#onMessage);
    this.#names.clear();
    for (const name of wanted) this.listenTo(name);
  }

  /** Follows these channels, behind the last position or from the earliest message that is left. */
  follow(channels, fromEarliest) {
    this.#channels = channels;
    this.#recovery.stop();
    this.#facts.resume("plain");
    this.#open(fromEarliest ? EARLIEST : this.#position);
  }

  /** Drops the line, or opens it again behind the last position. */
  toggle() {
    if (this.#state === "dropped" || this.#state === "ended") return this.#open();
    this.#close();
    this.#recovery.stop();
    this.#setState("dropped");
    this.#feed.note("warn", "Dropped", `The line was cut by you behind ${this.#position || "the start"}.`);
    return this.#facts.resume("warn", "The line is down. Publish something now, then resume: it will be here.");
  }

  /** Opens the line again at its last position, as whoever is now signed in. */
  reopen() {
    // What another may hear is another session, and its own feed.
    this.#session = newSessionToken();
    this.#open();
  }

  #open(lastEventId = this.#position) {
    this.#close();
    this.#setState(this.#hello ? "reconnecting" : "connecting");
    this.#asked = lastEventId;
    if (this.#account.isSignedIn) this.#openWithTicket(this.#attempt);
    else this.#connect();
  }

  async #openWithTicket(attempt) {
    try {
      const ticket = await this.#account.ticket();
      if (attempt === this.#attempt) this.#connect(ticket);
    } catch (error) {
      if (attempt !== this.#attempt) return;
      const status = error instanceof Refused ? error.answer.status : 0;
      if (status === 401) this.#end(await problemLines(error.answer), true);
      else this.#retryLater();
    }
  }

  #connect(ticket) {
    this.#heardAt = Date.now();
    const url = this.#url();
    url.searchParams.set("session", this.#session);
    if (this.#asked) url.searchParams.set("lastEventId", this.#asked);
    if (ticket) url.searchParams.set("ticket", ticket);
    const source = new EventSource(url);
    this.#source = source;
    source.addEventListener("hello", this.#onHello);
    source.addEventListener("ping", this.#heard);
    source.addEventListener("gap", this.#onGap);
    source.addEventListener("bye", this.#onBye);
    source.addEventListener("message", this.#onMessage);
    source.addEventListener("error", this.#onError);
    // A message may be named "open" as well.
    source.addEventListener("open", (event) => event instanceof MessageEvent && this.#onMessage(event));
    for (const name of this.#names) source.addEventListener(name, this.#onMessage);
  }

  #close() {
    this.#attempt += 1;
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = null;
  }

  #url() {
    const url = new URL("api/events", document.baseURI);
    for (const channel of this.#channels) url.searchParams.append("channel", channel);
    url.searchParams.set("format", "envelope");
    url.searchParams.set("pad", "1");
    return url;
  }

  #setState(state) {
    this.#state = state;
    this.#facts.state(state);
  }

  /**
   * EventSource never gives up what is merely silent, be it an open line or an answer that does not
   * come; pings tell silence from death. While it waits to reconnect, silence is as it should be.
   */
  #checkPulse() {
    if (this.#source === null) return;
    const allowance = this.#state === "live" ? 0 : RETRY_MS.serverMax;
    const silenceMax = HEARTBEATS_MISSED_MAX * (this.#hello?.heartbeatMs ?? HEARTBEAT_MS) + allowance;
    if (Date.now() - this.#heardAt > silenceMax) this.#open();
  }

  #heard = (event) => {
    this.#heardAt = Date.now();
    this.#facts.pulse(event.type);
    if (!event.lastEventId) return;
    this.#position = event.lastEventId;
    this.#facts.position(this.#position);
  };

  #onHello = (event) => {
    const resumedFrom = this.#asked ?? this.#position;
    const isFirst = this.#hello === null;
    this.#asked = null;
    this.#heard(event);
    this.#hello = JSON.parse(event.data);
    this.#isWhole = true;
    this.#setState("live");
    this.#facts.hello(this.#hello);
    if (this.#hello.recovered) {
      const place = resumedFrom === EARLIEST ? "from the earliest message" : `behind ${resumedFrom}`;
      this.#recovery.begin(this.#hello.serverTime, `Resumed ${place}.`);
      this.#feed.note("good", "Resumed", `The stream goes on ${place}; nothing is missing.`);
    } else {
      this.#recovery.stop();
      this.#facts.resume("plain");
      const { node, connection } = this.#hello;
      this.#feed.note("plain", isFirst ? "Connected" : "Connected again", `To node ${node}, as ${connection}.`);
    }
  };

  #onGap = (event) => {
    this.#heard(event);
    const gap = JSON.parse(event.data);
    const text = gapText(gap);
    // After "inbox" only direct messages are in doubt; what the channels had is all here.
    const isMild = gap.reason === "inbox";
    this.#feed.note(isMild ? "warn" : "bad", "Gap", isMild ? text : `${text} Concerns: ${gap.channels.join(", ")}.`);
    if (isMild && this.#isWhole) return this.#recovery.begin(this.#hello.serverTime, text);
    this.#isWhole = false;
    this.#recovery.stop();
    return this.#facts.resume("bad", text);
  };

  #onBye = (event) => {
    this.#heard(event);
    const bye = JSON.parse(event.data);
    this.#feed.note("warn", "Bye", `${bye.reason} (${bye.code} ${bye.name})`);
    // The browser itself comes back after every end, also when it should not.
    if (bye.reconnect) return;
    this.#close();
    this.#setState("ended");
    this.#facts.resume("warn", bye.reason);
    if (bye.name === "signed_out") this.#onUnauthorized();
  };

  #onMessage = (event) => {
    this.#heard(event);
    const { channel, id, at, data } = readEnvelope(event.data);
    this.#recovery.message(at);
    this.#feed.message({ name: event.type, channel, id, at, data });
  };

  #onError = (event) => {
    // A message may be named "error"; only a plain Event speaks of the line.
    if (event instanceof MessageEvent) return this.#onMessage(event);
    if (event.target !== this.#source) return undefined;
    if (this.#source.readyState === EventSource.CLOSED) return this.#onRefusal();
    // The browser would come back with the ticket that it has used.
    if (this.#account.isSignedIn) {
      this.#close();
      this.#retryLater();
    }
    return this.#setState(this.#hello ? "reconnecting" : "connecting");
  };

  /**
   * The browser gives up for good at an error status and does not say which, so ask once. What
   * passes by itself, such as a proxy's 502 while the server starts, is tried again from here.
   */
  async #onRefusal() {
    this.#close();
    this.#setState("reconnecting");
    const attempt = this.#attempt;
    const { passes, isUnauthorized, lines } = await reasonOfRefusal(this.#url(), await this.#headers());
    // Meanwhile the reader may have dropped the line or opened another.
    if (attempt !== this.#attempt) return;
    if (!passes) return this.#end(lines, isUnauthorized);
    this.#facts.resume("warn", ...lines);
    this.#retryLater();
  }

  /** What the account sends along; without an answer to that, nothing: the refusal then says enough. */
  async #headers() {
    try {
      return await this.#account.headers();
    } catch {
      return {};
    }
  }

  #end(lines, isUnauthorized) {
    this.#setState("ended");
    this.#facts.resume("bad", ...lines);
    if (isUnauthorized) this.#onUnauthorized();
  }

  #retryLater() {
    const { min, max } = RETRY_MS;
    this.#setState("reconnecting");
    this.#retry = setTimeout(() => this.#open(), min + Math.random() * (max - min));
  }
}

/** A message in the envelope format; what is none is shown as it came. */
function readEnvelope(text) {
  try {
    const envelope = JSON.parse(text);
    return { ...envelope, data: prettyJson(envelope.data) };
  } catch {
    return { data: text };
  }
}

/** What a gap means to the reader. */
function gapText({ reason, requested, resumedFrom }) {
  const from = requested ?? "the start";
  const on = `The stream goes on behind ${resumedFrom}.`;
  switch (reason) {
    case "retention": return `Retention has removed messages behind ${from}. ${on}`;
    case "epoch": return `The log was replaced since ${from}. ${on}`;
    case "unknown": return `${from} is no position of this log. ${on}`;
    case "inbox": return `Resumed behind ${resumedFrom}. The server had forgotten this session: direct messages may be lost.`;
    case "presence": return `Changes of presence were skipped. ${on}`;
    default: return `Something is missing behind ${from} (${reason}). ${on}`;
  }
}

/** Asks the stream's address why it refused: whether that passes by itself, and what to say. */
async function reasonOfRefusal(url, credentials) {
  const abort = new AbortController();
  try {
    const headers = { ...credentials, accept: "application/problem+json" };
    const answer = await fetch(url, { signal: abort.signal, headers });
    if (answer.status === 204) return { passes: false, lines: ["The server wants no further stream from this page."] };
    if (answer.ok) return { passes: true, lines: [] };
    const lines = await problemLines(answer);
    const passes = answer.status >= 500 || answer.status === 429;
    if (passes) return { passes, lines: [...lines, "Trying again by itself."] };
    return { passes, isUnauthorized: answer.status === 401, lines };
  } catch {
    return { passes: true, lines: ["The server does not answer. Trying again by itself."] };
  } finally {
    abort.abort();
  }
}

/** What a problem document says (RFC 9457): what happened, and what to do first. */
async function problemLines(answer) {
  try {
    const problem = await answer.json();
    return [`${problem.title} (${answer.status} ${problem.code})`, problem.detail, problem.remediation];
  } catch {
    return [`The server answered ${answer.status} ${answer.statusText}`];
  }
}

/** The form that publishes. A repeat after a lost answer carries the same key: nothing comes twice. */
function setUpPublish(account, line) {
  const form = byId("publish");
  const receipt = byId("receipt");
  const button = form.querySelector("button");
  let unanswered = null;

  function request() {
    const url = new URL("api/broadcast", document.baseURI);
    const channel = byId("publish-channel").value.trim();
    const event = byId("publish-event").value.trim();
    if (channel) url.searchParams.set("channel", channel);
    if (event) url.searchParams.set("event", event);
    if (byId("publish-volatile").checked) url.searchParams.set("volatile", "true");
    // The text goes out as it was typed: the server judges it, and the listeners get it unchanged.
    return { url, event, body: byId("publish-data").value };
  }

  function keyFor(url, body) {
    const text = `${url}\n${body}`;
    if (unanswered?.text !== text) unanswered = { text, key: newSessionToken() };
    return unanswered.key;
  }

  async function publish() {
    const { url, event, body } = request();
    const headers = { ...(await account.headers()), "content-type": "application/json" };
    if (url.searchParams.has("volatile")) unanswered = null;
    else headers["idempotency-key"] = keyFor(url, body);
    if (event) addName(line, event);
    const answer = await fetch(url, { method: "POST", headers, body });
    // A refusal that passes by itself may be repeated with the same key.
    if (answer.status < 500) unanswered = null;
    if (!answer.ok) return showResult(receipt, "bad", await problemLines(answer));
    return showResult(receipt, "good", [receiptText(await answer.json())]);
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.disabled = true;
    try {
      await publish();
    } catch {
      const repeat = unanswered === null
        ? "Whether the message was delivered is unknown."
        : "Publish again: the repeat has the same key, so it cannot come twice.";
      showResult(receipt, "bad", ["The server did not answer.", repeat]);
    }
    button.disabled = false;
  });
  byId("publish-data").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}

const DURABILITY = { disk: "stored on the disk", os: "stored with the operating system", memory: "not stored" };

function receiptText({ id, durability, receivers }) {
  const where = DURABILITY[durability];
  const reach = receivers === null ? "" : ` for ${plural(receivers, "receiver")}`;
  return id === null ? `Delivered${reach}, ${where}.` : `Published as ${id}${reach}, ${where}.`;
}

function setUpFollow(line, feed) {
  const events = byId("follow-events");
  line.listenOnlyTo(splitNames(events.value));
  byId("follow").addEventListener("submit", (event) => {
    event.preventDefault();
    const fromEarliest = byId("follow-earliest").checked;
    if (fromEarliest) feed.clear();
    line.listenOnlyTo(splitNames(events.value));
    line.follow(splitNames(byId("follow-channels").value), fromEarliest);
  });
}

/** Listens to a name that is about to be published, and says so in the form. */
function addName(line, name) {
  line.listenTo(name);
  byId("follow-events").value = line.names.join(", ");
}

/** The form that signs in, shown when the server asks for it, and the way out. */
function setUpSignIn(account, openLine) {
  const form = byId("sign-in");
  const result = byId("sign-in-result");
  const button = form.querySelector("button");

  function show({ user, isAsked }) {
    byId("sign-in-card").hidden = !isAsked;
    byId("who").hidden = byId("sign-out").hidden = !user;
    say("who", user ? `${user.name} (${user.role})` : "");
  }

  async function signIn() {
    const password = byId("sign-in-password");
    show({ user: await account.signIn(byId("sign-in-name").value, password.value) });
    password.value = "";
    showResult(result, "plain", []);
    openLine();
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      await signIn();
    } catch (error) {
      const lines = error instanceof Refused ? await problemLines(error.answer) : ["The server does not answer."];
      showResult(result, "bad", lines);
    }
    button.disabled = false;
  });
  byId("sign-out").addEventListener("click", () => {
    show({});
    // The page forgets the login at once; where the server does not hear of it, it ends by itself.
    account.signOut().catch(() => {});
    openLine();
  });
  return () => show({ isAsked: true });
}

function start() {
  for (const node of document.querySelectorAll("[data-origin]")) node.textContent = location.origin;
  const feed = createFeed();
  const account = new Account();
  const askWho = setUpSignIn(account, () => line.reopen());
  const line = new Line(account, feed, createFacts(), askWho);
  setUpFollow(line, feed);
  setUpPublish(account, line);
  byId("clear").addEventListener("click", feed.clear);
  byId("drop").addEventListener("click", () => line.toggle());
  line.follow([], false);
}

start();
