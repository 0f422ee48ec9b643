// The page of a call: forms, buttons and tiles around santral-call.js.
//
// The room is in the fragment of the address, `#room=meeting-123`, and so may an invitation be, `&joinToken=…`: browsers
// send it to nobody. What comes from the server reaches the document as text nodes only.

import { Account, Refused } from "./account.js";
import { Tiles } from "./call-tiles.js";
import { Call, Problem } from "./santral-call.js";

const byId = (id) => document.getElementById(id);

const STATES = {
  idle: "Not in a call", connecting: "Connecting", lobby: "Waiting to be let in",
  joined: "In the call", reconnecting: "Reconnecting", ended: "Not in a call",
};

// Why a call is over, for whom it is. Without an entry nothing has to be said.
const ENDS = {
  kicked: ["bad", "You were removed from the call."],
  banned: ["bad", "You were removed from the call and cannot come back."],
  denied: ["bad", "The host did not let you in."],
  lobby_timeout: ["warn", "Nobody let you in."],
  replaced: ["warn", "The call goes on in another tab or window."],
  signed_out: ["warn", "You were signed out."],
  room_closed: ["", "The call is over."],
  room_expired: ["", "The call's time is over."],
  closed: ["", "The host has ended the call."],
  host_left: ["", "The host has left and the call is over."],
  empty: ["", "The room was closed because nobody was in it."],
  expired: ["", "The call's time is over."],
};

// How somebody else has left, where it was not by leaving.
const HOW = {
  page_closed: " (the page was closed)", timeout: " (the line was lost)", kicked: " (removed)", banned: " (removed)",
};

// What the server's refusals mean to somebody who only wants to talk.
const REFUSALS = {
  not_found: "There is no such room, or it is not for you. You can open it as a new room.",
  room_full: "All seats are taken.",
  banned: "You were removed from this room and cannot come back.",
  bad_password: "This is not the password of the room.",
  not_open_yet: "The room is not open yet.",
  room_closed: "The room has been closed.",
};

// A reload must not end the call of who is signed in.
const account = new Account(sessionStorage);
const tiles = new Tiles(byId("tiles"));
// What is sent: the tracks of microphone, camera and screen.
let own = { audio: null, video: null, screen: null };
let call = null;
let secrets = {};

/** The call of this page, or `null`. */
export const current = () => call;

/** Says something that stays until the next thing is said. */
function say(tone, ...lines) {
  const notice = byId("notice");
  notice.dataset.tone = tone;
  notice.replaceChildren(...lines.filter(Boolean).map((line) => {
    const paragraph = document.createElement("p");
    paragraph.textContent = line;
    return paragraph;
  }));
}

const mention = (text) => (byId("said").textContent = text);

/** What the form remembers over a reload: not the password. */
const remembered = {
  load: () => JSON.parse(sessionStorage.getItem("santral.call") ?? "{}"),
  save: (change) => sessionStorage.setItem("santral.call", JSON.stringify({ ...remembered.load(), ...change })),
};

// Microphone, camera, screen.

const AUDIO = { echoCancellation: true, noiseSuppression: true };
const VIDEO = { width: { ideal: 1280 }, height: { ideal: 720 } };

/** The tracks that can be had; what cannot is said, and the call goes on without. */
async function openDevices({ audio, video }) {
  if (!audio && !video) return {};
  if (!navigator.mediaDevices) {
    say("warn", "Browsers give camera and microphone only to pages from https or this machine. You can listen and watch.");
    return {};
  }
  const open = async (wish) => (await navigator.mediaDevices.getUserMedia(wish)).getTracks();
  let tracks = [];
  try {
    tracks = await open({ audio: audio && AUDIO, video: video && VIDEO });
  } catch (error) {
    // Perhaps one of the two is there.
    const each = audio && video ? [open({ audio: AUDIO }), open({ video: VIDEO })] : [];
    tracks = (await Promise.all(each.map((some) => some.catch(() => [])))).flat();
    say("warn", whyNoDevice(error), "The call goes on without.");
  }
  return Object.fromEntries(tracks.map((track) => [track.kind, track]));
}

function whyNoDevice({ name }) {
  switch (name) {
    case "NotAllowedError": return "The browser does not let this page use the camera or the microphone.";
    case "NotFoundError": return "There is no camera or no microphone.";
    case "NotReadableError": return "The camera or the microphone is in use elsewhere.";
    default: return `The camera or the microphone cannot be used (${name}).`;
  }
}

/** A button that starts what is not there yet, and else switches it off and on. */
async function toggleDevice(kind) {
  if (own[kind]) {
    await call.setEnabled({ [kind]: !own[kind].enabled });
  } else {
    own = { ...own, ...(await openDevices({ audio: kind === "audio", video: kind === "video" })) };
    await call.setTracks({ [kind]: own[kind] });
  }
  remembered.save({ [kind]: call.media[kind] });
  draw();
}

async function toggleScreen() {
  if (own.screen) return stopScreen();
  let stream;
  try {
    stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 15 } }, audio: false });
  } catch (error) {
    // Whoever closes the browser's question has decided.
    if (error.name !== "NotAllowedError") mention(`The screen cannot be shared (${error.name}).`);
    return undefined;
  }
  [own.screen] = stream.getVideoTracks();
  own.screen.contentHint = "detail";
  own.screen.addEventListener("ended", stopScreen);
  await call.setTracks({ screen: own.screen });
  return draw();
}

async function stopScreen() {
  own.screen?.stop();
  own.screen = null;
  if (call?.state === "joined") await call.setTracks({ screen: null });
  draw();
}

function closeDevices() {
  for (const track of Object.values(own)) track?.stop();
  own = { audio: null, video: null, screen: null };
}

// Coming and going.

async function enter({ room, isNew }) {
  const name = byId("name").value.trim();
  say("");
  remembered.save({ name, audio: byId("with-audio").checked, video: byId("with-video").checked });
  setAddress(room);
  if (isNew) await open(room);
  own = { ...own, ...(await openDevices({ audio: byId("with-audio").checked, video: byId("with-video").checked })) };
  const parameters = new URLSearchParams(location.hash.slice(1));
  const password = (isNew ? byId("new-password") : byId("password")).value || undefined;
  const transport = parameters.get("transport") ?? "sse";
  // Which the server has if its operator gave it one.
  const io = transport === "socketio" ? (await import("./socket.io/socket.io.esm.min.js")).io : undefined;
  call = new Call({
    room, name, password, transport, io, base: document.baseURI, ...secrets[room],
    joinToken: parameters.get("joinToken") ?? undefined,
    headers: () => account.headers(),
    ticket: async () => (account.isSignedIn ? account.ticket() : null),
  });
  listen(call);
  await call.join(own);
}

/** Opens a new room. Its host token stays in the tab, for a reload. */
async function open(room) {
  const created = await Call.create({
    roomId: room, name: room,
    maxParticipants: Number(byId("new-seats").value) || undefined,
    password: byId("new-password").value || undefined,
    lobby: byId("new-lobby").checked ? "on" : "off",
  }, { base: document.baseURI, headers: await account.headers() });
  if (!created.hostToken) return;
  secrets = { ...secrets, [room]: { hostToken: created.hostToken } };
  remembered.save({ secrets });
}

function listen(joined) {
  const isMine = (act) => (event) => joined === call && act(event);
  joined.addEventListener("state", isMine(draw));
  joined.addEventListener("roster", isMine(draw));
  joined.addEventListener("media", isMine(draw));
  joined.addEventListener("left", isMine(({ detail: { participant, reason } }) => {
    mention(`${participant.displayName} has left${HOW[reason] ?? ""}.`);
  }));
  joined.addEventListener("problem", isMine(({ detail }) => mention(detail.message)));
  joined.addEventListener("expiring", isMine(({ detail }) => {
    mention(`The call ends at ${new Date(detail).toLocaleTimeString()}.`);
  }));
  joined.addEventListener("moderation", isMine(() => {
    mention("The host has muted you.");
    draw();
  }));
}

/** Tries, and says why not. */
async function attempt(doing) {
  const buttons = [byId("enter"), byId("create")];
  for (const button of buttons) button.disabled = true;
  try {
    await doing();
  } catch (error) {
    closeDevices();
    explain(error);
  } finally {
    for (const button of buttons) button.disabled = false;
    draw();
  }
}

function explain(error) {
  if (error instanceof Refused) return say("bad", error.message);
  if (!(error instanceof Problem)) return say("bad", "The server cannot be reached.", String(error.message));
  const { code, status, remediation } = error;
  if (status === 401) {
    byId("sign-in-card").hidden = false;
    byId("sign-in-name").focus();
    return say("warn", "This server asks who you are: sign in and join again.");
  }
  if (code === "bad_password") {
    const wasAsked = !byId("password-field").hidden;
    byId("password-field").hidden = false;
    byId("password").focus();
    return say(wasAsked ? "bad" : "warn", wasAsked ? REFUSALS.bad_password : "This room has a password.");
  }
  if (code === "not_found") byId("new-room").open = true;
  if (ENDS[code]) return say(...ENDS[code]);
  return say("bad", REFUSALS[code] ?? error.message, REFUSALS[code] ? "" : remediation);
}

function setAddress(room) {
  const parameters = new URLSearchParams(location.hash.slice(1));
  parameters.set("room", room);
  history.replaceState(null, "", `#${parameters}`);
}

function onEnded() {
  const { reason, problem, detail } = call.end;
  closeDevices();
  // Who asked for the call hears of a problem as the answer.
  if (!problem && ENDS[reason]) say(...ENDS[reason]);
  else if (!problem && detail) say("warn", detail);
  call = null;
  tiles.draw([]);
}

// What is to be seen.

function draw() {
  if (call?.state === "ended") onEnded();
  const state = call?.state ?? "idle";
  const isInside = state === "joined" || state === "reconnecting";
  byId("state").textContent = STATES[state];
  byId("state").dataset.state = state;
  byId("entrance").hidden = isInside || state === "lobby";
  const wasWaiting = !byId("waiting").hidden;
  byId("waiting").hidden = state !== "lobby";
  if (state === "lobby" && !wasWaiting) byId("waiting-title").focus();
  byId("call").hidden = !isInside;
  byId("title").textContent = isInside ? call.room.name : "Call";
  if (!isInside) return;
  drawTiles();
  drawBar();
  drawKnockers();
}

function drawTiles() {
  const sharing = call.participants.filter(({ media, mutedByHost }) => media?.screen && !mutedByHost?.screen);
  tiles.draw([
    ...sharing.map((one) => otherTile(one, "screen")),
    ...(own.screen ? [ownTile("screen")] : []),
    ownTile("camera"),
    ...call.participants.map((one) => otherTile(one, "camera")),
  ]);
}

function ownTile(kind) {
  const track = kind === "screen" ? own.screen : own.video;
  const participant = { ...call.me, state: call.state, media: call.media };
  return { participant, kind, isOwn: true, stream: ownStream(track), hasPicture: track?.enabled === true, tools: [] };
}

function otherTile(participant, kind) {
  const { participantId, media, mutedByHost } = participant;
  return {
    participant, kind, isOwn: false, stream: call.stream(participantId, kind),
    hasPicture: kind === "screen" || (media?.video === true && !mutedByHost?.video),
    tools: call.isHost || call.me.role === "moderator" ? toolsFor(participant) : [],
    onBlocked: () => mention("Click anywhere to hear the others."),
  };
}

const ownStreams = new WeakMap();

/** The stream of one track; the same one each time. */
function ownStream(track) {
  if (!track) return null;
  if (!ownStreams.has(track)) ownStreams.set(track, new MediaStream([track]));
  return ownStreams.get(track);
}

function toolsFor({ participantId, displayName, mutedByHost }) {
  const isMuted = mutedByHost?.audio === true;
  const [word, mute] = [isMuted ? "Let speak" : "Mute", { audio: !isMuted }];
  return [
    { text: word, label: `${word}: ${displayName}`, act: () => steer(() => call.update(participantId, { mute })) },
    { text: "Remove", label: `Remove: ${displayName}`, act: () => steer(() => call.kick(participantId)) },
  ];
}

/** Runs what a button does; what is refused is said below the buttons. */
async function steer(act) {
  try {
    await act();
    mention("");
  } catch (error) {
    mention(error.message);
  }
}

function drawBar() {
  const { media } = call;
  press("mute", !media.audio, media.audio ? "Mute" : "Unmute");
  press("camera", !media.video, media.video ? "Camera off" : "Camera on");
  press("screen", media.screen, media.screen ? "Stop sharing" : "Share screen");
  press("hand", call.me.handRaised === true, call.me.handRaised ? "Lower hand" : "Raise hand");
  byId("screen").hidden = !navigator.mediaDevices?.getDisplayMedia;
  byId("close").hidden = !call.isHost;
}

function press(id, isPressed, text) {
  byId(id).setAttribute("aria-pressed", String(isPressed));
  byId(id).textContent = text;
}

/** The list stays as long as it is the same, so that the keyboard's focus does. */
function drawKnockers() {
  const { waiting } = call;
  const list = byId("knockers");
  const who = waiting.map(({ participantId }) => participantId).join();
  byId("knocking").hidden = waiting.length === 0;
  if (list.dataset.who === who) return;
  list.dataset.who = who;
  list.replaceChildren(...waiting.map(knocker));
}

function knocker({ participantId, displayName }) {
  const item = document.createElement("li");
  const name = document.createElement("span");
  name.className = "who-knocks";
  name.textContent = displayName;
  const letIn = button("Let in", `Let in: ${displayName}`, () => call.admit([participantId]));
  const turnAway = button("Turn away", `Turn away: ${displayName}`, () => call.deny([participantId]));
  item.append(name, letIn, turnAway);
  return item;
}

function button(text, label, act) {
  const node = document.createElement("button");
  node.type = "button";
  node.textContent = text;
  node.setAttribute("aria-label", label);
  node.addEventListener("click", () => steer(act));
  return node;
}

// The page itself.

byId("join").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(() => enter({ room: byId("room").value.trim(), isNew: false }));
});

// No button that submits: Enter joins, and never opens a room by mistake.
byId("create").addEventListener("click", () => {
  if (byId("join").reportValidity()) attempt(() => enter({ room: byId("room").value.trim(), isNew: true }));
});

byId("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await account.signIn(byId("sign-in-name").value, byId("sign-in-password").value);
    byId("sign-in-card").hidden = true;
    say("good", "Signed in. Now join.");
    byId("sign-in-result").textContent = "";
  } catch (error) {
    const isWrong = error instanceof Refused && error.answer.status === 401;
    byId("sign-in-result").textContent = isWrong ? "This name and password do not go together." : error.message;
  }
});

byId("mute").addEventListener("click", () => steer(() => toggleDevice("audio")));
byId("camera").addEventListener("click", () => steer(() => toggleDevice("video")));
byId("screen").addEventListener("click", () => steer(toggleScreen));
byId("hand").addEventListener("click", () => steer(() => call.raiseHand(!call.me.handRaised)));
byId("leave").addEventListener("click", () => steer(() => call.leave()));
byId("stop-waiting").addEventListener("click", () => steer(() => call.leave()));
byId("close").addEventListener("click", () => steer(() => call.close()));
byId("admit-all").addEventListener("click", () => steer(() => call.admit("*")));
byId("link").addEventListener("click", () => steer(async () => {
  // Not with the invitation of this one in it.
  await navigator.clipboard.writeText(`${location.origin}${location.pathname}#room=${encodeURIComponent(call.room.roomId)}`);
}));
// A reload may play no sound before the first click.
document.addEventListener("click", () => {
  for (const video of document.querySelectorAll("#tiles video")) {
    if (video.paused && video.srcObject) video.play().catch(() => undefined);
  }
});

function begin() {
  const { name = "", audio = true, video = true, secrets: kept = {} } = remembered.load();
  secrets = kept;
  byId("name").value = name;
  byId("with-audio").checked = audio;
  byId("with-video").checked = video;
  const room = new URLSearchParams(location.hash.slice(1)).get("room") ?? "";
  byId("room").value = room;
  draw();
  // A reload in the middle of a call goes on with it.
  if (room && name && new Call({ room }).hasSeat) attempt(() => enter({ room, isNew: false }));
}

begin();
