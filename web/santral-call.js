// A call: one participant in one room, with a connection to everybody else in it.
//
//   const call = new Call({ room: "meeting-123", name: "Ada" });
//   call.addEventListener("roster", () => draw(call.participants, call.me));
//   call.addEventListener("media", () => …);        // call.stream(participantId, "camera" | "screen")
//   await call.join({ audio, video });              // tracks, or null
//
// Signals and the roster come over a line (santral-line.js), media directly (santral-peer.js). The seat outlives a
// reload of the page, a lost line and a restart of the server: the participant's token stays in the tab's storage, and
// whenever the session's stream begins anew the seat is resumed with it. No DOM in here.

import { Problem, ask, createLine, newToken } from "./santral-line.js";
import { Outbox } from "./santral-outbox.js";
import { Peer } from "./santral-peer.js";
import { Roster } from "./santral-roster.js";

export { Problem };

// How often figures are reported, and how long leaving waits for its answer, in milliseconds.
const STATS_MS = 10_000;
const LEAVE_MS = 2000;
// Pause before a join that did not come through is tried again, in milliseconds, and how often before it is a problem.
const RETRY_MS = 700;
const STREAM_RETRIES_MAX = 10;
// A token that the server does not know any more, for whatever reason: then one joins as somebody new.
const STALE_TOKEN = [401, 403, 404, 409, 410];
const SILENT = { audio: null, video: null, screen: null };
const OPEN = { headers: async () => ({}), ticket: async () => null };

/**
 * Events: "state" (see `state`), "roster", "left" (detail: who and why), "media" (detail: whose), "moderation" (detail:
 * what a host muted), "expiring" (detail: when it ends) and "problem" (detail: an Error that was not anybody's answer).
 */
export class Call extends EventTarget {
  #options;
  #line = null;
  #outbox = null;
  #peers = new Map();
  #roster = new Roster();
  #tracks = { ...SILENT };
  #kept;
  #state = "idle";
  #end = null;
  #ice = { iceServers: [], relayOnly: false };
  #advice = null;
  #roomSeq = 0;
  // Whether events are to be passed over until those that were missed are sent again.
  #awaitsReplay = false;
  #epoch = null;
  // A join or resume that is under way, whether another has to follow, and what was heard meanwhile.
  #entering = null;
  #entersAgain = false;
  #held = [];
  #isLineUp = false;
  #isFresh = true;
  #answered = null;
  #timers = { stats: 0, ice: 0 };

  /** The room, and what the server limits. */
  room = null;
  limits = null;

  /**
   * `room` is the id of the room. Further options: `name`, `password`, `joinToken`, `hostToken`, `metadata`, `role`;
   * `transport` ("sse", "websocket", "poll", or "socketio" with `io`); `base`, the server's address; `relayOnly`;
   * `headers()` and `ticket()` for a server that asks who one is; `storage`, where the seat is kept over a reload.
   */
  constructor(options) {
    super();
    const { location, sessionStorage } = globalThis;
    this.#options = { ...OPEN, transport: "sse", base: location?.href, storage: sessionStorage, ...options };
    this.#kept = { session: newToken(), token: null, ...this.#load() };
  }

  /** Makes a room and returns `{room, hostToken, joinUrl}`; without `hostToken` if it is there already. */
  static create(room, { base = globalThis.location?.href, headers = {} } = {}) {
    return ask("POST", new URL("api/video/rooms", base), { body: room, headers });
  }

  /** "idle", "connecting", "lobby", "joined", "reconnecting" (media go on) or "ended". */
  get state() {
    return this.#state;
  }

  /** Why the call has ended: `{reason, problem}`, or `null`. */
  get end() {
    return this.#end;
  }

  /** The participant that this is, or `null` before the first answer. */
  get me() {
    return this.#roster.me;
  }

  /** Everybody else, in the order in which they came. */
  get participants() {
    return this.#roster.others;
  }

  /** Who waits to be let in, for hosts and moderators. */
  get waiting() {
    return this.#roster.waiting;
  }

  get isHost() {
    return this.me?.isHost === true;
  }

  /** Whether a seat in this room is kept from before a reload. */
  get hasSeat() {
    return this.#kept.token !== null;
  }

  /** What comes from a participant: "camera", with the microphone, or "screen". Without what a host has muted. */
  stream(participantId, name = "camera") {
    return this.#peers.get(participantId)?.stream(name) ?? null;
  }

  /** The state of the connection to a participant, as `RTCPeerConnection.connectionState` has it. */
  connectionState(participantId) {
    return this.#peers.get(participantId)?.state ?? "new";
  }

  /** Joins, with these tracks: answers "joined" or "lobby". Rejects with a `Problem` when it is not allowed. */
  join(tracks = {}) {
    Object.assign(this.#tracks, tracks);
    this.#setState("connecting");
    globalThis.addEventListener?.("pagehide", this.#onPageHide);
    const { headers, ticket, base, transport, io } = this.#options;
    return new Promise((resolve, reject) => {
      this.#answered = { resolve, reject };
      this.#line = createLine(transport, { base, headers, ticket, io, session: this.#kept.session });
      this.#outbox = new Outbox({
        send: (signals) => this.#sendSignals(signals),
        // The answer of a resume says where the server has got to.
        resync: async () => {
          this.#enter();
          await this.#entering;
        },
        // Who is gone, is gone; the roster says so.
        onRefused: (problem) => problem.status !== 404 && this.#tell("problem", problem),
      });
      this.#line.open((name, data) => this.#receive(name, data));
    });
  }

  /** Leaves for good. */
  async leave(reason = "client_leave") {
    const { token } = this.#kept;
    const line = this.#line;
    if (line && token) {
      const told = line.request("leave", { roomId: this.#options.room, reason }, token).catch(() => undefined);
      // Who leaves does not wait for a line that is down; the seat is free when its grace is over.
      await Promise.race([told, new Promise((resolve) => setTimeout(resolve, LEAVE_MS))]);
    }
    this.#finish({ reason });
  }

  /** Sends other tracks: `{audio, video, screen}`, each a track, `null` for none, or left out for no change. */
  async setTracks(tracks) {
    Object.assign(this.#tracks, tracks);
    for (const peer of this.#peers.values()) peer.setTracks(this.#tracks);
    await this.#tellMedia();
  }

  /** Switches microphone and camera off and on; their tracks stay where they are and send silence and black. */
  async setEnabled(enabled) {
    for (const [kind, isOn] of Object.entries(enabled)) if (this.#tracks[kind]) this.#tracks[kind].enabled = isOn;
    await this.#tellMedia();
  }

  /** What is sent right now: `{audio, video, screen}`. */
  get media() {
    const isOn = (track) => track !== null && track.enabled && track.readyState === "live";
    return Object.fromEntries(Object.entries(this.#tracks).map(([kind, track]) => [kind, isOn(track)]));
  }

  /** Makes a new connection to a participant, in place of one that does not do what it should. */
  renew(participantId) {
    this.#peers.get(participantId)?.begin();
  }

  raiseHand(handRaised) {
    return this.update(this.me.participantId, { handRaised });
  }

  /** Changes oneself, or, as a host, somebody else: `{mute: {audio: true}}`, `{role: "moderator"}`. */
  async update(participantId, changes) {
    await this.#ask("PATCH", `participants/${participantId}`, changes);
  }

  async kick(participantId, { ban = false } = {}) {
    await this.#ask("DELETE", `participants/${participantId}${ban ? "?ban=true" : ""}`);
  }

  /** Lets those in who wait: a list of ids, or "*". */
  async admit(who) {
    await this.#ask("POST", "lobby", { admit: who });
  }

  async deny(who) {
    await this.#ask("POST", "lobby", { deny: who });
  }

  async makeHost(participantId) {
    await this.#ask("POST", "host", { participantId });
  }

  /** Ends the call for everybody. */
  async close() {
    await this.#ask("DELETE", "");
  }

  /** Figures of every connection by participant, see `Peer.stats`. */
  async stats(isReport = false) {
    const each = [...this.#peers].map(async ([id, peer]) => [id, await peer.stats(isReport)]);
    return Object.fromEntries(await Promise.all(each));
  }

  // What the server says.

  #receive(name, data) {
    switch (name) {
      case "hello": return this.#onHello(data);
      case "down": return this.#onDown();
      case "gap": return data.reason === "inbox" ? this.#enter() : undefined;
      case "bye": return data.reconnect === false ? this.#finish({ reason: data.name, detail: data.reason }) : undefined;
      case "refused": return this.#fail(data);
      case "ping": return undefined;
      default: break;
    }
    if (data?.roomId !== this.#options.room) return undefined;
    return this.#entering ? this.#held.push([name, data]) : this.#handle(name, data);
  }

  /** The stream has begun, or begun anew. Whether the server still knows the seat is asked each time; that is cheap. */
  #onHello({ recovered }) {
    this.#isLineUp = true;
    // Of a stream that is over; whatever of it is missing is sent again.
    if (!recovered) this.#held = [];
    this.#outbox.resume();
    return this.#enter();
  }

  #onDown() {
    this.#isLineUp = false;
    if (this.#state === "joined") this.#setState("reconnecting");
  }

  #handle(name, data) {
    if (name === "video.room.resync") return this.#takeSnapshot(data);
    // Of what came before, some may be missing in between: all of it is sent again behind this.
    if (name === "video.room.replay") this.#awaitsReplay = false;
    if (this.#awaitsReplay) return undefined;
    // Come in: everything that is to be known stands in the answer to the token.
    if (name === "video.lobby.admitted") return this.#enter();
    if (this.#epoch !== null && data.epoch !== this.#epoch) return this.#enter();
    // Replayed, or older than the snapshot.
    if (data.roomSeq <= this.#roomSeq) return undefined;
    this.#roomSeq = data.roomSeq;
    return this.#apply(name, data);
  }

  #apply(name, data) {
    const { participantId } = data.participant ?? data;
    switch (name) {
      case "webrtc.signal": return this.#peer(data.from)?.signal(data);
      case "video.participant.joined": return this.#onJoined(data.participant);
      case "video.participant.updated": return this.#onUpdated(data.participant, data.changed ?? []);
      case "video.participant.left": return this.#onLeft(participantId, data.reason);
      case "video.lobby.waiting": return this.#changed(this.#roster.set(data.participant));
      case "video.lobby.denied": return this.#onDenied(participantId, data.reason);
      case "video.host.changed": return this.#changed(this.#roster.setHost(participantId));
      case "video.room.updated": return this.#changed(this.room = data.room);
      case "video.room.closed": return this.#finish({ reason: data.reason ?? "room_closed" });
      case "video.room.expiring": return this.#tell("expiring", data.closesAt);
      case "video.moderation": return this.#onModeration(data);
      case "video.quality": return this.#changed(this.#roster.setQuality(participantId, data.score));
      case "video.advice": return this.#setAdvice(data);
      case "webrtc.ice-servers": return this.#setIce(data);
      default: return undefined;
    }
  }

  // The seat.

  /** Joins or resumes. Called again meanwhile, it does so once more: the first answer may be older than the reason. */
  #enter() {
    if (this.#state === "ended") return;
    if (this.#entering) {
      this.#entersAgain = true;
      return;
    }
    this.#entering = this.#askForSeat().catch((error) => this.#fail(error)).finally(() => {
      this.#entering = null;
      for (const [name, data] of this.#held.splice(0)) this.#handle(name, data);
      if (!this.#entersAgain) return;
      this.#entersAgain = false;
      this.#enter();
    });
  }

  async #askForSeat() {
    for (let tries = 0; this.#isLineUp && this.#state !== "ended"; tries += 1) {
      const resume = this.#kept.token;
      try {
        return await this.#onSeat(await this.#line.request("join", this.#seatWanted(resume)));
      } catch (error) {
        const isProblem = error instanceof Problem;
        // The stream may be known a moment later than it says hello.
        const isEarly = isProblem && error.code === "no_event_stream";
        if (isEarly ? tries >= STREAM_RETRIES_MAX : isProblem && !error.passes) {
          if (isEarly || !resume || !STALE_TOKEN.includes(error.status)) throw error;
          this.#forgetSeat();
        } else {
          await new Promise((resolve) => setTimeout(resolve, error.rest?.retryAfterMs ?? RETRY_MS));
        }
      }
    }
    return undefined;
  }

  #seatWanted(resume) {
    const { room, name, password, joinToken, hostToken, metadata, role } = this.#options;
    const wanted = {
      roomId: room, displayName: name, password, joinToken, hostToken, metadata, role, media: this.media,
      client: { sdk: "santral-call", version: "1", features: [] },
    };
    // After a reload nothing is left of what was handled, so the snapshot is wanted.
    const place = resume && !this.#isFresh ? { lastRoomSeq: this.#roomSeq, epoch: this.#epoch } : {};
    return { ...wanted, ...(resume && { resume }), ...place };
  }

  #onSeat(answer) {
    if (answer.status !== "lobby") return this.#admit(answer);
    this.#roster.me = answer.participant;
    this.#keep({ token: answer.token });
    this.#setState("lobby");
    return this.#settle("lobby");
  }

  #admit(answer) {
    const { token, participant, room, limits } = answer;
    const handRaised = this.me?.handRaised === true;
    this.#roster.me = participant;
    Object.assign(this, { room, limits });
    this.#keep({ token });
    this.#outbox.resume(answer.lastSeq);
    if (answer.already) this.#remind(handRaised);
    this.#setIce({ ...answer, refreshAt: answer.iceRefreshAt ?? answer.refreshAt });
    this.#setAdvice(answer.advice);
    // Without a resync all that was missed comes as events.
    if (this.#isFresh || answer.resync) this.#takeSnapshot(answer);
    else this.#awaitsReplay = answer.already;
    this.#isFresh = false;
    this.#setState("joined");
    this.#timers.stats ||= setInterval(() => this.#reportStats(), STATS_MS);
    this.#tell("roster");
    return this.#settle("joined");
  }

  /** Takes the room as it is, and begins anew with everybody to whom nothing flows. */
  #takeSnapshot({ room, participants, waiting = [], roomSeq, epoch }) {
    this.room = room;
    this.#awaitsReplay = false;
    this.#roomSeq = roomSeq;
    this.#epoch = epoch;
    this.#roster.take([...participants, ...waiting]);
    for (const id of this.#peers.keys()) if (!this.#roster.get(id)) this.#drop(id);
    for (const other of this.participants) {
      const peer = this.#peer(other);
      if (!peer.isWell) peer.begin();
    }
    this.#tell("roster");
  }

  /** A server that was started again remembers who is there, and not what they were doing. */
  #remind(handRaised) {
    const { media } = this;
    const forgotten = Object.keys(media).some((kind) => media[kind] !== this.me.media[kind]);
    if (!forgotten && handRaised === this.me.handRaised) return;
    this.update(this.me.participantId, { media, handRaised }).catch(() => undefined);
  }

  #settle(answer) {
    this.#answered?.resolve(answer);
    this.#answered = null;
  }

  // Who is there.

  #onJoined(participant) {
    this.#roster.set(participant);
    // Who comes offers; the connection is made when the offer is here.
    this.#peer(participant);
    this.#changed();
  }

  #onUpdated(participant, changed) {
    const { participantId, state } = participant;
    const before = this.#roster.set(participant);
    if (!this.#roster.isMe(participantId) && state !== "lobby") {
      const peer = this.#peer(participant);
      peer.setMuted(participant.mutedByHost ?? {});
      const isBack = changed.includes("connection") || before?.state === "reconnecting";
      if (isBack && state === "joined") peer.returned();
    }
    this.#changed();
  }

  #onLeft(participantId, reason) {
    if (!this.#roster.isMe(participantId)) {
      const participant = this.#roster.remove(participantId);
      this.#drop(participantId);
      if (participant) this.#tell("left", { participant, reason });
      return this.#changed();
    }
    if (reason !== "timeout") return this.#finish({ reason });
    // The line was away for longer than the seat is kept, and is back: as somebody new.
    this.#forgetSeat();
    return this.#enter();
  }

  /** Moderators hear of everybody who was turned away, and whoever it was, of themselves. */
  #onDenied(participantId, reason) {
    if (this.#roster.isMe(participantId)) return this.#finish({ reason });
    return this.#changed(this.#roster.remove(participantId));
  }

  #onModeration({ mute = {}, by }) {
    for (const [kind, track] of Object.entries(this.#tracks)) if (mute[kind] && track) track.enabled = false;
    this.#tellMedia().catch(() => undefined);
    this.#tell("moderation", { mute, by });
  }

  /** The roster, or the room, is another one; whatever made it so is done. */
  #changed() {
    this.#tell("roster");
  }

  // Connections.

  /** The connection to a participant; made, but not begun, if there is none yet. */
  #peer({ participantId, ordinal }) {
    if (!this.me || this.#roster.isMe(participantId)) return null;
    const known = this.#peers.get(participantId);
    if (known) return known;
    const peer = new Peer({
      configuration: this.#configuration(),
      ordinal: this.me.ordinal,
      isPolite: this.me.ordinal > ordinal,
      send: (type, negotiationId, data) => this.#outbox.add({ to: participantId, type, negotiationId, data }),
      isThere: () => this.#isLineUp && this.#roster.get(participantId)?.state === "joined",
      onChange: () => this.#tell("media", { participantId }),
      onProblem: (error) => this.#tell("problem", error),
    });
    this.#peers.set(participantId, peer);
    peer.setTracks(this.#tracks);
    peer.setMuted(this.#roster.get(participantId)?.mutedByHost ?? {});
    if (this.#advice) peer.setAdvice(this.#advice);
    return peer;
  }

  #drop(participantId) {
    this.#peers.get(participantId)?.close();
    this.#peers.delete(participantId);
    this.#outbox.forget(participantId);
  }

  /** A resume may change the token while a request is under way. */
  async #sendSignals(signals) {
    await this.#entering;
    const { token } = this.#kept;
    const request = () => this.#line.request("signal", { roomId: this.#options.room, signals }, this.#kept.token);
    return request().catch(async (error) => {
      // The seat is gone and nobody has said so: the answer to a resume does.
      if (error.code === "not_joined") this.#enter();
      await this.#entering;
      if (!STALE_TOKEN.includes(error.status) || token === this.#kept.token) throw error;
      return request();
    });
  }

  #configuration() {
    const isRelayOnly = this.#options.relayOnly || this.#ice.relayOnly || this.room?.relayOnly;
    return { iceServers: this.#ice.iceServers, iceTransportPolicy: isRelayOnly ? "relay" : "all" };
  }

  #setIce({ iceServers, relayOnly, refreshAt }) {
    if (!iceServers) return;
    this.#ice = { iceServers, relayOnly: relayOnly ?? this.#ice.relayOnly };
    for (const peer of this.#peers.values()) peer.setConfiguration(this.#configuration());
    clearTimeout(this.#timers.ice);
    // The server pushes fresh ones; should they not come, they are fetched.
    const lateMs = Date.parse(refreshAt) - Date.now() + STATS_MS;
    if (lateMs > 0) this.#timers.ice = setTimeout(() => this.#fetchIce(), lateMs);
  }

  async #fetchIce() {
    const path = `api/webrtc/ice-servers?roomId=${encodeURIComponent(this.#options.room)}`;
    const headers = { authorization: `Bearer ${this.#kept.token}` };
    await ask("GET", this.#line.address(path), { headers }).then((ice) => this.#setIce(ice), () => undefined);
  }

  #setAdvice(advice) {
    if (!advice) return;
    this.#advice = advice;
    for (const peer of this.#peers.values()) peer.setAdvice(advice);
  }

  async #reportStats() {
    if (!this.#isLineUp || this.#peers.size === 0) return;
    const figures = Object.entries(await this.stats(true));
    const peers = figures.map(([peer, { media, ...figure }]) => ({ peer, ...withoutEmpty(figure) }));
    const headers = { authorization: `Bearer ${this.#kept.token}` };
    const body = { roomId: this.#options.room, peers };
    // The next one is as good.
    await ask("POST", this.#line.address("api/webrtc/stats"), { body, headers }).catch(() => undefined);
  }

  // The rest.

  async #tellMedia() {
    if (this.#state === "joined") await this.update(this.me.participantId, { media: this.media });
  }

  #ask(method, path, body) {
    const room = `api/video/rooms/${encodeURIComponent(this.#options.room)}`;
    const url = this.#line.address(path === "" ? room : `${room}/${path}`);
    return ask(method, url, { body, headers: { authorization: `Bearer ${this.#kept.token}` } });
  }

  #setState(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#tell("state", state);
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  #fail(problem) {
    const { reject } = this.#answered ?? {};
    this.#answered = null;
    this.#finish({ reason: problem.code ?? "error", problem });
    reject?.(problem);
  }

  #finish(end) {
    if (this.#state === "ended") return;
    this.#end = end;
    globalThis.removeEventListener?.("pagehide", this.#onPageHide);
    clearInterval(this.#timers.stats);
    clearTimeout(this.#timers.ice);
    this.#outbox?.close();
    this.#line?.close();
    for (const id of this.#peers.keys()) this.#drop(id);
    this.#roster.take([]);
    this.#forgetSeat();
    this.#setState("ended");
    this.#answered?.reject(new Problem({ code: end.reason, detail: end.detail }));
    this.#answered = null;
  }

  /** A reload comes back within moments and finds its seat; whoever has closed the page is gone soon. */
  #onPageHide = () => {
    if (!this.#kept.token) return;
    const url = this.#line.address(`api/video/rooms/${encodeURIComponent(this.#options.room)}/leave`);
    navigator.sendBeacon(url, JSON.stringify({ token: this.#kept.token, reason: "page_closed" }));
  };

  get #key() {
    return `santral.call.${this.#options.room}`;
  }

  #load() {
    try {
      return JSON.parse(this.#options.storage?.getItem(this.#key) ?? "{}");
    } catch {
      return {};
    }
  }

  #keep(change) {
    Object.assign(this.#kept, change);
    this.#options.storage?.setItem(this.#key, JSON.stringify(this.#kept));
  }

  #forgetSeat() {
    this.#isFresh = true;
    this.#awaitsReplay = false;
    this.#roomSeq = 0;
    this.#epoch = null;
    this.#kept = { session: this.#kept.session, token: null };
    this.#options.storage?.removeItem(this.#key);
    this.#outbox?.resume(0);
  }
}

const withoutEmpty = (figures) => Object.fromEntries(Object.entries(figures).filter(([, figure]) => figure != null));
