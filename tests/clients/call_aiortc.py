"""A participant of a call that is no browser: aiortc, an implementation of WebRTC in Python.

call_aiortc.py <server> <room> <name>: joins, sends a picture and silence to everybody, and prints a line of JSON for what
happens: {"joined": <participant>}, {"frames": {<participant>: <count>}} once a second, {"left": <participant>}.
It speaks the protocol by its documents alone: Server-Sent Events down, POST up.
"""

import asyncio
import json
import secrets
import sys

import aiohttp
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, VideoStreamTrack
from aiortc.sdp import candidate_from_sdp


def tell(**what):
    print(json.dumps(what), flush=True)


class Connection:
    """To one other participant. It never offers twice, so there is nothing to give way to but a new offer."""

    def __init__(self, send):
        self.send = send
        self.pc = None
        self.negotiation = None
        self.frames = 0

    async def renew(self):
        if self.pc:
            await self.pc.close()
        # No STUN: what can be reached is on this machine.
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.pc.on("track", lambda track: asyncio.ensure_future(self.watch(track)))

    def add_tracks(self):
        self.pc.addTrack(AudioStreamTrack())
        self.pc.addTrack(VideoStreamTrack())

    async def watch(self, track):
        try:
            while True:
                await track.recv()
                self.frames += track.kind == "video"
        except Exception:
            # The track has ended; who counts sees that there is nothing more.
            pass

    async def describe(self, kind):
        make = self.pc.createOffer if kind == "offer" else self.pc.createAnswer
        # Candidates are gathered before this returns, and are in the description.
        await self.pc.setLocalDescription(await make())
        await self.send(kind, self.negotiation, {"type": kind, "sdp": self.pc.localDescription.sdp})

    async def offer(self, ordinal):
        await self.renew()
        self.add_tracks()
        self.negotiation = f"{secrets.token_hex(6)}.{ordinal}.1"
        await self.describe("offer")

    async def take(self, signal):
        kind, data, negotiation = signal["type"], signal["data"], signal.get("negotiationId", "")
        link = negotiation.split(".")[0]
        if kind == "offer":
            is_new = self.negotiation is None or link != self.negotiation.split(".")[0]
            if is_new:
                await self.renew()
            self.negotiation = negotiation
            await self.pc.setRemoteDescription(RTCSessionDescription(data["sdp"], "offer"))
            if is_new:
                self.add_tracks()
            await self.describe("answer")
        elif self.negotiation is None or link != self.negotiation.split(".")[0]:
            return
        elif kind == "answer":
            await self.pc.setRemoteDescription(RTCSessionDescription(data["sdp"], "answer"))
        elif kind == "candidates":
            for one in data:
                await self.add(one)
        elif kind == "candidate":
            await self.add(data)

    async def add(self, one):
        if not one["candidate"]:
            return
        candidate = candidate_from_sdp(one["candidate"].split(":", 1)[1])
        candidate.sdpMid, candidate.sdpMLineIndex = one["sdpMid"], one["sdpMLineIndex"]
        await self.pc.addIceCandidate(candidate)


class Participant:
    def __init__(self, http, server, room, name):
        self.http, self.server, self.room, self.name = http, server, room, name
        self.session = secrets.token_urlsafe(16)
        self.token, self.me, self.seen, self.sequence = None, None, 0, 0
        self.connections = {}

    async def post(self, path, body, token=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.http.post(self.server + path, json=body, headers=headers) as answer:
            if answer.status >= 400:
                raise SystemExit(f"{path}: {answer.status} {await answer.text()}")
            return await answer.json()

    def connection(self, participant):
        async def send(kind, negotiation, data):
            self.sequence += 1
            signal = {"seq": self.sequence, "to": participant, "type": kind, "negotiationId": negotiation, "data": data}
            await self.post("/api/webrtc/signal", {"roomId": self.room, "signals": [signal]}, self.token)

        return self.connections.setdefault(participant, Connection(send))

    async def join(self):
        body = {"session": self.session, "displayName": self.name, "media": {"audio": True, "video": True}}
        answer = await self.post(f"/api/video/rooms/{self.room}/join", body)
        self.token, self.me, self.seen = answer["token"], answer["participant"], answer["roomSeq"]
        tell(joined=self.me["participantId"])
        for other in answer["participants"]:
            await self.connection(other["participantId"]).offer(self.me["ordinal"])

    async def take(self, event, data):
        if event == "hello":
            return await self.join()
        if data.get("roomId") != self.room or data["roomSeq"] <= self.seen:
            return None
        self.seen = data["roomSeq"]
        if event == "webrtc.signal":
            await self.connection(data["from"]["participantId"]).take(data)
        elif event == "video.participant.left":
            gone = self.connections.pop(data["participantId"], None)
            if gone and gone.pc:
                await gone.pc.close()
            tell(left=data["participantId"])
        return None

    async def count(self):
        while True:
            await asyncio.sleep(1)
            tell(frames={participant: one.frames for participant, one in self.connections.items()})

    async def run(self):
        url = f"{self.server}/api/events?session={self.session}&broadcast=0"
        async with self.http.get(url, timeout=aiohttp.ClientTimeout(total=None)) as stream:
            event, data = None, []
            async for line in stream.content:
                field, _, value = line.decode().rstrip("\r\n").partition(": ")
                if field == "event":
                    event = value
                elif field == "data":
                    data.append(value)
                elif not field and data:
                    await self.take(event, json.loads("\n".join(data)))
                    event, data = None, []


async def main():
    async with aiohttp.ClientSession() as http:
        participant = Participant(http, *sys.argv[1:4])
        counting = asyncio.ensure_future(participant.count())
        await participant.run()
        counting.cancel()


asyncio.run(main())
