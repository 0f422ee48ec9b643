"""The package `websockets` of PyPI against `GET /api/v1/ws`: `python websockets_client.py URL`.

Prints one line of JSON for each check; where a check needs something of its surroundings, it prints
`{"want": …}` and goes on once that has been done.
"""

import asyncio
import json
import sys
import traceback

import websockets
from websockets.asyncio.client import connect

URL = sys.argv[1].replace("http", "ws", 1)
PATIENCE = 15


def say(line):
    print(json.dumps(line), flush=True)


class Client:
    """One WebSocket."""

    @classmethod
    async def open(cls, query=""):
        self = cls()
        # The library offers compression, which the server does not take.
        self.socket = await connect(f"{URL}/api/v1/ws?broadcast=0&channel=a{query}", max_size=4 << 20)
        self.hello = await self.next()
        assert self.hello["event"] == "hello", self.hello
        return self

    async def next(self):
        while True:
            text = await asyncio.wait_for(self.socket.recv(), PATIENCE)
            assert isinstance(text, str), text
            message = json.loads(text)
            if message.get("event") != "ping":
                return message

    async def send(self, command):
        await self.socket.send(json.dumps(command))

    async def closed(self):
        """Code and reason of the end, which must come."""
        try:
            while True:
                await self.next()
        except websockets.ConnectionClosed as end:
            return (end.rcvd.code, end.rcvd.reason) if end.rcvd else (1006, "")


def publish(data):
    return {"publish": {"channel": "a", "data": data}}


async def hello():
    client = await Client.open()
    assert client.hello["data"]["channels"] == ["a"], client.hello
    assert client.socket.protocol.extensions == [], client.socket.protocol.extensions
    await client.socket.close()


async def text():
    client = await Client.open()
    data = {"text": "ş€𝄞", "list": [1, None]}
    await client.send(publish(data))
    assert (await client.next())["data"] == data
    await client.socket.close()


async def commands():
    client = await Client.open()
    await client.send({"id": 7, "subscribe": ["b"]})
    assert (await client.next())["result"]["channels"] == ["a", "b"]
    await client.socket.close()


async def one_megabyte():
    client = await Client.open()
    await client.send(publish("x" * 1_000_000))
    assert len((await client.next())["data"]) == 1_000_000
    await client.socket.close()


async def fragments():
    client = await Client.open()
    text = json.dumps(publish("in pieces ş€𝄞"), ensure_ascii=False)
    await client.socket.send(list(text))
    assert (await client.next())["data"] == "in pieces ş€𝄞"
    await client.socket.close()


async def ping():
    client = await Client.open()
    waiter = await client.socket.ping("are you there")
    await asyncio.wait_for(waiter, PATIENCE)
    await client.socket.close()


async def binary_is_refused():
    client = await Client.open()
    await client.socket.send(b"\x01\x02")
    code, _ = await client.closed()
    assert code == 1003, code


async def close():
    client = await Client.open()
    await client.socket.close(1000, "enough")
    assert client.socket.close_code == 1000, client.socket.close_code


async def resumes_after_a_cut():
    await resumes("cut and publish")


async def resumes_after_a_restart():
    await resumes("restart and publish")


async def resumes(how):
    client = await Client.open()
    await client.send(publish("seen"))
    position = (await client.next())["id"]
    say({"want": how, "channel": "a", "count": 3})
    code, _ = await client.closed()
    assert code == 1006, code
    while True:
        try:
            again = await Client.open(f"&lastEventId={position}")
            break
        except (OSError, websockets.InvalidHandshake, websockets.ConnectionClosed):
            await asyncio.sleep(0.05)
    data = [(await again.next())["data"] for _ in range(3)]
    assert data == [0, 1, 2], data
    await again.socket.close()


CHECKS = [
    hello,
    text,
    commands,
    one_megabyte,
    fragments,
    ping,
    binary_is_refused,
    close,
    resumes_after_a_cut,
    resumes_after_a_restart,
]


async def main():
    for check in CHECKS:
        try:
            await check()
            say({"check": check.__name__, "ok": True})
        except BaseException:
            say({"check": check.__name__, "ok": False, "error": traceback.format_exc()})
    say({"done": len(CHECKS)})


asyncio.run(main())
