// Who sits at the page: signs in, keeps the access token fresh, and gets tickets for the stream.
//
// The tokens live in this page's memory alone: closing or reloading the page forgets them. A page that a reload must not
// throw out gives a storage of its tab, and then a reload keeps them.

// A token is renewed so long before it expires, in milliseconds: clocks and networks differ.
const RENEWAL_MARGIN_MS = 30_000;

// An answer that has not come by then does not come, in milliseconds.
const PATIENCE_MS = 15_000;

const STORED_AS = "santral.account";

const JSON_HEADERS = { "content-type": "application/json" };

/** An answer that is none of the expected kind; a problem document (RFC 9457) says why. */
export class Refused extends Error {
  constructor(answer) {
    super(`The server answered ${answer.status}.`);
    this.answer = answer;
  }
}

async function post(path, headers, body) {
  const answer = await fetch(new URL(path, document.baseURI), {
    method: "POST",
    headers: { ...JSON_HEADERS, ...headers },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  if (!answer.ok) throw new Refused(answer);
  return answer.status === 204 ? null : answer.json();
}

export class Account {
  #storage;
  #tokens;
  #renewal = null;

  /** `storage` is where a reload finds the tokens again; nothing is kept without. */
  constructor(storage = null) {
    this.#storage = storage;
    this.#tokens = JSON.parse(storage?.getItem(STORED_AS) ?? "null");
  }

  get isSignedIn() {
    return this.#tokens !== null;
  }

  /** Signs in and returns the account. */
  async signIn(name, password) {
    return this.#keep(await post("auth/login", {}, { name, password }));
  }

  /** Forgets the tokens; the server is told, so that nobody else can use them. */
  async signOut() {
    const refreshToken = this.#tokens?.refreshToken;
    this.#set(null);
    if (refreshToken) await post("auth/logout", {}, { refreshToken });
  }

  /** The headers that a request of this account carries; none while nobody is signed in. */
  async headers() {
    if (this.#tokens === null) return {};
    if (Date.now() > this.#tokens.freshUntil) await this.#renew();
    return { authorization: `Bearer ${this.#tokens.accessToken}` };
  }

  /** A ticket, good for opening one stream: an EventSource cannot send headers. */
  async ticket() {
    const { ticket } = await post("api/tickets", await this.headers(), {});
    return ticket;
  }

  /** A refresh token works once, so everybody who needs a fresh token waits for the same request. */
  #renew() {
    this.#renewal ??= this.#requestRenewal().finally(() => {
      this.#renewal = null;
    });
    return this.#renewal;
  }

  async #requestRenewal() {
    try {
      this.#keep(await post("auth/refresh", {}, { refreshToken: this.#tokens.refreshToken }));
    } catch (error) {
      // A login that has ended does not come back; an answer that did not arrive may.
      if (error instanceof Refused && error.answer.status === 401) this.#set(null);
      throw error;
    }
  }

  #keep({ accessToken, refreshToken, expiresIn, user }) {
    this.#set({ accessToken, refreshToken, freshUntil: Date.now() + 1000 * expiresIn - RENEWAL_MARGIN_MS });
    return user;
  }

  #set(tokens) {
    this.#tokens = tokens;
    if (tokens === null) this.#storage?.removeItem(STORED_AS);
    else this.#storage?.setItem(STORED_AS, JSON.stringify(tokens));
  }
}
