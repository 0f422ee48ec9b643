// The connection to one other participant of a call: perfect negotiation, restarts of ICE, tracks, figures.
//
// W3C WebRTC 1.0, section 10.7 (perfect negotiation), with two additions. Everything that a connection does runs in one
// queue, so that an offer is never half made when a signal comes. And both ends of a pair of RTCPeerConnections
// call it by one name, its *link*: whoever makes a new RTCPeerConnection invents a new link, and the other end sees by
// that alone that it has to begin anew, too. Ids of negotiations are `<link>.<ordinal of the offerer>.<count>`.
//
// There are always the same three transceivers in the same order: microphone, camera, screen. A screen is shown by
// putting its track into the sender that has waited for it, so sharing needs no negotiation, and the camera stays on.

// What is sent, in the order of the media sections of every offer.
const KINDS = [["audio", "audio"], ["video", "video"], ["screen", "video"]];
// A connection that says `disconnected` often comes back by itself; after so long it is helped, in milliseconds.
const DISCONNECTED_MS = 4000;
// An offer without an answer is made anew after so long, in milliseconds, each time after twice as long.
const UNANSWERED_MS = { min: 8000, max: 60_000 };
// A shared screen is to be read, not to be fluent.
const SCREEN_FPS = 5;

const newLink = () => Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => byte.toString(36)).join("");

/** The parts of an id of a negotiation. One of another form names a link of its own, and opens it. */
function readNegotiation(id = "") {
  const [link, , count] = id.split(".");
  return { link, count: Number(count ?? 1) };
}

/** A connection to one other participant. */
export class Peer {
  #options;
  #pc = null;
  #tracks = { audio: null, video: null, screen: null };
  #advice = null;
  #configuration;
  #link = "";
  #count = 0;
  #negotiation = "";
  // Whether the link is of our making, and whether its first offer has been answered.
  #isOurs = false;
  #isSettled = false;
  // The offer of the other end that was answered last.
  #taken = "";
  #candidates = [];
  #queue = Promise.resolve();
  #unanswered = 0;
  #disconnected = 0;
  #patienceMs = UNANSWERED_MS.min;
  #begunAt = 0;
  #setupMs = null;
  #streams = { camera: new MediaStream(), screen: new MediaStream() };
  #muted = { audio: false, video: false, screen: false };
  #before = null;

  /**
   * `send(type, negotiationId, data)` passes a signal on; `isPolite` says who gives way when both offer at once, and
   * `isThere()` whether it makes sense to try: the line is up, and the other one is in the room. `onChange()` hears of
   * other states and tracks, `onProblem(error)` of what failed.
   */
  constructor({ configuration, ...options }) {
    this.#options = options;
    this.#configuration = configuration;
  }

  /** `new`, `connecting`, `connected`, `disconnected`, `failed` or `closed`. */
  get state() {
    return this.#pc?.connectionState ?? "new";
  }

  /** Whether media flow and nothing is being negotiated. */
  get isWell() {
    return this.state === "connected" && this.#pc.signalingState === "stable";
  }

  /** What comes from the other end: `camera` with its microphone, or `screen`. */
  stream(name) {
    return this.#streams[name];
  }

  /** Makes a new connection and offers it. */
  begin() {
    this.#run(() => this.#begin());
  }

  /** Takes a signal of the other end. Signals of earlier connections change nothing. */
  signal({ type, negotiationId, data }) {
    this.#run(() => {
      switch (type) {
        case "offer": return this.#onOffer(negotiationId, data);
        case "answer": return this.#onAnswer(negotiationId, data);
        case "candidate": return this.#onCandidates(negotiationId, [data]);
        case "candidates": return this.#onCandidates(negotiationId, data);
        case "renegotiate": return readNegotiation(negotiationId).link === this.#link ? this.#begin() : undefined;
        default: return undefined;
      }
    });
  }

  /** Sends these tracks; `null` sends nothing. Needs no negotiation. */
  setTracks(tracks) {
    Object.assign(this.#tracks, tracks);
    this.#run(() => this.#sendTracks());
  }

  /** Keeps what is sent within `{maxVideoKbps, maxHeight, maxFps}`. */
  setAdvice(advice) {
    this.#advice = advice;
    this.#run(() => this.#applyAdvice());
  }

  /** Other ICE servers, for what is gathered from now on. */
  setConfiguration(configuration) {
    this.#configuration = configuration;
    this.#pc?.setConfiguration(configuration);
  }

  /** What a host has muted is not in the streams, so that nobody can show it by mistake. */
  setMuted(muted) {
    this.#muted = { ...muted };
    this.#fillStreams();
  }

  /** The other end has come back after an outage. With a new page it would offer a new connection. */
  returned() {
    if (["disconnected", "failed"].includes(this.state)) this.#pc.restartIce();
  }

  close() {
    clearTimeout(this.#unanswered);
    clearTimeout(this.#disconnected);
    this.#pc?.close();
    this.#pc = null;
    this.#queue = null;
  }

  /** Runs one thing after the other. What fails leaves the connection as it is; a restart mends it. */
  #run(job) {
    if (this.#queue === null) return;
    this.#queue = this.#queue.then(() => this.#queue && job()).catch((error) => {
      if (this.#queue) this.#options.onProblem(error);
    });
  }

  #begin() {
    this.#replace(newLink(), true);
    // Adding them asks for a negotiation.
    for (const [name, kind] of KINDS) {
      this.#pc.addTransceiver(this.#tracks[name] ?? kind, { direction: "sendrecv" });
    }
  }

  /** A new RTCPeerConnection, in place of the one there was. */
  #replace(link, isOurs) {
    clearTimeout(this.#disconnected);
    this.#pc?.close();
    const pc = new RTCPeerConnection(this.#configuration);
    Object.assign(pc, {
      onnegotiationneeded: () => this.#run(() => this.#offer(pc)),
      onicecandidate: ({ candidate }) => candidate?.candidate && this.#onOwnCandidate(pc, candidate),
      onconnectionstatechange: () => this.#onState(pc),
      ontrack: () => this.#fillStreams(),
    });
    this.#pc = pc;
    this.#link = link;
    this.#isOurs = isOurs;
    this.#isSettled = false;
    this.#count = 0;
    this.#candidates = [];
    this.#begunAt = performance.now();
    this.#setupMs = null;
    this.#before = null;
    this.#fillStreams();
  }

  /** Offers what has changed. While something is being negotiated the browser asks again afterwards. */
  async #offer(pc, expected = "stable") {
    if (pc !== this.#pc || pc.signalingState !== expected) return;
    await pc.setLocalDescription();
    if (pc !== this.#pc || pc.localDescription.type !== "offer") return;
    this.#watchOffer(pc);
    this.#count += 1;
    this.#negotiation = `${this.#link}.${this.#options.ordinal}.${this.#count}`;
    this.#options.send("offer", this.#negotiation, pc.localDescription.toJSON());
  }

  async #onOffer(negotiationId, description) {
    if (negotiationId === this.#taken) return undefined;
    const { link, count } = readNegotiation(negotiationId);
    const isNew = this.#pc === null || link !== this.#link;
    // It continues what this end does not have, so the other end has to begin anew.
    if (isNew && count > 1) return this.#options.send("renegotiate", negotiationId, {});
    // Two new connections at once, or two offers on one: in either case those of one end count.
    const isCollision = isNew ? this.#isOurs && !this.#isSettled : this.#pc.signalingState !== "stable";
    if (isCollision && !this.#options.isPolite) return this.#repeat();
    if (isNew) this.#replace(link, false);
    this.#taken = negotiationId;
    const pc = this.#pc;
    await pc.setRemoteDescription(description);
    this.#count = Math.max(this.#count, count);
    this.#negotiation = negotiationId;
    await this.#sendTracks();
    await pc.setLocalDescription();
    if (pc !== this.#pc) return undefined;
    this.#options.send("answer", negotiationId, pc.localDescription.toJSON());
    return this.#settled();
  }

  /** Whoever offered as well may have come back from a reload and never heard of the offer that counts. */
  #repeat() {
    const description = this.#pc.localDescription;
    if (description?.type === "offer") this.#options.send("offer", this.#negotiation, description.toJSON());
  }

  async #onAnswer(negotiationId, description) {
    if (negotiationId !== this.#negotiation || this.#pc?.signalingState !== "have-local-offer") return;
    await this.#pc.setRemoteDescription(description);
    await this.#settled();
  }

  async #onCandidates(negotiationId, candidates) {
    if (readNegotiation(negotiationId).link !== this.#link || !this.#pc?.remoteDescription) return;
    for (const candidate of candidates) {
      // Those of an offer that gave way belong to nothing.
      await this.#pc.addIceCandidate(candidate).catch(() => undefined);
    }
  }

  /** Candidates are found in bursts; those of a burst travel together, behind the description that they belong to. */
  #onOwnCandidate(pc, candidate) {
    if (pc !== this.#pc) return;
    this.#candidates.push(candidate.toJSON());
    if (this.#candidates.length > 1) return;
    this.#run(async () => {
      await new Promise((resolve) => setTimeout(resolve, 0));
      if (pc === this.#pc) this.#options.send("candidates", this.#negotiation, this.#candidates.splice(0));
    });
  }

  async #settled() {
    this.#isSettled = true;
    this.#patienceMs = UNANSWERED_MS.min;
    clearTimeout(this.#unanswered);
    this.#fillStreams();
    await this.#applyAdvice();
  }

  /** An offer that is not answered was lost on one of the ways on which things are lost. */
  #watchOffer(pc) {
    clearTimeout(this.#unanswered);
    this.#unanswered = setTimeout(() => {
      if (pc !== this.#pc || pc.signalingState !== "have-local-offer") return;
      if (!this.#options.isThere()) return this.#watchOffer(pc);
      this.#patienceMs = Math.min(2 * this.#patienceMs, UNANSWERED_MS.max);
      this.#run(() => (this.#isSettled ? this.#offer(pc, "have-local-offer") : this.#begin()));
    }, this.#patienceMs);
  }

  #onState(pc) {
    if (pc !== this.#pc) return;
    clearTimeout(this.#disconnected);
    const restart = () => pc === this.#pc && this.#options.isThere() && pc.restartIce();
    if (pc.connectionState === "connected") this.#setupMs ??= Math.round(performance.now() - this.#begunAt);
    if (pc.connectionState === "failed") restart();
    if (pc.connectionState === "disconnected") this.#disconnected = setTimeout(restart, DISCONNECTED_MS);
    this.#options.onChange();
  }

  /** The transceivers by what they carry: the first for sound, the first and the second for pictures. */
  #transceivers() {
    const all = this.#pc?.getTransceivers() ?? [];
    const of = (kind) => all.filter(({ receiver }) => receiver.track.kind === kind);
    return { audio: of("audio")[0], video: of("video")[0], screen: of("video")[1] };
  }

  async #sendTracks() {
    for (const [name, transceiver] of Object.entries(this.#transceivers())) {
      if (!transceiver || transceiver.stopped) continue;
      if (transceiver.direction === "recvonly") transceiver.direction = "sendrecv";
      if (transceiver.sender.track !== this.#tracks[name]) await transceiver.sender.replaceTrack(this.#tracks[name]);
    }
    await this.#applyAdvice();
  }

  #fillStreams() {
    const { audio, video, screen } = this.#transceivers();
    const wanted = {
      camera: [this.#muted.audio ? null : audio, this.#muted.video ? null : video],
      screen: [this.#muted.screen ? null : screen],
    };
    for (const [name, transceivers] of Object.entries(wanted)) {
      const tracks = transceivers.filter(Boolean).map(({ receiver }) => receiver.track);
      const stream = this.#streams[name];
      for (const track of stream.getTracks()) if (!tracks.includes(track)) stream.removeTrack(track);
      for (const track of tracks) stream.addTrack(track);
    }
    this.#options.onChange();
  }

  /** Limits what is sent, without a negotiation. Before the first one there is nothing to limit. */
  async #applyAdvice() {
    if (!this.#advice || !this.#isSettled) return;
    const { maxVideoKbps, maxHeight, maxFps } = this.#advice;
    const { video, screen } = this.#transceivers();
    for (const sender of [video?.sender, screen?.sender]) {
      const parameters = sender?.getParameters();
      if (!parameters?.encodings?.length) continue;
      const [encoding] = parameters.encodings;
      const isScreen = sender === screen?.sender;
      const height = sender.track?.getSettings?.().height ?? 0;
      if (maxVideoKbps) encoding.maxBitrate = 1000 * maxVideoKbps;
      if (maxFps || isScreen) encoding.maxFramerate = isScreen ? SCREEN_FPS : maxFps;
      // Letters that were made smaller cannot be read.
      if (maxHeight && !isScreen) encoding.scaleResolutionDownBy = Math.max(1, height / maxHeight);
      await sender.setParameters(parameters);
    }
  }

  /**
   * Figures of the connection, as `POST /api/webrtc/stats` takes them, and what was decoded and sent, by kind of media.
   * Rates and losses are those since the last report.
   */
  async stats(isReport = false) {
    const empty = { state: this.state, media: {} };
    if (!this.#pc) return empty;
    const report = [...(await this.#pc.getStats()).values()];
    const by = (type) => report.filter((entry) => entry.type === type);
    const names = Object.entries(this.#transceivers()).filter(([, transceiver]) => transceiver?.mid);
    const media = {};
    for (const [name, { mid }] of names) {
      const received = by("inbound-rtp").find((entry) => entry.mid === mid) ?? {};
      const sent = by("outbound-rtp").find((entry) => entry.mid === mid) ?? {};
      media[name] = {
        packetsReceived: received.packetsReceived ?? 0, framesDecoded: received.framesDecoded ?? 0,
        packetsSent: sent.packetsSent ?? 0, framesEncoded: sent.framesEncoded ?? 0,
        width: received.frameWidth, height: received.frameHeight, fps: received.framesPerSecond,
      };
    }
    const rates = this.#rates(by("inbound-rtp"), by("outbound-rtp"), isReport);
    return { ...empty, ...rates, ...pathOf(report), setupMs: this.#setupMs, media };
  }

  #rates(received, sent, isReport) {
    const sum = (entries, field) => entries.reduce((total, entry) => total + (entry[field] ?? 0), 0);
    const now = {
      at: performance.now(), bytesIn: sum(received, "bytesReceived"), bytesOut: sum(sent, "bytesSent"),
      packets: sum(received, "packetsReceived"), lost: sum(received, "packetsLost"),
    };
    const before = this.#before ?? { at: this.#begunAt, bytesIn: 0, bytesOut: 0, packets: 0, lost: 0 };
    if (isReport) this.#before = now;
    const seconds = Math.max(0.001, (now.at - before.at) / 1000);
    const lost = Math.max(0, now.lost - before.lost);
    const expected = now.packets - before.packets + lost;
    const camera = received.find((entry) => entry.kind === "video" && entry.frameWidth) ?? {};
    return {
      kbpsIn: Math.round((8 * (now.bytesIn - before.bytesIn)) / 1000 / seconds),
      kbpsOut: Math.round((8 * (now.bytesOut - before.bytesOut)) / 1000 / seconds),
      lossPct: expected > 0 ? Math.round((1000 * lost) / expected) / 10 : 0,
      jitterMs: Math.round(1000 * Math.max(0, ...received.map((entry) => entry.jitter ?? 0))),
      freezes: sum(received, "freezeCount"),
      fps: camera.framesPerSecond, width: camera.frameWidth, height: camera.frameHeight,
    };
  }
}

/** The candidates that were chosen, as `relay/tls→host/udp`, and the round trip between them. */
function pathOf(report) {
  const find = (id) => report.find((entry) => entry.id === id);
  const transport = report.find((entry) => entry.type === "transport" && entry.selectedCandidatePairId);
  const pair = transport && find(transport.selectedCandidatePairId);
  if (!pair) return {};
  const word = (candidate) => `${candidate?.candidateType}/${candidate?.relayProtocol ?? candidate?.protocol}`;
  const rttMs = pair.currentRoundTripTime === undefined ? undefined : Math.round(1000 * pair.currentRoundTripTime);
  return { pair: `${word(find(pair.localCandidateId))}→${word(find(pair.remoteCandidateId))}`, rttMs };
}
