// The first page: a live feed over the browser's own EventSource, and a form that publishes.
//
// Server-Sent Events as in WHATWG HTML, section 9.2. What comes from the server reaches the
// document as text nodes only. A module: strict, and without globals.

/** Entries that the feed keeps; the oldest goes first. */
const FEED_ENTRIES_MAX = 200;

/** Event names that the page listens to at most: one listener each. */
const EVENT_NAMES_MAX = 50;

/** What the server itself says; nobody can publish under these names. */
const SERVER_EVENTS = ["hello", "ping", "gap", "bye", "presence"];

/** EventSource fires events of its own under these names, so they are listened to anyway. */
const NATIVE_EVENTS = ["open", "error", "message"];

/** Silence after which a line counts as dead, in heartbeats: a half-open socket tells nobody. */
const HEARTBEATS_MISSED_MAX = 3;

/** Pause before the page itself tries again, in milliseconds; random, to spread a crowd. */
const RETRY_MS = { min: 1000, max: 3000 };

/** The position before everything that is retained. */
const EARLIEST = "earliest";

const STATES = {
  connecting: "Connecting",
  live: "Live",
  reconnecting: "Reconnecting",
  dropped: "Dropped on purpose",
  ended: "Ended by the server",
};

const byId = (id) => document.getElementById(id);

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

/** The list of what came, newest first. Entries are drawn once per frame, however fast they come. */
function createFeed() {
  const list = byId("feed");
  const clock = new Intl.DateTimeFormat([], {
    hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false,
  });
  let waiting = [];
  let messages = 0;
  let frame = null;

  function describe() {
    const shown = list.childElementCount;
    byId("feed-empty").hidden = shown > 0;
    byId("feed-count").textContent = messages === 0
      ? "No messages yet"
      : plural(messages, "message") + (shown >= FEED_ENTRIES_MAX ? `, the newest ${FEED_ENTRIES_MAX} entries stay` : "");
  }

  function draw() {
    frame = null;
    const wasAtTop = list.scrollTop < 8;
    list.prepend(...waiting.reverse());
    waiting = [];
    while (list.childElementCount > FEED_ENTRIES_MAX) list.lastElementChild.remove();
    if (wasAtTop) list.scrollTop = 0;
    describe();
  }

  function add(node) {
    waiting.push(node);
    // A hidden tab draws nothing; it must not collect without bound either.
    if (waiting.length > FEED_ENTRIES_MAX) waiting.shift();
    frame ??= requestAnimationFrame(draw);
  }

  function timeOf(iso) {
    const at = iso === undefined ? new Date() : new Date(iso);
    const node = element("time", "", Number.isNaN(at.getTime()) ? String(iso) : clock.format(at));
    node.dateTime = iso ?? at.toISOString();
    node.title = node.dateTime;
    return node;
  }

  return {
    /** A message: event name, channel, position, time, data. */
    message({ name, channel, id, at, data }) {
      messages += 1;
      const entry = element("li", "entry message");
      const head = element("div", "entry-head");
      head.append(element("span", "event", name));
      if (channel !== undefined) head.append(element("span", "channel", channel));
      head.append(id === undefined ? element("span", "tag", "volatile") : element("code", "id", id));
      head.append(timeOf(at));
      entry.append(head, element("pre", "data", data));
      add(entry);
    },
    /** Something the server or the line itself says. */
    note(tone, title, text) {
      const entry = element("li", "entry note");
      entry.dataset.tone = tone;
      const head = element("div", "entry-head");
      head.append(element("strong", "event", title), timeOf());
      entry.append(head, element("p", "text", text));
      add(entry);
    },
    clear() {
      waiting = [];
      messages = 0;
      list.replaceChildren();
      describe();
    },
  };
}

/** The facts about the line, and its state. */
function createFacts() {
  const state = byId("state");
  return {
    state(name) {
      state.dataset.state = name;
      state.textContent = STATES[name];
    },
    hello(hello) {
      byId("session").textContent = hello.session;
      byId("connection").textContent = hello.connection;
      byId("node").textContent = hello.node;
      byId("channels").textContent = hello.channels.join(", ");
    },
    position(position) {
      byId("position").textContent = position || "–";
    },
    pulse(kind) {
      byId("pulse").textContent = `${kind}, ${new Date().toLocaleTimeString([], { hour12: false })}`;
    },
    resume(tone, ...lines) {
      showResult(byId("resume"), tone, lines);
    },
  };
}

/** Counts what was published while the line was away, so that a resume can be seen to be whole. */
function createRecovery(facts) {
  let since = null;
  let count = 0;
  let lead = "";
  function show() {
    const came = count === 0 ? "Nothing was published meanwhile." : `${plural(count, "message")} recovered.`;
    facts.resume("good", `${lead} ${came}`);
  }
  return {
    /** The line is back: what is older than this moment of the server was missed. */
    begin(serverTime, text) {
      since = Date.parse(serverTime);
      count = 0;
      lead = text;
      show();
    },
    message(at) {
      if (since === null || at === undefined || Date.parse(at) > since) return;
      count += 1;
      show();
    },
    stop() {
      since = null;
    },
  };
}

/** The stream: one EventSource at a time, opened again at the last position. */
function createLine(feed, facts) {
  const session = newSessionToken();
  const recovery = createRecovery(facts);
  const names = new Set();
  let channels = [];
  let position = "";
  let source = null;
  let retry = 0;
  let state = "dropped";
  let hasBeenLive = false;
  let heartbeatMs = 25_000;
  let heardAt = 0;
  // Where the latest EventSource was told to begin, until its first hello; later the browser sees to that.
  let asked = null;

  function setState(next) {
    state = next;
    facts.state(next);
    const button = byId("drop");
    button.textContent = next === "dropped" ? "Resume" : next === "ended" ? "Connect again" : "Drop the line";
  }

  function heard(event, kind) {
    heardAt = Date.now();
    facts.pulse(kind);
    if (event.lastEventId) {
      position = event.lastEventId;
      facts.position(position);
    }
  }

  function onHello(event) {
    const resumedFrom = asked ?? position;
    asked = null;
    heard(event, "hello");
    const hello = JSON.parse(event.data);
    heartbeatMs = hello.heartbeatMs;
    setState("live");
    facts.hello(hello);
    if (hello.recovered) {
      const place = resumedFrom === EARLIEST ? "from the earliest message" : `behind ${resumedFrom}`;
      recovery.begin(hello.serverTime, `Resumed ${place}.`);
      feed.note("good", "Resumed", `The stream goes on ${place}; nothing is missing.`);
    } else {
      recovery.stop();
      facts.resume("plain");
      feed.note("plain", hasBeenLive ? "Connected again" : "Connected", `To node ${hello.node}, as ${hello.connection}.`);
    }
    hasBeenLive = true;
  }

  function onGap(event) {
    heard(event, "gap");
    const gap = JSON.parse(event.data);
    const from = gap.requested === null ? "the start" : gap.requested;
    const text = `Messages behind ${from} are no longer there (${gap.reason}); the stream goes on behind ${gap.resumedFrom}.`;
    recovery.stop();
    feed.note("bad", "Gap", `${text} Concerns: ${gap.channels.join(", ")}.`);
    facts.resume("bad", `Gap. ${text}`);
  }

  function onBye(event) {
    heard(event, "bye");
    const bye = JSON.parse(event.data);
    feed.note("warn", "Bye", `${bye.reason} (${bye.code} ${bye.name})`);
    // The browser itself comes back after every end, also when it should not.
    if (bye.reconnect) return;
    close();
    setState("ended");
    facts.resume("warn", bye.reason);
  }

  function onMessage(event) {
    heard(event, "message");
    let envelope = {};
    let data = event.data;
    try {
      envelope = JSON.parse(event.data);
      data = prettyJson(envelope.data);
    } catch {
      // Not an envelope: shown as it came.
    }
    recovery.message(envelope.at);
    feed.message({ name: event.type, channel: envelope.channel, id: envelope.id, at: envelope.at, data });
  }

  function onError(event) {
    // A message may be named "error" as well; only a plain Event speaks of the line.
    if (event instanceof MessageEvent) return onMessage(event);
    if (event.target !== source) return undefined;
    if (source.readyState === EventSource.CLOSED) return refused();
    if (state !== "reconnecting") setState(hasBeenLive ? "reconnecting" : "connecting");
    return undefined;
  }

  /**
   * The browser gives up for good at an error status and does not say which, so ask once. What
   * passes by itself, such as a proxy's 502 while the server starts, is tried again from here.
   */
  async function refused() {
    close();
    setState("reconnecting");
    const { passes, lines } = await reasonOfRefusal(streamUrl());
    // Meanwhile the reader may have dropped the line or opened another.
    if (source !== null || state !== "reconnecting") return;
    facts.resume(passes ? "warn" : "bad", ...lines);
    if (!passes) return setState("ended");
    const { min, max } = RETRY_MS;
    retry = setTimeout(open, min + Math.random() * (max - min));
  }

  function streamUrl(lastEventId, token) {
    const url = new URL("api/events", document.baseURI);
    for (const channel of channels) url.searchParams.append("channel", channel);
    url.searchParams.set("format", "envelope");
    url.searchParams.set("pad", "1");
    if (token) url.searchParams.set("session", token);
    if (lastEventId) url.searchParams.set("lastEventId", lastEventId);
    return url;
  }

  function close() {
    clearTimeout(retry);
    source?.close();
    source = null;
  }

  function open() {
    openAt(position);
  }

  function openAt(lastEventId) {
    close();
    setState(hasBeenLive ? "reconnecting" : "connecting");
    heardAt = Date.now();
    asked = lastEventId;
    source = new EventSource(streamUrl(lastEventId, session));
    source.addEventListener("hello", onHello);
    source.addEventListener("ping", (event) => heard(event, "ping"));
    source.addEventListener("gap", onGap);
    source.addEventListener("bye", onBye);
    source.addEventListener("message", onMessage);
    source.addEventListener("error", onError);
    source.addEventListener("open", (event) => event instanceof MessageEvent && onMessage(event));
    for (const name of names) source.addEventListener(name, onMessage);
  }

  // EventSource never gives up a line that is merely silent; pings tell silence from death.
  setInterval(() => {
    if (state === "live" && Date.now() - heardAt > HEARTBEATS_MISSED_MAX * heartbeatMs) open();
  }, 1000);

  return {
    /** Listens to one more event name; the stream stays open. */
    listenTo(name) {
      if (SERVER_EVENTS.includes(name) || NATIVE_EVENTS.includes(name)) return;
      if (names.has(name) || names.size >= EVENT_NAMES_MAX) return;
      names.add(name);
      source?.addEventListener(name, onMessage);
    },
    /** Listens to these names alone. */
    listenOnlyTo(wanted) {
      for (const name of names) source?.removeEventListener(name, onMessage);
      names.clear();
      wanted.forEach((name) => this.listenTo(name));
    },
    names: () => [...names],
    /** Follows these channels, from the last position or from the earliest message that is left. */
    follow(wanted, fromEarliest) {
      channels = wanted;
      facts.resume("plain");
      openAt(fromEarliest ? EARLIEST : position);
    },
    /** Drops the line, or opens it again behind the last position. */
    toggle() {
      if (state === "dropped" || state === "ended") return open();
      close();
      setState("dropped");
      feed.note("warn", "Dropped", `The line was cut by you behind ${position || "the start"}.`);
      return facts.resume("warn", "The line is down. Publish something now, then resume: it will be here.");
    },
  };
}

/** Asks the stream's address why it refused: whether that passes by itself, and what to say. */
async function reasonOfRefusal(url) {
  const abort = new AbortController();
  try {
    const answer = await fetch(url, { signal: abort.signal, headers: { accept: "application/problem+json" } });
    if (answer.status === 204) return { passes: false, lines: ["The server wants no further stream from this page."] };
    if (answer.ok) return { passes: true, lines: [] };
    const lines = await problemLines(answer);
    const passes = answer.status >= 500 || answer.status === 429;
    return passes ? { passes, lines: [...lines, "Trying again by itself."] } : { passes, lines };
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
function setUpPublish(line, showNames) {
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
    const headers = { "content-type": "application/json" };
    if (!url.searchParams.has("volatile")) headers["idempotency-key"] = keyFor(url, body);
    if (event) showNames(line, event);
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
      showResult(receipt, "bad", ["The server did not answer. Publish again: the repeat has the same key, so it cannot come twice."]);
    }
    button.disabled = false;
  });
  byId("publish-data").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}

function receiptText({ id, durability, receivers }) {
  const where = { disk: "stored on the disk", os: "stored with the operating system", memory: "not stored" }[durability];
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
  byId("follow-events").value = line.names().join(", ");
}

function start() {
  for (const node of document.querySelectorAll("[data-origin]")) node.textContent = location.origin;
  const feed = createFeed();
  const line = createLine(feed, createFacts());
  setUpFollow(line, feed);
  setUpPublish(line, addName);
  byId("clear").addEventListener("click", feed.clear);
  byId("drop").addEventListener("click", line.toggle);
  line.follow([], false);
}

start();
