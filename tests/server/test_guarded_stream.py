"""Clients that send too early or too much, and clients that take nothing or too late."""

import contextlib
import socket

import pytest
import trio
import trio.testing

from beaver_actors.server.guarded_stream import GATHER_BYTES, GuardedStream
from beaver_actors.server.sockets import address_text
from beaver_actors.server.websocket import WebSocket, WebSocketClosed
from tests.server.support import (
    BINARY,
    CLOSE,
    PING,
    TEXT,
    echo,
    frame,
    limits,
    log_of_server,
    over_memory,
    read_all,
    read_close,
    read_frame,
    read_until,
    serving,
)


async def test_frames_in_the_segment_of_the_opening_request_are_not_lost() -> None:
    """Replay, over loopback: a client in a hurry, whose first frame comes with its request in one write."""
    async with serving() as served:
        async with await served.open_raw(behind=frame(TEXT, b"early") + frame(BINARY, b"bird")) as stream:
            assert await read_frame(stream) == (TEXT, b"early")
            assert await read_frame(stream) == (BINARY, b"bird")
        await served.assert_serves()


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
        with log_of_server() as told:
            await over.wait()
        peer = address_text(stream.socket.getsockname())
        reason = "it took nothing for 0.2 s"
        assert told == [("WARNING", "a client was cut off", {"peer": peer, "reason": reason})]
        assert sent * 10_000 < 20_000_000  # what the two systems' socket buffers take, and little more
        assert not served.failures
        await served.assert_serves()
        await stream.aclose()


async def test_a_client_that_pings_and_never_reads_is_let_go() -> None:
    """Guard, over loopback: pongs are bounded like messages, although the library sends them itself."""
    async with serving(settings=limits(send_timeout=0.2)) as served:
        with log_of_server() as told:
            async with await served.open_raw() as stream:
                with contextlib.suppress(trio.BrokenResourceError):
                    while True:
                        await stream.send_all(frame(PING, bytes(125)) * 1000)
        assert [line.event for line in told] == ["a client was cut off"]
        assert not served.failures
        await served.assert_serves()


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


async def test_a_socket_that_takes_nothing_is_waited_for() -> None:
    """Guarded stream, over a socket that was filled to the brim beforehand."""
    ours, theirs = socket.socketpair()
    filled = 0
    with ours, theirs:
        ours.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                filled += ours.send(bytes(1000))
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours.dup()))
        client = trio.SocketStream(trio.socket.from_stdlib_socket(theirs.dup()))
        guarded = GuardedStream(stream, b"", inbox_bytes_max=1, inbox_messages_max=1, send_timeout=60)
        async with trio.open_nursery() as nursery, client, stream:
            nursery.start_soon(guarded.send_all, b"at last")
            await trio.testing.wait_all_tasks_blocked()
            assert await read_until(client, b"at last") == bytes(filled) + b"at last"
        assert not guarded.torn


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
