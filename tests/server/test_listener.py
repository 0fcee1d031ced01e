"""The listener: many connections at once, of all kinds and in every kind of trouble."""

import errno
import os
import resource
import socket
import ssl

import pytest
import trio
import trio.testing
import trustme
import websockets.sync.client
import websockets.trio.client
from websockets.exceptions import InvalidStatus

from beaver_actors.server.auth import Auth
from beaver_actors.server.http import Request, Response, Routes, json_response
from beaver_actors.server.http_connection import HttpSettings
from beaver_actors.server.listener import Listener, ListenerSettings
from beaver_actors.server.sockets import open_listeners
from tests.server.support import (
    OPENING,
    TEXT,
    echo,
    frame,
    healthz,
    log_of_server,
    read_all,
    read_frame,
    read_until,
    serving,
)

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


LAST_HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def test_http_and_websocket_share_a_connection() -> None:
    """The listener, over loopback: an upgrade as a later request, pipelined behind others with its first
    frame."""
    async with serving() as served:
        async with await served.connect() as stream:
            await stream.send_all(HEALTH + HEALTH + OPENING + frame(TEXT, b"hello"))
            for status in (b"200", b"200", b"101"):
                assert (await read_until(stream, b"\r\n\r\n")).startswith(b"HTTP/1.1 " + status)
                if status == b"200":
                    await read_until(stream, b"}")
            assert await read_frame(stream) == (TEXT, b"hello")
        assert served.listener.connections_total == 1
        await served.assert_serves()


async def test_a_listener_may_serve_http_alone() -> None:
    """The listener, over loopback: as for the metrics port; an upgrade there is only a wrong request."""
    routes = Routes()
    routes.add("GET", "/metrics", healthz)
    listeners, (address,) = await open_listeners("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        await nursery.start(Listener(routes).serve, listeners)
        host, port = address.split(":")
        for head, status in ((LAST_HEALTH.replace(b"healthz", b"metrics"), b"200"), (OPENING, b"404")):
            async with await trio.open_tcp_stream(host, int(port)) as stream:
                await stream.send_all(head)
                await stream.send_eof()
                assert (await read_all(stream)).startswith(b"HTTP/1.1 " + status)
        nursery.cancel_scope.cancel()
    listeners[0].socket.close()


async def test_connections_over_the_cap_are_told_to_come_back() -> None:
    """The cap (P11), over loopback: 503 with Retry-After, no hanging; room is room again."""
    async with serving(settings=ListenerSettings(connections_max=3)) as served:
        held = [await served.open_raw() for _ in range(3)]
        for _ in range(5):
            answer = await served.ask(b"")
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: 1\r\n" in answer
            assert b'"code":"overloaded"' in answer
        with pytest.raises(InvalidStatus, match="503"):
            async with websockets.trio.client.connect(served.url(), proxy=None):
                pass
        assert (served.listener.connections, served.listener.connections_refused) == (3, 6)
        for stream in held:
            await stream.send_all(frame(TEXT, b"unharmed"))
            assert await read_frame(stream) == (TEXT, b"unharmed")
            await stream.aclose()
        while served.listener.connections:
            await trio.lowlevel.checkpoint()
        await served.assert_serves()


async def test_a_crowd_at_the_door_is_counted_and_told_once() -> None:
    """P11, over loopback: the operator hears of the cap in one line, and not in one for each connection."""
    turned_away: list[None] = []
    settings = ListenerSettings(connections_max=1)
    listener = Listener(Routes(), settings=settings, on_turned_away=lambda: turned_away.append(None))
    listeners, (address,) = await open_listeners("127.0.0.1", 0)
    port = int(address.split(":")[1])
    with log_of_server() as told:
        async with trio.open_nursery() as nursery:
            await nursery.start(listener.serve, listeners)
            async with await trio.open_tcp_stream("127.0.0.1", port):
                for _ in range(3):
                    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                        assert (await read_all(stream)).startswith(b"HTTP/1.1 503 ")
            nursery.cancel_scope.cancel()
    listeners[0].socket.close()
    assert len(turned_away) == 3
    assert [line.fields for line in told] == [{"connections_max": 1, "turned_away": 1}]


async def test_half_open_handshakes_by_the_hundred_pass() -> None:
    """Time limit and cap (P11), over loopback: clients that say nothing, or half of something, are let go,
    and while they fill the server a normal client is told so."""
    settings = ListenerSettings(connections_max=200, http=HttpSettings(handshake_timeout=0.3))
    beginnings = (b"", b"G", OPENING[:-2], b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
    async with serving(settings=settings) as served:
        held: list[trio.SocketStream] = []
        for number in range(200):
            held.append(await served.connect())
            await held[-1].send_all(beginnings[number % 4])
        answer = await served.ask(LAST_HEALTH)
        assert answer.startswith((b"HTTP/1.1 503 ", b"HTTP/1.1 200 "))
        for stream in held:
            answer = await read_all(stream)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")
            await stream.aclose()
        while served.listener.connections:
            await trio.lowlevel.checkpoint()
        assert not served.failures
        await served.assert_serves()


async def test_running_out_of_descriptors_is_survived() -> None:
    """The accept loop, over loopback with a real limit: who waits meanwhile is served afterwards."""
    async with serving() as served:
        waiting = socket.socket()  # has its descriptor already
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with log_of_server() as told:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (_lowest_free_descriptor(), hard))
                waiting.connect(("127.0.0.1", served.port))
                while not told:
                    await trio.lowlevel.checkpoint()
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert {line.event for line in told} == {"a connection could not be accepted"}
        waiting.setblocking(False)
        async with trio.SocketStream(trio.socket.from_stdlib_socket(waiting)) as stream:
            await stream.send_all(LAST_HEALTH)
            assert (await read_all(stream)).startswith(b"HTTP/1.1 200 ")
        await served.assert_serves()


async def test_a_client_that_gives_up_before_it_is_accepted_is_no_trouble() -> None:
    """The accept loop, with errors put in front of a real socket: Linux hides these, other systems do not."""

    class Troubled(trio.abc.Listener[trio.SocketStream]):
        def __init__(self, real: trio.SocketListener) -> None:
            self.real = real
            self.errors = [errno.ECONNABORTED, errno.ENOBUFS, errno.EPROTO]

        async def accept(self) -> trio.SocketStream:
            if self.errors:
                raise OSError(self.errors.pop(), "trouble")
            return await self.real.accept()

        async def aclose(self) -> None:
            await self.real.aclose()

    routes = Routes()
    routes.add("GET", "/healthz", healthz)
    listeners, _ = await open_listeners("127.0.0.1", 0)
    with log_of_server() as told:
        async with trio.open_nursery() as nursery, Troubled(listeners[0]) as troubled:
            await nursery.start(Listener(routes).serve, [troubled])
            async with await trio.testing.open_stream_to_socket_listener(listeners[0]) as stream:
                await stream.send_all(LAST_HEALTH)
                assert (await read_all(stream)).startswith(b"HTTP/1.1 200 ")
            nursery.cancel_scope.cancel()
    assert [line.event for line in told] == [
        "a connection could not be accepted"
    ]  # three in a row, told once


async def test_a_guarded_server_asks_everybody_but_the_health_checker() -> None:
    """Auth in the listener, over loopback: WebSocket and routes want the token, /healthz is open."""
    routes = Routes()
    routes.add("POST", "/jobs", healthz)
    async with serving(routes=routes, auth=Auth("s3cret")) as served:
        post = b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%sContent-Length: 2\r\n\r\n{}"
        answer = await served.ask(post % b"")
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert b'WWW-Authenticate: Bearer realm="beaver_actors"\r\n' in answer
        assert (await served.ask(post % b"Authorization: Bearer s3cret\r\n")).startswith(b"HTTP/1.1 200 ")
        assert (await served.ask(LAST_HEALTH)).startswith(b"HTTP/1.1 200 ")
        refused = OPENING.replace(b"Upgrade\r\nSec", b"Upgrade, close\r\nSec")
        assert (await served.ask(refused)).startswith(b"HTTP/1.1 401 ")
        headers = {"Authorization": "Bearer s3cret"}
        async with websockets.trio.client.connect(
            served.url(), additional_headers=headers, proxy=None
        ) as client:
            await client.send("hello")
            assert await client.recv() == "hello"


async def test_a_foreign_page_gets_no_websocket_and_posts_nothing() -> None:
    """Auth in the listener, over loopback: no token is set, so only Origin and Host tell the page from the
    user."""
    posted: list[Request] = []

    async def post(request: Request) -> Response:
        posted.append(request)
        return json_response(200, None)

    routes = Routes()
    routes.add("POST", "/jobs", post)
    async with serving(routes=routes, auth=Auth(None)) as served:
        with pytest.raises(InvalidStatus, match="403"):
            async with websockets.trio.client.connect(
                served.url(), additional_headers={"Origin": "https://evil.example"}, proxy=None
            ):
                pass
        form = b"POST /jobs HTTP/1.1\r\nHost: %s\r\nOrigin: http://%s\r\nContent-Length: 2\r\n\r\n{}"
        for host, origin in ((b"localhost", b"evil.example"), (b"evil.example", b"evil.example")):
            assert (await served.ask(form % (host, origin))).startswith(b"HTTP/1.1 403 ")
        assert posted == []
        await served.assert_serves()


async def test_tls_streams_are_served_like_any_other() -> None:
    """The listener on TLS, over loopback: wss with a real certificate chain, and plain bytes at the TLS
    port."""
    authority = trustme.CA()
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(ours)
    theirs = ssl.create_default_context()
    authority.configure_trust(theirs)
    listeners, _ = await open_listeners("127.0.0.1", 0)
    port = listeners[0].socket.getsockname()[1]
    over_tls = [trio.SSLListener(listener, ours, https_compatible=True) for listener in listeners]
    failures: list[Exception] = []
    settings = ListenerSettings(http=HttpSettings(handshake_timeout=5))
    listener = Listener(Routes(), websocket_handler=echo, settings=settings, on_failure=failures.append)

    def speak() -> None:
        with websockets.sync.client.connect(f"wss://localhost:{port}/", ssl=theirs, proxy=None) as client:
            for message in ("hello", "a" * 300_000):
                client.send(message)
                assert client.recv() == message

    async with trio.open_nursery() as nursery:
        await nursery.start(listener.serve, over_tls)
        await trio.to_thread.run_sync(speak)
        async with await trio.open_tcp_stream("127.0.0.1", port) as plain:
            await plain.send_all(HEALTH)
            assert b"HTTP/1.1" not in await read_all(plain)
        await trio.to_thread.run_sync(speak)
        nursery.cancel_scope.cancel()
    assert not failures
    listeners[0].socket.close()


def _lowest_free_descriptor() -> int:
    probe = os.dup(0)
    os.close(probe)
    return probe
