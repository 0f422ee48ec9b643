// Everybody who opens this page sees everybody else: fetch, EventSource and RTCPeerConnection, nothing besides.
const server = new URLSearchParams(location.search).get("server") ?? "http://127.0.0.1:8080";
const roomId = location.hash.slice(1) || "meeting-123";
const session = crypto.randomUUID().replaceAll("-", ""); // a secret: where our events go
const peers = new Map();
let seat = null; // what the join answered: who we are, who is there, which ICE servers to use
let queue = Promise.resolve(); // one request at a time, so that no signal overtakes another
async function post(path, body, token) {
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  const answer = await fetch(server + path, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error((await answer.json()).detail);
  return answer.json();
}
const send = (to, type, negotiationId, data) =>
  (queue = queue.then(() => post("/api/webrtc/signal", { roomId, to, type, negotiationId, data }, seat.token)).catch(console.warn));

function show(stream, isOwn) {
  const video = Object.assign(document.createElement("video"), { srcObject: stream, autoplay: true, playsInline: true, muted: isOwn });
  return document.getElementById("pictures").appendChild(video);
}
// The newcomer offers to everybody who is there; whoever has the higher ordinal gives way when both offer at once.
function connect({ participantId: id, ordinal }, link = crypto.randomUUID()) {
  const pc = new RTCPeerConnection({ iceServers: seat.iceServers });
  const peer = { pc, link, isPolite: seat.participant.ordinal > ordinal, video: null };
  for (const track of camera.getTracks()) pc.addTrack(track, camera);
  pc.ontrack = ({ streams }) => (peer.video ??= show(streams[0] ?? new MediaStream(pc.getReceivers().map(({ track }) => track)), false));
  pc.onicecandidate = ({ candidate }) => candidate && send(id, "candidate", link, candidate);
  pc.onconnectionstatechange = () => pc.connectionState === "failed" && pc.restartIce();
  pc.onnegotiationneeded = async () => send(id, "offer", link, (await pc.setLocalDescription(), pc.localDescription));
  peers.set(id, peer);
}
function leave(id) {
  peers.get(id)?.pc.close();
  peers.get(id)?.video?.remove();
  peers.delete(id);
}

async function take({ from, type, negotiationId, data }) {
  const link = negotiationId.split(".")[0]; // another one: they have made a new connection, after a reload for example
  if (type === "offer" && peers.get(from.participantId)?.link !== link) { leave(from.participantId); connect(from, link); }
  const { pc, isPolite } = peers.get(from.participantId) ?? {};
  if (type === "candidate" || type === "candidates") return [data].flat().forEach((one) => pc.addIceCandidate(one).catch(() => {}));
  if (type === "offer" && pc.signalingState !== "stable" && !isPolite) return;
  if (type === "offer" || type === "answer") await pc.setRemoteDescription(data);
  if (type === "offer") { await pc.setLocalDescription(); send(from.participantId, "answer", negotiationId, pc.localDescription); }
}

const camera = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
show(camera, true);
await post("/api/video/rooms", { roomId, name: roomId }).catch(() => {}); // perhaps it is there already
const events = new EventSource(`${server}/api/events?session=${session}&broadcast=0`);
const hear = (name, act) => events.addEventListener(name, ({ data }) => (queue = queue.then(() => act(JSON.parse(data))).catch(console.warn)));
hear("webrtc.signal", take);
hear("video.participant.left", ({ participantId }) => leave(participantId));
hear("hello", async () => { // the stream is open, or open again: take the seat, or keep it
  const isNew = seat === null;
  seat = await post(`/api/video/rooms/${roomId}/join`, { session, displayName: "Somebody", resume: seat?.token });
  document.getElementById("state").textContent = "in the call";
  if (isNew) seat.participants.forEach((other) => connect(other));
});
