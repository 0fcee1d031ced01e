"""One connection and its limits in time, on a stream whose speed the test decides, without kernel buffers."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Ping, Pong

from beaver_actors.client import ConnectionLost, new_job
from beaver_actors.client.address import parse_url
from beaver_actors.client.core import Core
from beaver_actors.client.link import Link
from beaver_actors.client.opening import Connection
from beaver_actors.client.websocket import WebSocket
from beaver_actors.codec.wire_job_messages import EnqueueRequest
from beaver_actors.codec.wire_job_objects import NewJobObject

PIECE_BYTES = 65_536


class Way(trio.abc.Stream):
    """A way to a server that says what the test says.

    Args:
        piece_seconds: how long 64 KiB take.
    """

    def __init__(self, piece_seconds: float) -> None:
        self.written = bytearray()
        self.arriving, self._arriving = trio.open_memory_channel[bytes](10)
        self._piece_seconds = piece_seconds

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.sleep(self._piece_seconds * len(data) / PIECE_BYTES)
        self.written += data

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await self._arriving.receive()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        self.arriving.close()
        await trio.lowlevel.checkpoint()


def opened() -> tuple[WebSocket, WSConnection]:
    """A WebSocket that has just been opened, and the server's end of it."""
    websocket = WebSocket(parse_url("ws://localhost"), "beaver.v1+json", None)
    server = WSConnection(ConnectionType.SERVER)
    server.receive_data(websocket.opening())
    websocket.receive(server.send(AcceptConnection(subprotocol="beaver.v1+json")))
    assert websocket.opened
    list(server.events())
    return websocket, server


class Running:
    """A link at work, with one large request."""

    def __init__(self, piece_seconds: float) -> None:
        self.core = Core("json", lambda: None)
        jobs: list[NewJobObject] = [new_job("work", {"text": "x" * 1_000_000}) for _ in range(7)]
        self.size_bytes = self.core.ask(EnqueueRequest(id="", jobs=jobs), lambda _: None).size_bytes
        self.way = Way(piece_seconds)
        self.ended_after: float | None = None

    async def run(self) -> None:
        began = trio.current_time()
        with pytest.raises(ConnectionLost) as raised:
            raise await Link(Connection(self.way, opened()[0], []), self.core).run()
        self.reason = str(raised.value)
        self.ended_after = trio.current_time() - began


async def test_a_slow_way_to_the_server_is_no_dead_one(autojump_clock: trio.testing.MockClock) -> None:
    """A message that takes ten minutes is written to its end; the silence counts from there."""
    running = Running(piece_seconds=6)
    await running.run()
    assert len(running.way.written) > running.size_bytes
    assert running.ended_after is not None
    assert 640 < running.ended_after < 740
    assert running.reason == "the server gave no sign of life for 40 s"


async def test_a_server_that_takes_nothing_is_left(autojump_clock: trio.testing.MockClock) -> None:
    """Nothing moves for 20 s in the middle of a message: that is a dead connection."""
    running = Running(piece_seconds=21)
    await running.run()
    assert running.ended_after == 20
    assert running.reason == "the server took nothing for 20 s"


async def test_a_ping_is_answered_and_a_goodbye_returned(autojump_clock: trio.testing.MockClock) -> None:
    """While nobody asks for anything, the server hears that the client is there."""
    websocket, server = opened()
    way = Way(0)
    async with trio.open_nursery() as nursery:
        reasons: list[str] = []

        async def run() -> None:
            reasons.append(str(await Link(Connection(way, websocket, []), Core("json", lambda: None)).run()))

        nursery.start_soon(run)
        goodbye = CloseConnection(1012, "back soon")
        for sent, answer in ((Ping(b"there?"), Pong(b"there?")), (goodbye, goodbye)):
            await trio.sleep(1)
            await way.arriving.send(server.send(sent))
            await trio.sleep(1)
            server.receive_data(bytes(way.written))
            way.written.clear()
            assert list(server.events()) == [answer]
    assert reasons == ["the server closed the connection (1012: back soon)"]


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (b"\x83\x00", "the server broke the WebSocket protocol"),
        (b"\x81\x01\xff", "the server broke the WebSocket protocol"),
        (b"\x81\x85abcdhello", "the server broke the WebSocket protocol"),
        (b"\x88\x02\x03\xf0", "the server closed the connection (1008)"),
        (b"\x81\x02{}", "the server sent something else than beaver.v1"),
        (b"", "the server hung up"),
    ],
)
async def test_every_end_has_its_reason(
    autojump_clock: trio.testing.MockClock, frames: bytes, reason: str
) -> None:
    """Broken frames, a goodbye, garbage, silence: the caller learns which."""
    way = Way(0)
    await way.arriving.send(frames)
    websocket, _ = opened()
    error = await Link(Connection(way, websocket, []), Core("json", lambda: None)).run()
    assert reason in str(error)


async def test_a_message_beyond_all_bounds_is_not_kept(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P11: memory is bounded whatever the server sends; also by pieces that hold nothing."""
    monkeypatch.setattr("beaver_actors.client.websocket.MESSAGE_BYTES_MAX", 10_000)
    for piece in (b"x" * 100, b""):
        way = Way(0)
        frame = bytes([0x00, len(piece)]) + piece
        await way.arriving.send(b"\x01\x00" + frame * 200)
        websocket, _ = opened()
        error = await Link(Connection(way, websocket, []), Core("json", lambda: None)).run()
        assert "more than 10000 bytes; if it was a list" in str(error)
