// Who is in a room and who waits to be let in, as the server tells it. No DOM in here.

const byId = (participants) => new Map(participants.map((participant) => [participant.participantId, participant]));

export class Roster {
  /** The participant that this is; `null` before the first answer. */
  me = null;
  #others = new Map();
  #lobby = new Map();

  /** Everybody else, in the order in which they came. */
  get others() {
    return [...this.#others.values()].sort((one, other) => one.ordinal - other.ordinal);
  }

  /** Who waits, for hosts and moderators. */
  get waiting() {
    return [...this.#lobby.values()];
  }

  isMe(participantId) {
    return participantId === this.me?.participantId;
  }

  /** Somebody else who is in. */
  get(participantId) {
    return this.#others.get(participantId);
  }

  /** The room as it is. Whoever waits is in the list for those only whom it concerns. */
  take(participants) {
    const others = participants.filter(({ participantId }) => !this.isMe(participantId));
    this.#lobby = byId(others.filter(({ state }) => state === "lobby"));
    this.#others = byId(others.filter(({ state }) => state !== "lobby"));
  }

  /** Somebody came, knocked or changed; gives what was known of them. */
  set(participant) {
    const { participantId, state } = participant;
    if (this.isMe(participantId)) {
      const before = this.me;
      this.me = participant;
      return before;
    }
    if (state !== "lobby") this.#lobby.delete(participantId);
    const list = state === "lobby" ? this.#lobby : this.#others;
    const before = list.get(participantId);
    list.set(participantId, participant);
    return before;
  }

  /** Somebody is gone; gives what was known of them if they were in. */
  remove(participantId) {
    const before = this.#others.get(participantId);
    this.#lobby.delete(participantId);
    this.#others.delete(participantId);
    return before;
  }

  setHost(participantId) {
    for (const one of this.#everybody()) one.isHost = one.participantId === participantId;
  }

  setQuality(participantId, quality) {
    for (const one of this.#everybody()) if (one.participantId === participantId) one.quality = quality;
  }

  #everybody() {
    return this.me === null ? [] : [this.me, ...this.#others.values()];
  }
}
