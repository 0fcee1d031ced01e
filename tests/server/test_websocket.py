"""One guarded WebSocket, over loopback with real clients (the websockets package in its three forms) and with
bytes made by hand; over memory with a jumping clock where time matters."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trio
import trio.testing
import trio_websocket
import websockets.asyncio.client
import websockets.sync.client
import websockets.trio.client
from hypothesis import given, settings as hypothesis_settings, strategies as st
from structlog.testing import capture_logs
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.typing import Subprotocol

from beaver_actors.server import websocket
from beaver_actors.server.auth import Auth
from beaver_actors.server.guarded_stream import GATHER_BYTES
from beaver_actors.server.http import Request
from beaver_actors.server.listener import ListenerSettings
from beaver_actors.server.upgrade import Upgrade
from beaver_actors.server.websocket import WebSocket, WebSocketClosed, WebSocketSettings
from tests.server.support import (
    BINARY,
    CLOSE,
    OPENING,
    PING,
    PONG,
    TEXT,
    echo,
    frame,
    read_all,
    read_close,
    read_frame,
    read_until,
    reset,
    serving,
)

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
JSON, CBOR = Subprotocol("beaver.v1+json"), Subprotocol("beaver.v1+cbor")


def limits(**values: float) -> ListenerSettings:
    return ListenerSettings(websocket=WebSocketSettings(**values))  # type: ignore[arg-type]  # a mixture


async def test_each_kind_of_client_gets_its_echo() -> None:
    """The websockets package: trio, sync in a thread, asyncio in a thread; text, binary, empty, and 1 MB."""
    messages: list[str | bytes] = ["", b"", "héllo ✓", b"\x00\xff", "a" * 1_000_000, bytes(1_000_000)]

    def sync_client(url: str) -> None:
        with websockets.sync.client.connect(url, proxy=None) as client:
            for message in messages:
                client.send(message)
                assert client.recv() == message

    async def asyncio_client(url: str) -> None:
        async with websockets.asyncio.client.connect(url, proxy=None) as client:
            for message in messages:
                await client.send(message)
                assert await client.recv() == message

    async with serving() as served:
        await trio.to_thread.run_sync(sync_client, served.url())
        await trio.to_thread.run_sync(asyncio.run, asyncio_client(served.url("/")))
        async with websockets.trio.client.connect(served.url("/api/v1/ws"), proxy=None) as client:
            for message in messages:
                await client.send(message)
                assert await client.recv() == message
        assert not served.failures


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (None, None),
        ([JSON], JSON),
        ([CBOR], CBOR),
        ([CBOR, JSON], CBOR),
        ([Subprotocol("other.v9"), JSON], JSON),
        ([Subprotocol("beaver.bearer." + base64.urlsafe_b64encode(b"t").decode().rstrip("=")), CBOR], CBOR),
    ],
)
async def test_the_first_known_subprotocol_is_spoken(
    offered: list[Subprotocol] | None, chosen: str | None
) -> None:
    """Negotiation, over loopback; the handler sees the same as the client."""
    seen: list[str | None] = []

    async def note(opened: WebSocket) -> None:
        seen.append(opened.subprotocol)

    async with (
        serving(note) as served,
        websockets.trio.client.connect(served.url(), subprotocols=offered, proxy=None) as client,
    ):
        assert client.subprotocol == chosen
    assert seen == [chosen]


async def test_unknown_subprotocols_are_refused_with_the_known_ones() -> None:
    """Negotiation, over loopback."""
    async with serving() as served:
        with pytest.raises(InvalidStatus) as refused:
            async with websockets.trio.client.connect(
                served.url(), subprotocols=[Subprotocol("other.v9")], proxy=None
            ):
                pass
        assert refused.value.response.status_code == 400
        assert b"beaver.v1+json, beaver.v1+cbor, got other.v9" in refused.value.response.body
        await served.assert_serves()


async def test_a_token_as_subprotocol_opens_and_is_never_echoed() -> None:
    """Auth and negotiation, over loopback: no answer shows the token, whatever else is offered."""
    token = Subprotocol("beaver.bearer." + base64.urlsafe_b64encode(b"s3cret").decode().rstrip("="))
    async with serving(auth=Auth("s3cret")) as served:
        for offered in ([token], [token, CBOR], [CBOR, token]):
            async with websockets.trio.client.connect(
                served.url(), subprotocols=offered, proxy=None
            ) as client:
                assert client.response is not None
                assert token not in str(client.response.headers)
                await client.send("hello")
                assert await client.recv() == "hello"
        with pytest.raises(InvalidStatus, match="401"):
            async with websockets.trio.client.connect(served.url(), subprotocols=[CBOR], proxy=None):
                pass


def opening(*headers: str, drop: str = "", method: str = "GET", version: str = "1.1") -> bytes:
    lines = OPENING.decode().split("\r\n")[1:-2]
    kept = [line for line in lines if not drop or not line.startswith(drop)]
    return "\r\n".join([f"{method} /ws HTTP/{version}", *kept, *headers, "", ""]).encode()


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (opening(drop="Sec-WebSocket-Key"), 400),
        (opening("Sec-WebSocket-Key: c2hvcnQ=", drop="Sec-WebSocket-Key"), 400),
        (opening("Sec-WebSocket-Key: !!!", drop="Sec-WebSocket-Key"), 400),
        (opening(f"Sec-WebSocket-Key: {KEY}"), 400),
        (opening("Upgrade: websocket"), 400),
        (opening("Upgrade: websocket, h2c", drop="Upgrade"), 400),
        (opening(drop="Connection"), 400),
        (opening("Connection: keep-alive", drop="Connection"), 400),
        (opening(drop="Sec-WebSocket-Version"), 426),
        (opening("Sec-WebSocket-Version: 8", drop="Sec-WebSocket-Version"), 426),
        (opening("Sec-WebSocket-Version: 8"), 426),
        (opening("Content-Length: 3") + b"abc", 400),
        (opening("Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
        (opening(method="POST"), 400),
        (opening(version="1.0"), 400),
        (opening("Host: other"), 400),
        (opening("Upgrade: h2c", drop="Upgrade"), 426),
        (OPENING.replace(b"/ws ", b"/elsewhere "), 404),
    ],
)
async def test_a_request_that_opens_nothing_is_told_why(request_head: bytes, status: int) -> None:
    """Negotiation, over loopback with hand-made and doubled headers: a status, and a server that goes on."""
    async with serving() as served:
        async with await served.connect() as stream:
            await stream.send_all(request_head)
            await stream.send_eof()
            answer = await read_all(stream)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        if status == 426 and b"h2c" not in request_head:
            assert b"Sec-WebSocket-Version: 13\r\n" in answer
        await served.assert_serves()


async def test_frames_in_the_segment_of_the_opening_request_are_not_lost() -> None:
    """Replay, over loopback: a client in a hurry, whose first frame comes with its request in one write."""
    async with serving() as served:
        async with await served.open_raw(behind=frame(TEXT, b"early") + frame(BINARY, b"bird")) as stream:
            assert await read_frame(stream) == (TEXT, b"early")
            assert await read_frame(stream) == (BINARY, b"bird")
        await served.assert_serves()


async def test_a_handler_that_returns_closes_with_1000() -> None:
    """The handler's contract, over loopback: what it has sent arrives before the goodbye."""

    async def speak(opened: WebSocket) -> None:
        for number in range(1000):
            await opened.send(str(number))

    async with serving(speak) as served:
        async with websockets.trio.client.connect(served.url(), proxy=None) as client:
            assert [message async for message in client] == [str(number) for number in range(1000)]
            assert (client.close_code, client.close_reason) == (1000, "")
        assert not served.failures


async def test_a_handler_that_raises_costs_its_connection_only() -> None:
    """The handler's contract, over loopback: 1011 without details, logged, counted, no neighbour
    disturbed."""

    async def fail(opened: WebSocket) -> None:
        await opened.receive()
        async with trio.open_nursery():
            raise RuntimeError("a fault in a handler")

    async with serving(fail) as served:
        async with websockets.trio.client.connect(served.url("/api/v1/ws"), proxy=None) as neighbour:
            with capture_logs() as logs:
                async with websockets.trio.client.connect(served.url(), proxy=None) as client:
                    await client.send("go")
                    with pytest.raises(ConnectionClosedError):
                        await client.recv()
                    assert (client.close_code, client.close_reason) == (1011, "internal error")
            assert [entry["event"] for entry in logs] == ["websocket_handler_failed"]
            assert len(served.failures) == 1
            await neighbour.send("and you?")
            assert await neighbour.recv() == "and you?"
        await served.assert_serves()


async def test_a_handler_may_close_with_its_own_words() -> None:
    """close, over loopback: code and reason arrive, receive ends, and sending is refused."""
    after: list[object] = []

    async def refuse(opened: WebSocket) -> None:
        await opened.close(4001, "é" * 100)  # too long: cut, and not within a character
        after.append(await opened.receive())
        await opened.send("too late")

    async with serving(refuse) as served:
        async with websockets.trio.client.connect(served.url(), proxy=None) as client:
            with pytest.raises(ConnectionClosedError):
                await client.recv()
            assert (client.close_code, client.close_reason) == (4001, "é" * 61)
        assert not served.failures  # WebSocketClosed out of a handler is no failure
    assert after == [None]


async def test_a_client_that_leaves_ends_the_handler_however_it_leaves() -> None:
    """receive, over loopback: with a goodbye, without one, in the middle of a message, and with a reset."""
    ended = trio.lowlevel.ParkingLot()
    ways: list[Callable[[trio.SocketStream], Awaitable[None]]] = []

    async def goodbye(stream: trio.SocketStream) -> None:
        await stream.send_all(frame(CLOSE, b"\x03\xe8"))
        assert await read_close(stream) == (1000, "")

    async def vanish(stream: trio.SocketStream) -> None:
        await stream.aclose()

    async def cut_a_message(stream: trio.SocketStream) -> None:
        await stream.send_all(frame(TEXT, b"a" * 5000)[:3000])
        await stream.aclose()

    async def cut_a_fragment(stream: trio.SocketStream) -> None:
        await stream.send_all(frame(TEXT, b"a first part", final=False))
        await stream.aclose()

    async def crash(stream: trio.SocketStream) -> None:
        await stream.send_all(frame(TEXT, b"hello")[:3])
        reset(stream)

    ways = [goodbye, vanish, cut_a_message, cut_a_fragment, crash]
    count = 0

    async def count_ends(opened: WebSocket) -> None:
        nonlocal count
        while await opened.receive() is not None:
            pass
        count += 1
        ended.unpark_all()

    async with serving(count_ends) as served:
        for expected, leave in enumerate(ways, start=1):
            stream = await served.open_raw()
            await leave(stream)
            while count < expected:
                await ended.park()
            await stream.aclose()
        assert not served.failures
        await served.assert_serves()


async def test_a_ping_while_the_server_closes_disturbs_nothing() -> None:
    """Guard, over loopback with frames by hand: the library raised here, and took the server along."""
    with capture_logs() as logs:
        await ping_a_closing_server()
    assert logs == []


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


async def test_a_client_that_never_reads_costs_its_own_connection_only() -> None:
    """Guard (P11), over loopback: bounded outbox, a time limit on sending, neighbours served."""
    sent = 0
    over = trio.Event()

    async def flood(opened: WebSocket) -> None:
        nonlocal sent
        try:
            while True:
                await opened.send(bytes(10_000))
                sent += 1
        finally:
            over.set()

    settings = limits(send_timeout=0.2, outbox_bytes_max=100_000)
    async with serving(flood, settings=settings) as served:
        stream = await served.open_raw()
        await served.assert_serves()
        await over.wait()
        assert sent * 10_000 < 20_000_000  # what the two systems' socket buffers take, and little more
        assert not served.failures
        await served.assert_serves()
        await stream.aclose()


async def test_a_client_that_pings_and_never_reads_is_let_go() -> None:
    """Guard, over loopback: pongs are bounded like messages, although the library sends them itself."""
    async with serving(settings=limits(send_timeout=0.2)) as served:
        async with await served.open_raw() as stream:
            with contextlib.suppress(trio.BrokenResourceError):
                while True:
                    await stream.send_all(frame(PING, bytes(125)) * 1000)
        assert not served.failures
        await served.assert_serves()


async def test_a_goodbye_is_answered_while_much_waits_to_be_written() -> None:
    """Writer, over loopback: gathered frames and the library's closing frame do not get lost."""

    async def flood(opened: WebSocket) -> None:
        while True:
            await opened.send(b"tick" * 100)

    async with serving(flood) as served:
        for _ in range(20):
            async with await served.open_raw() as stream:
                await read_frame(stream)
                await stream.send_all(frame(CLOSE, b"\x03\xe8"))
                assert await read_close(stream) == (1000, "")
        assert not served.failures
        await served.assert_serves()


async def test_a_cancelled_send_sends_nothing_and_tears_nothing() -> None:
    """send, over loopback: the library's own would leave half a frame behind."""
    cancelled = trio.Event()

    async def impatient(opened: WebSocket) -> None:
        filled = 0
        while True:
            with trio.move_on_after(0.05) as scope:
                await opened.send(str(filled) + "x" * 100_000)
                filled += 1
            if scope.cancelled_caught:
                break
        cancelled.set()
        await opened.send(f"{filled} whole ones")

    settings = limits(outbox_bytes_max=300_000)
    async with serving(impatient, settings=settings) as served, await served.open_raw() as stream:
        await cancelled.wait()
        for number in range(10_000):
            _, payload = await read_frame(stream)
            if payload.endswith(b"whole ones"):
                break
            assert payload.startswith(f"{number}x".encode())
        assert payload == f"{number} whole ones".encode()


@contextlib.asynccontextmanager
async def over_memory(
    handler: Callable[[WebSocket], Awaitable[None]] = echo, *, lockstep: bool = False, **values: float
) -> AsyncIterator[tuple[trio.abc.Stream, list[Exception]]]:
    """The client's end of an open connection, and what the handler raised. With `lockstep`, what is sent
    waits until it is read, as with a full socket."""
    pair = trio.testing.lockstep_stream_pair() if lockstep else trio.testing.memory_stream_pair()
    failures: list[Exception] = []

    async def serve(stream: trio.abc.Stream) -> None:
        settings = WebSocketSettings(**values)  # type: ignore[arg-type]  # a mixture of int and float
        request, upgrade = Request("GET", "/ws"), Upgrade(KEY, None)
        await websocket.serve(stream, request, upgrade, handler, settings, on_failure=failures.append)
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, pair[1])
        await read_until(pair[0], b"\r\n\r\n")
        yield pair[0], failures


async def test_a_slow_handler_holds_its_client_back(autojump_clock: trio.testing.MockClock) -> None:
    """Guard (P11), over memory that is full at once: few messages are taken in, so the client has to wait.
    That it is silent meanwhile is not held against it, for hours."""
    go_on = trio.Event()
    taken = 0

    async def slow(opened: WebSocket) -> None:
        await go_on.wait()
        for number in range(30):
            assert await opened.receive() == bytes([number]) * 50_000
        await opened.send("all")

    async with over_memory(slow, lockstep=True, inbox_bytes_max=200_000) as (client, failures):
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                nonlocal taken
                for number in range(30):
                    await client.send_all(frame(BINARY, bytes([number]) * 50_000))
                    taken += 1

            nursery.start_soon(send)
            await trio.sleep(10_000)
            assert taken in (4, 5)
            go_on.set()
            assert await read_frame(client) == (TEXT, b"all")
        assert taken == 30
        assert await read_close(client) == (1000, "")
        await client.aclose()
    assert not failures


async def test_a_goodbye_overtakes_the_messages_that_nobody_takes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """close, over memory with a jumping clock: inbox and socket are full, and both still end in order."""

    async def busy(opened: WebSocket) -> None:
        await trio.sleep(100)
        await opened.close(1001, "going away")
        assert await opened.receive() is None

    for size in (10, 60_000):
        async with over_memory(busy, inbox_bytes_max=200_000) as (client, failures):
            await client.send_all(frame(BINARY, bytes(size)) * 100)
            started = trio.current_time()
            assert await read_close(client) == (1001, "going away")
            await client.send_all(frame(CLOSE, b"\x03\xe9"))
            assert await read_all(client) == b""
            assert trio.current_time() - started == pytest.approx(100)
            await client.aclose()
        assert not failures


async def test_a_silent_client_is_asked_and_let_go(autojump_clock: trio.testing.MockClock) -> None:
    """Keepalive, over memory with a jumping clock: after one interval a ping, after one time limit the
    end."""
    async with over_memory(ping_interval=20, ping_timeout=15, close_timeout=5) as (client, failures):
        assert (await read_frame(client))[0] == PING
        assert trio.current_time() == pytest.approx(20)
        assert await read_close(client) == (1011, "no answer to a ping within 15 s")
        assert trio.current_time() == pytest.approx(35)
        assert await read_all(client) == b""
        assert trio.current_time() <= 35 + 5 + 1.1  # it may say goodbye, and read its last frames
        await client.aclose()
    assert not failures


async def test_a_client_that_answers_or_speaks_is_kept(autojump_clock: trio.testing.MockClock) -> None:
    """Keepalive, over memory with a jumping clock: pongs keep a connection, messages make pings needless."""
    async with over_memory(ping_interval=20, ping_timeout=15) as (client, failures):
        for _ in range(100):
            opcode, payload = await read_frame(client)
            assert opcode == PING
            await client.send_all(frame(PONG, payload))
        assert trio.current_time() == pytest.approx(2000, abs=30)
        for _ in range(100):
            await trio.sleep(15)
            await client.send_all(frame(TEXT, b"busy"))
            assert await read_frame(client) == (TEXT, b"busy")
        await client.send_all(frame(CLOSE, b"\x03\xe8"))
        assert await read_close(client) == (1000, "")
        await client.aclose()
    assert not failures


async def test_a_client_that_does_not_say_goodbye_is_not_waited_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """close, over memory with a jumping clock: bounded by close_timeout."""
    async with over_memory(lambda opened: opened.close(1001, "bye"), close_timeout=5) as (client, failures):
        assert await read_close(client) == (1001, "bye")
        started = trio.current_time()
        assert await read_all(client) == b""
        assert 5 <= trio.current_time() - started < 6.1
        await client.aclose()
    assert not failures


@pytest.mark.parametrize(
    ("room", "count"), [({"outbox_bytes_max": 5500}, 5), ({"outbox_messages_max": 3}, 3)]
)
async def test_a_frame_that_is_not_taken_ends_the_connection_in_time(
    room: dict[str, int], count: int, autojump_clock: trio.testing.MockClock
) -> None:
    """Guard, over memory that is full at once with a jumping clock: the outbox takes what it may, then
    senders wait, and they and the receivers learn of the end, although the library still believes in the
    connection."""
    ends: list[object] = []
    sent = 0

    async def speak(opened: WebSocket) -> None:
        nonlocal sent

        async def listen() -> None:
            ends.append(await opened.receive())

        async def tell() -> None:
            nonlocal sent
            with contextlib.suppress(WebSocketClosed):
                while True:
                    await opened.send("x" * 1000)
                    sent += 1
            ends.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            for _ in range(3):
                nursery.start_soon(tell)

    async with over_memory(speak, lockstep=True, send_timeout=30, **room) as (client, failures):
        await trio.sleep(1000)
        await client.aclose()
    assert not failures
    assert count <= sent <= count + GATHER_BYTES // 1000 + 1  # those under way are gathered up to that size
    assert sorted(ends, key=str) == [pytest.approx(30)] * 3 + [None]


@pytest.mark.parametrize("size", [1000, 100_000])
async def test_a_client_that_reads_late_gets_everything(size: int) -> None:
    """Writer, over loopback: a full socket is waited for, and no byte is lost or doubled on the way. Small
    frames go out one by one, so that one of them meets a socket that takes nothing at all."""
    count = 4_000_000 // size

    async def speak(opened: WebSocket) -> None:
        for number in range(count):
            await opened.send(str(number).rjust(size))
            await trio.lowlevel.checkpoint()

    async with serving(speak) as served, await served.open_raw() as stream:
        await trio.testing.wait_all_tasks_blocked(0.05)
        for number in range(count):
            assert await read_frame(stream) == (TEXT, str(number).rjust(size).encode())
        assert await read_close(stream) == (1000, "")


async def test_a_connection_ends_although_its_handler_goes_on(autojump_clock: trio.testing.MockClock) -> None:
    """Guard, over memory with a jumping clock: a handler that does not listen keeps no client waiting. One
    client says goodbye, one breaks the protocol (and may answer), one takes nothing."""

    async def absent(opened: WebSocket) -> None:
        with contextlib.suppress(WebSocketClosed):
            while True:
                await opened.send("x" * 1000)
        await trio.sleep(500)

    async def deaf(opened: WebSocket) -> None:
        await trio.sleep(500)

    async with over_memory(deaf) as (client, failures):
        await client.send_all(frame(CLOSE, b"\x0f\xa1"))
        assert await read_close(client) == (4001, "")
        assert await read_all(client) == b""
        assert trio.current_time() == 0
        await client.aclose()
    async with over_memory(deaf) as (client, failures):
        started = trio.current_time()
        await client.send_all(b"\xff\xff")
        assert (await read_close(client))[0] == 1002
        assert await read_all(client) == b""
        await client.send_all(frame(CLOSE, b"\x03\xea"))
        assert trio.current_time() == started
        await client.aclose()
    async with over_memory(deaf, lockstep=True, send_timeout=30) as (client, failures):
        started = trio.current_time()
        await client.send_all(frame(PING, b"answer this"))
        await trio.sleep(31)
        await read_all(client)
        assert trio.current_time() == started + 31
        await client.aclose()
    async with over_memory(absent, lockstep=True, send_timeout=30) as (client, failures):
        started = trio.current_time()
        await trio.sleep(31)
        await read_all(client)
        assert trio.current_time() == started + 31
        await client.aclose()
    assert not failures


@pytest.mark.parametrize("meanwhile", [b"", b"\xff\xff"])
async def test_nothing_is_sent_behind_half_a_frame(
    meanwhile: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    """Guard, over memory that is full at once with a jumping clock: a ping is given up while it is being
    sent, so not even a goodbye could be understood any more, nor what was wrong with the client's frames."""
    limits = {"ping_interval": 20.0, "ping_timeout": 1.0, "send_timeout": 1000.0}
    async with over_memory(echo, lockstep=True, **limits) as (client, failures):
        await trio.sleep(20.5)
        if meanwhile:
            await client.send_all(meanwhile)
        await trio.sleep(10)
        assert len(await read_all(client)) <= 6  # of the ping
        await client.aclose()
    assert not failures


async def test_a_message_that_is_no_text_ends_its_connection_and_nobody_waits() -> None:
    """Guard, over memory: half a surrogate pair cannot be sent; who is closing the connection learns that it
    is over."""
    kept: list[WebSocket] = []

    async def careless(opened: WebSocket) -> None:
        kept.append(opened)
        await opened.send("\ud83e")
        await trio.sleep_forever()

    async with over_memory(careless) as (client, failures):
        assert await read_all(client) == b""
        await kept[0].close()
        await client.aclose()
    assert len(failures) == 1


async def test_leaving_the_node_cuts_connections_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """Cancellation, over memory that is full at once: a client that takes nothing delays no shutdown."""

    async def speak(opened: WebSocket) -> None:
        while True:
            await opened.send("x" * 1000)

    pair = trio.testing.lockstep_stream_pair()
    request, upgrade = Request("GET", "/ws"), Upgrade(KEY, None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(websocket.serve, pair[1], request, upgrade, speak, WebSocketSettings())
        await read_until(pair[0], b"\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert trio.current_time() == 0


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
@hypothesis_settings(deadline=None)
def test_no_frames_break_a_connection(parts: list[bytes]) -> None:
    """Guard, by random frames and bytes over memory: nothing is raised, the handler ends, and so does all."""
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

    with capture_logs() as logs:
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert ended == [True]
    assert logs == []


async def test_an_unknown_fault_of_the_library_ends_one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guard, over loopback with a fault put into the library: 1011 for that client, life for all others."""

    async def fault(self: object, event: object) -> None:
        raise RuntimeError("a fault in the library")

    async with serving() as served, await served.open_raw() as neighbour:
        with monkeypatch.context() as patch:
            patch.setattr(trio_websocket.WebSocketConnection, "_handle_ping_event", fault)
            stream = await served.open_raw()
        async with stream:
            with capture_logs() as logs:
                await stream.send_all(frame(PING, b"boom"))
                assert await read_close(stream) == (1011, "internal error")
                assert await read_all(stream) == b""
            assert [entry["event"] for entry in logs] == ["websocket_library_failed"]
        await neighbour.send_all(frame(PING, b"and you?"))
        assert await read_frame(neighbour) == (PONG, b"and you?")
        await served.assert_serves()


async def test_a_fault_of_the_library_in_the_goodbye_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    """Guard, over memory with a jumping clock and a fault put into the library."""

    async def fault(self: object, event: object) -> None:
        raise RuntimeError("a fault in the library")

    monkeypatch.setattr(trio_websocket.WebSocketConnection, "_handle_ping_event", fault)
    async with over_memory(lambda opened: opened.close(1000, "done"), close_timeout=100) as (
        client,
        failures,
    ):
        assert await read_close(client) == (1000, "done")
        await client.send_all(frame(PING))
        assert await read_all(client) == b""
        await client.aclose()
    assert trio.current_time() < 2
    assert not failures
