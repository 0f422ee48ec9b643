"""The package `python-socketio` of PyPI against a server: `python python_socketio.py URL MODE`.

MODE is `polling`, `websocket` or `upgrade`. Prints one line of JSON for each check; where a check
needs something of its surroundings, it prints `{"want": …}` and goes on once that has been done.
"""

import asyncio
import json
import sys
import traceback

import socketio

URL, MODE = sys.argv[1:3]
TRANSPORTS = {"polling": ["polling"], "websocket": ["websocket"], "upgrade": ["polling", "websocket"]}
PATIENCE = 15


def say(line):
    print(json.dumps(line), flush=True)


class Client:
    """One client and what it has heard."""

    def __init__(self):
        self.io = socketio.AsyncClient(reconnection_delay=0.05, reconnection_delay_max=0.2)
        self.heard = asyncio.Queue()
        self.connects = asyncio.Queue()
        self.io.on("*", self._hear, namespace="/")
        self.io.on("*", self._hear, namespace="/chat")
        self.io.on("connect", self._connect, namespace="/")
        self.gone = asyncio.Event()
        self.io.on("disconnect", self._disconnect, namespace="/")

    async def _hear(self, event, *args):
        await self.heard.put([event, *args])
        return {"answer": args[0] * 2} if event == "question" else None

    async def _connect(self):
        await self.connects.put(True)

    async def _disconnect(self, *_):
        self.gone.set()

    async def open(self, namespaces=("/",), auth=None):
        await self.io.connect(
            URL, transports=TRANSPORTS[MODE], namespaces=list(namespaces), auth=auth, wait_timeout=PATIENCE
        )
        await asyncio.wait_for(self.connects.get(), PATIENCE)
        return self

    async def hear(self):
        return await asyncio.wait_for(self.heard.get(), PATIENCE)

    async def echo(self, event, *args, namespace="/"):
        await self.io.emit(event, args, namespace=namespace)
        heard = await self.hear()
        assert heard == [event, *args], heard

    async def call(self, event, *args):
        answer = await self.io.call(event, args, timeout=PATIENCE)
        assert answer["ok"] is True, answer
        return answer

    async def close(self):
        await self.io.disconnect()


async def connects():
    client = await Client().open()
    name = client.io.transport()
    assert name == ("polling" if MODE == "polling" else "websocket"), name
    await client.close()


async def text():
    client = await Client().open()
    await client.echo("chat message", 1, "two", [3, [4]], {"five": 6.5, "ş€𝄞": None}, True)
    await client.echo("none")
    await client.echo("array", [1, 2])
    await client.close()


async def binary():
    client = await Client().open()
    await client.echo("binary", b"\x00\x01\xff", {"deep": [b"\x07\x08", "text"]})
    await client.echo("empty", b"")
    await client.close()


async def acks():
    client = await Client().open()
    for room in "abc":
        await client.call("join", f"python-{room}")
    await client.close()


async def asked_by_the_server():
    client = await Client().open()
    await client.call("join", "asked")
    say({"want": "ask", "channel": "asked", "event": "question", "data": 21, "response": {"answer": 42}})
    assert await client.hear() == ["question", 21]
    assert (await client.hear())[0] == "done"
    await client.close()


async def one_megabyte():
    client = await Client().open()
    await client.echo("long", "x" * 990_000)
    await client.echo("large", b"\x07" * (740_000 if MODE == "polling" else 990_000))
    await client.close()


async def rooms():
    one, two = await Client().open(), await Client().open()
    await one.call("join", "python-club")
    await two.call("join", "python-club")
    await one.call("publish", "python-club", "news", "first")
    assert await two.hear() == ["news", "first"]
    await two.call("leave", "python-club")
    await one.call("publish", "python-club", "news", "second")
    await two.echo("later", 1)
    await one.close()
    await two.close()


async def namespaces():
    client = await Client().open(["/", "/chat"])
    await client.echo("in chat", 1, namespace="/chat")
    await client.echo("in root", 2)
    await client.close()


async def unknown_namespace():
    try:
        await Client().open(["/nowhere"])
    except socketio.exceptions.ConnectionError as error:
        assert "Invalid namespace" in str(error) or "namespaces failed" in str(error), error
        return
    raise AssertionError("it connects")


async def reconnects_after_a_cut():
    client = await Client().open()
    say({"want": "cut"})
    await asyncio.wait_for(client.gone.wait(), PATIENCE)
    await asyncio.wait_for(client.connects.get(), PATIENCE)
    await client.echo("back", 1)
    await client.close()


async def reconnects_after_a_restart():
    client = await Client().open()
    say({"want": "restart"})
    await asyncio.wait_for(client.gone.wait(), PATIENCE)
    await asyncio.wait_for(client.connects.get(), PATIENCE)
    await client.echo("back", 1)
    await client.close()


CHECKS = [
    connects,
    text,
    binary,
    acks,
    asked_by_the_server,
    one_megabyte,
    rooms,
    namespaces,
    unknown_namespace,
    reconnects_after_a_cut,
    reconnects_after_a_restart,
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
