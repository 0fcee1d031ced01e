"""Frames that the libraries between us and the client take badly, and messages over the limits."""

import contextlib

import pytest
import trio
import trio.testing
import websockets.asyncio.client
import websockets.sync.client
import websockets.trio.client
from hypothesis import example, given, settings as hypothesis_settings, strategies as st
from websockets.exceptions import ConnectionClosedError

from beaver_actors.server.websocket import WebSocket
from tests.server.support import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    echo,
    frame,
    limits,
    log_of_server,
    over_memory,
    read_all,
    read_close,
    read_frame,
    serving,
)


async def test_a_ping_while_the_server_closes_disturbs_nothing() -> None:
    """Guard, over loopback with frames by hand: the library raised here, and took the server along."""
    with log_of_server() as told:
        await ping_a_closing_server()
    assert told == []


async def ping_a_closing_server() -> None:
    async with serving(lambda opened: opened.close(1000, "done")) as served:
        async with await served.open_raw() as stream:
            assert await read_close(stream) == (1000, "done")
            await stream.send_all(frame(PING, b"are you there?") * 3 + frame(TEXT, b"and a message"))
            await stream.send_all(frame(CLOSE, b"\x03\xe8"))
            assert await read_all(stream) == b""
        assert not served.failures
        await served.assert_serves()


async def test_pings_are_answered_while_the_handler_is_busy() -> None:
    """Guard, over loopback: messages wait for the handler, pings do not."""
    go_on = trio.Event()

    async def busy(opened: WebSocket) -> None:
        await go_on.wait()
        await echo(opened)

    async with serving(busy) as served, await served.open_raw() as stream:
        await stream.send_all(frame(TEXT, b"work") * 10 + frame(PING, b"alive?"))
        assert await read_frame(stream) == (PONG, b"alive?")
        go_on.set()
        assert [await read_frame(stream) for _ in range(10)] == [(TEXT, b"work")] * 10


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"\xff" * 100, 1002, "opcode"),
        (b"\x81\x05hello", 1002, "unmasked"),
        (frame(0xB, b"?"), 1002, "opcode"),
        (frame(PING, b"a", final=False), 1002, "fragment"),
        (frame(0x0, b"goes on"), 1002, "CONTINUATION"),
        (frame(TEXT, b"\xff\xfe"), 1007, "utf-8"),
        (frame(CLOSE, b"\x03"), 1002, "CLOSE"),
        (frame(CLOSE, b"\x03\xee"), 1002, "CLOSE"),
        (frame(TEXT, b"fine") + b"\xc1\x80....", 1002, "Reserved"),
    ],
    ids=lambda value: "frame" if isinstance(value, bytes) else None,  # its mask is another each time
)
async def test_a_client_that_breaks_the_protocol_is_told(data: bytes, code: int, words: str) -> None:
    """Guard, over loopback with hostile frames (P11): a code and a reason, where the connection vanished."""
    async with serving() as served:
        async with await served.open_raw() as stream:
            await stream.send_all(data)
            found, reason = await read_close(stream)
            assert found == code
            assert words in reason
            assert await read_all(stream) == b""
        assert not served.failures
        await served.assert_serves()


@pytest.mark.parametrize(
    "data",
    [
        frame(BINARY, bytes(1001)),
        frame(TEXT, b"a" * 1001),
        frame(TEXT, "é".encode() * 501),
        frame(BINARY, bytes(600), final=False) + frame(0x0, bytes(401)),
        frame(BINARY, bytes(2_000_000)),
        frame(BINARY, bytes(2000))[:1500],
    ],
)
async def test_a_message_over_the_limit_in_bytes_is_refused_with_1009(data: bytes) -> None:
    """Limits, over loopback: the library counts characters, the limit is in bytes."""
    async with serving(settings=limits(message_bytes_max=1000)) as served:
        async with await served.open_raw() as stream:
            await stream.send_all(frame(TEXT, "é".encode() * 500))
            assert await read_frame(stream) == (TEXT, "é".encode() * 500)
            await stream.send_all(data)
            assert await read_close(stream) == (1009, "message: expected at most 1000 bytes, got more")
        assert not served.failures
        await served.assert_serves()


async def test_a_library_client_that_sends_20_MiB_learns_that_it_is_too_much() -> None:
    """Limits, over loopback: the reason is not lost in a reset, although most of the message is unread."""
    async with serving() as served:
        async with websockets.trio.client.connect(served.url(), proxy=None) as client:
            with contextlib.suppress(ConnectionClosedError):
                await client.send(bytes(20 * 2**20))
            with pytest.raises(ConnectionClosedError):
                await client.recv()
            assert client.close_code == 1009
            assert client.close_reason == "message: expected at most 8388608 bytes, got more"
        await served.assert_serves()


async def test_a_message_in_crumbs_is_refused_before_it_costs_memory() -> None:
    """Limits, over loopback: endless empty fragments hold no bytes, but each would hold a list entry."""
    async with serving() as served:
        async with await served.open_raw() as stream:
            await stream.send_all(frame(TEXT, b"", final=False) + frame(0x0, b"", final=False) * 2000)
            code, reason = await read_close(stream)
            assert (code, reason) == (1008, "message: expected pieces of 16 bytes on average, got less")
        await served.assert_serves()


async def test_a_large_message_in_network_sized_pieces_is_whole() -> None:
    """Limits, over loopback: what a slow network makes of a message is not taken for crumbs."""
    async with serving() as served, await served.open_raw() as stream:
        message = bytes(range(250)) * 4000
        await stream.send_all(frame(BINARY, message[:500], final=False))
        for start in range(500, len(message) - 500, 500):
            await stream.send_all(frame(0x0, message[start : start + 500], final=False))
        await stream.send_all(frame(0x0, message[-500:]))
        assert await read_frame(stream) == (BINARY, message)


@given(
    st.lists(
        st.binary(max_size=40)
        | st.builds(
            frame,
            st.sampled_from([0x0, TEXT, BINARY, CLOSE, PING, PONG]),
            st.binary(max_size=130),
            final=st.booleans(),
        ),
        max_size=12,
    )
)
@example([b"\x88"])
@hypothesis_settings(deadline=None)
def test_no_frames_break_a_connection(parts: list[bytes]) -> None:
    """Guard, by random frames and bytes over memory: nothing is raised, the handler ends, and so does all.

    The bytes may begin a frame that swallows the goodbye: a silent client is cut off, which is told."""
    ended: list[bool] = []

    async def note_end(opened: WebSocket) -> None:
        await echo(opened)
        ended.append(True)

    async def main() -> None:
        async with over_memory(note_end, message_bytes_max=200) as (client, failures):
            with contextlib.suppress(trio.BrokenResourceError):
                for part in parts:
                    await client.send_all(part)
                await client.send_all(frame(CLOSE, b"\x03\xe8"))
            await read_all(client)
            await client.aclose()
        assert not failures

    with log_of_server() as told:
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert ended == [True]
    assert {entry.fields.get("reason") for entry in told} <= {"no answer to a ping within 20 s"}
