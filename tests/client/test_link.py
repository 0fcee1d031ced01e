"""One connection and its limits in time, on a stream whose speed the test decides, without kernel buffers."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection

from beaver_actors.client import ConnectionLost, new_job
from beaver_actors.client.address import parse_url
from beaver_actors.client.core import Core
from beaver_actors.client.link import Link
from beaver_actors.client.opening import Connection
from beaver_actors.client.websocket import WebSocket
from beaver_actors.codec.wire import EnqueueRequest

PIECE_BYTES = 65_536


class Way(trio.abc.Stream):
    """A way to a server that says nothing.

    Args:
        piece_seconds: how long 64 KiB take.
    """

    def __init__(self, piece_seconds: float) -> None:
        self.written = 0
        self._piece_seconds = piece_seconds
        self._closed = trio.Event()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.sleep(self._piece_seconds * len(data) / PIECE_BYTES)
        self.written += len(data)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await self._closed.wait()
        return b""

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        self._closed.set()
        await trio.lowlevel.checkpoint()


def opened() -> WebSocket:
    """A WebSocket that has just been opened."""
    websocket = WebSocket(parse_url("ws://localhost"), "beaver.v1+json", None)
    server = WSConnection(ConnectionType.SERVER)
    server.receive_data(websocket.opening())
    websocket.receive(server.send(AcceptConnection(subprotocol="beaver.v1+json")))
    assert websocket.opened
    return websocket


class Running:
    """A link at work, with one large request."""

    def __init__(self, piece_seconds: float) -> None:
        self.core = Core("json", lambda: None)
        jobs = [new_job("work", {"text": "x" * 1_000_000}) for _ in range(7)]
        self.size_bytes = self.core.ask(EnqueueRequest(id="", jobs=jobs), lambda _: None).size_bytes
        self.way = Way(piece_seconds)
        self.ended_after: float | None = None

    async def run(self) -> None:
        began = trio.current_time()
        with pytest.raises(ConnectionLost) as raised:
            raise await Link(Connection(self.way, opened(), []), self.core).run()
        self.reason = str(raised.value)
        self.ended_after = trio.current_time() - began


async def test_a_slow_way_to_the_server_is_no_dead_one(autojump_clock: trio.testing.MockClock) -> None:
    """A message that takes ten minutes is written to its end; the silence counts from there."""
    running = Running(piece_seconds=6)
    await running.run()
    assert running.way.written > running.size_bytes
    assert running.ended_after is not None
    assert 640 < running.ended_after < 740
    assert running.reason == "the server gave no sign of life for 40 s"


async def test_a_server_that_takes_nothing_is_left(autojump_clock: trio.testing.MockClock) -> None:
    """Nothing moves for 20 s in the middle of a message: that is a dead connection."""
    running = Running(piece_seconds=21)
    await running.run()
    assert running.ended_after == 20
    assert running.reason == "the server took nothing for 20 s"
