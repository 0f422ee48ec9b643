// The signals of one participant on their way to the server: in order, once, one request at a time.
//
// Requests that overtake each other would put candidates before their offer, and a request whose answer is lost
// may have been carried out. So there is one request at a time, each signal has a number, and a repeat has the same
// numbers: the server passes over what it has. What comes within 20 ms goes together. No DOM in here.

import { Problem } from "./santral-line.js";

const COALESCE_MS = 20;
// The most that one request may carry, with room to spare in bytes for what surrounds the signals.
const BATCH_MAX = { signals: 64, bytes: 192 * 1024 };
// So many signals may wait. With an outage that is longer the call is over anyway.
const WAITING_MAX = 1024;
// With these the server has counted the signal, though it goes nowhere.
const COUNTED = ["target_not_in_room", "target_buffer_full"];
// Pause before a repeat, in milliseconds, doubled each time.
const RETRY_MS = { min: 400, max: 5000 };

/**
 * `send(signals)` makes one request and gives its answer, `resync()` finds out where the server has got to and says it to
 * `resume`, and `onRefused(problem, signal)` hears of what is not passed on.
 */
export class Outbox {
  #send;
  #resync;
  #onRefused;
  #waiting = [];
  #last = 0;
  #timer = 0;
  #isSending = false;
  #isClosed = false;
  #wake = null;

  constructor({ send, resync, onRefused }) {
    this.#send = send;
    this.#resync = resync;
    this.#onRefused = onRefused;
  }

  add(signal) {
    if (this.#isClosed) return;
    if (this.#waiting.length >= WAITING_MAX) this.#waiting.shift();
    this.#waiting.push(signal);
    this.#plan();
  }

  /** What waits for this participant need not be sent any more. */
  forget(participantId) {
    this.#waiting = this.#waiting.filter(({ to }) => to !== participantId);
  }

  /** The way to the server is open again; it may have said which number it had last. */
  resume(last) {
    if (Number.isInteger(last)) this.#last = last;
    this.#wake?.();
  }

  close() {
    this.#isClosed = true;
    this.#waiting = [];
    clearTimeout(this.#timer);
    this.#wake?.();
  }

  #plan() {
    if (this.#isSending || this.#waiting.length === 0) return;
    this.#isSending = true;
    this.#timer = setTimeout(async () => {
      await this.#deliver(this.#take());
      this.#isSending = false;
      this.#plan();
    }, COALESCE_MS);
  }

  #take() {
    let bytes = 0;
    const fits = (signal) => (bytes += JSON.stringify(signal).length) <= BATCH_MAX.bytes;
    const end = this.#waiting.findIndex((signal, index) => index >= BATCH_MAX.signals || (!fits(signal) && index > 0));
    return this.#waiting.splice(0, end === -1 ? this.#waiting.length : end);
  }

  /** Sends until there is an answer. What is refused as a whole is sent again one by one: others may be good. */
  async #deliver(signals) {
    let pauseMs = RETRY_MS.min;
    while (!this.#isClosed && signals.length > 0) {
      const first = this.#last + 1;
      try {
        const { accepted, lastSeq } = await this.#send(signals.map((signal, index) => ({ seq: first + index, ...signal })));
        this.#last = lastSeq;
        // A server that was started again counts from the start, and has put them aside to wait for what it never had.
        signals = signals.filter((_, index) => accepted[index]?.parked);
      } catch (error) {
        const isProblem = error instanceof Problem;
        const isGap = isProblem && error.code === "seq_gap";
        if (isProblem && !error.passes && !isGap) return this.#refuse(signals, error);
        if (isGap) await this.#resync();
        await this.#pause(error.rest?.retryAfterMs ?? pauseMs);
        pauseMs = Math.min(2 * pauseMs, RETRY_MS.max);
      }
    }
    return undefined;
  }

  async #refuse(signals, problem) {
    if (signals.length === 1) {
      if (COUNTED.includes(problem.code)) this.#last += 1;
      return this.#onRefused(problem, signals[0]);
    }
    for (const signal of signals) await this.#deliver([signal]);
    return undefined;
  }

  #pause(milliseconds) {
    return new Promise((resolve) => {
      this.#wake = resolve;
      setTimeout(resolve, milliseconds);
    });
  }
}
