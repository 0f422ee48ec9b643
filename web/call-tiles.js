// The pictures of a call: one tile for each participant, and one more for each shared screen.
//
// Tiles are kept while their participant is there, so that pictures do not flicker when something else changes. Names come
// from others and reach the document as text nodes only.

function element(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

/** The first letters of the first two words. */
function initialsOf(name) {
  return name.trim().split(/\s+/).slice(0, 2).map((word) => [...word][0] ?? "").join("").toUpperCase();
}

/** Sets what changes and only that: a stream that is set again would start anew. */
function show(video, stream, onBlocked) {
  if (video.srcObject === stream) return;
  video.srcObject = stream;
  // Without a click on the page browsers play no sound.
  video.play().catch((error) => error.name === "NotAllowedError" && onBlocked());
}

/** One tile. */
class Tile {
  constructor(kind) {
    this.kind = kind;
    this.node = element("li", "tile");
    this.node.dataset.kind = kind;
    this.video = element("video");
    Object.assign(this.video, { autoplay: true, playsInline: true });
    this.initials = element("span", "initials");
    this.initials.setAttribute("aria-hidden", "true");
    this.away = element("span", "away", "Reconnecting");
    this.label = element("div", "label");
    this.tools = element("div", "host-tools");
    this.node.append(this.video, this.initials, this.away, this.label, this.tools);
  }

  draw({ participant, isOwn, stream, hasPicture, tools, onBlocked }) {
    const { displayName, state, participantId } = participant;
    const isScreen = this.kind === "screen";
    this.node.dataset.participant = participantId;
    this.node.dataset.state = state;
    this.node.dataset.picture = hasPicture ? "on" : "off";
    this.node.classList.toggle("own", isOwn);
    this.video.muted = isOwn;
    this.video.setAttribute("aria-label", isScreen ? `Screen of ${displayName}` : `Picture of ${displayName}`);
    show(this.video, stream, onBlocked);
    this.initials.textContent = initialsOf(displayName);
    this.away.hidden = state !== "reconnecting";
    const name = isScreen ? `${displayName}: screen` : displayName;
    const badges = isScreen ? [] : badgesOf(participant);
    this.label.replaceChildren(element("span", "name", isOwn ? `${name} (you)` : name), ...badges);
    this.#drawTools(isScreen ? [] : tools);
  }

  /** Buttons stay as long as they are the same, so that the keyboard's focus does. */
  #drawTools(tools) {
    const wanted = tools.map(({ text }) => text).join();
    if (this.tools.dataset.tools === wanted) return;
    this.tools.dataset.tools = wanted;
    this.tools.replaceChildren(...tools.map(({ text, label, act }) => {
      const button = element("button", "", text);
      button.type = "button";
      button.setAttribute("aria-label", label);
      button.addEventListener("click", act);
      return button;
    }));
  }
}

/** What there is to know of a participant beside the name. */
function badgesOf({ isHost, role, media, mutedByHost, handRaised, quality }) {
  const words = [];
  if (handRaised) words.push("hand up");
  if (isHost) words.push("host");
  if (role !== "participant") words.push(role);
  if (mutedByHost?.audio) words.push("muted by host");
  else if (!media?.audio) words.push("mic off");
  const badges = words.map((word) => element("span", "badge", word));
  if (quality) {
    const badge = element("span", "badge quality", quality);
    badge.dataset.quality = quality;
    badge.setAttribute("aria-label", `Quality: ${quality}`);
    badges.push(badge);
  }
  return badges;
}

/** All tiles of a list, in the order of the roster. */
export class Tiles {
  #list;
  #tiles = new Map();

  constructor(list) {
    this.#list = list;
  }

  /** Draws these and takes all others away; each has `participant`, `kind` and what its tile shows. */
  draw(shown) {
    const wanted = new Map(shown.map((one) => [`${one.participant.participantId} ${one.kind}`, one]));
    for (const [key, tile] of this.#tiles) {
      if (wanted.has(key)) continue;
      tile.video.srcObject = null;
      tile.node.remove();
      this.#tiles.delete(key);
    }
    let place = this.#list.firstElementChild;
    for (const [key, one] of wanted) {
      const tile = this.#tiles.get(key) ?? new Tile(one.kind);
      this.#tiles.set(key, tile);
      tile.draw(one);
      // Moving a picture that is in its place would stop it.
      if (tile.node === place) place = place.nextElementSibling;
      else this.#list.insertBefore(tile.node, place);
    }
  }
}
