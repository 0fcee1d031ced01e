"""Opening a connection: every way in which it can fail is told in words, and soon."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
import trustme

from beaver_actors.client import ConnectFailed, connect
from beaver_actors.client.address import parse_url
from tests.client.rig import rigged


@asynccontextmanager
async def listening(handler: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[str]:
    """The URL of a port where `handler` takes every connection."""
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, handler, listeners)
        yield f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def refused_by(url: str, **options: str) -> ConnectFailed:
    with pytest.raises(ConnectFailed) as raised:
        async with connect(url, **options):  # type: ignore[arg-type]  # each option is given its own type
            pytest.fail("there is no server")
    return raised.value


async def test_no_server_is_told_with_the_way_to_start_one() -> None:
    """Connection refused: says where, and what to do."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    error = await refused_by(f"ws://127.0.0.1:{port}")
    advice = "start one with `python -m beaver_actors run`"
    assert str(error) == f"no server at ws://127.0.0.1:{port}: connection refused; {advice}"
    assert error.transient


async def test_a_host_that_does_not_exist_is_told() -> None:
    """A name that cannot be resolved is no connection refused."""
    error = await refused_by("ws://no-such-host.invalid:7440")
    assert "no connection to ws://no-such-host.invalid:7440: " in str(error)


async def test_a_wrong_token_is_told_as_such() -> None:
    """401 names the token, and is not worth another try; the right one gets in."""
    async with rigged(token="right") as rig:
        error = await refused_by(rig.url)
        assert error.status == 401
        assert "wants a valid token (401): a token is needed" in str(error)
        assert not error.transient
        error = await refused_by(rig.url, token="wrong")
        assert str(error).endswith("wants a valid token (401): wrong token")
        async with connect(rig.url, token="right") as client:
            await client.status()


async def test_a_path_that_is_no_websocket_is_told() -> None:
    """404 from a server that is there."""
    async with rigged() as rig:
        error = await refused_by(rig.url + "/elsewhere")
        assert (error.status, error.transient) == (404, False)
        assert "opens no WebSocket (HTTP 404)" in str(error)


@pytest.mark.parametrize(
    ("answer", "expected", "transient"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", "forbids this connection (403)", False),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "takes no connection now (503)", True),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\nhalf", "takes no connection now (503)", True),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>Hello", "opens no WebSocket (HTTP 200)", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000, "(HTTP 200)", True),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "is no beaver_actors server: Bad HTTP message", False),
        (b"\x15\x03\x01\x00\x02\x02\x50", "is no beaver_actors server", False),
        (b"", "the server hung up before the WebSocket was open", True),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: bm90IHRoaXM=\r\n\r\n",
            "is no beaver_actors server: Bad accept token",
            False,
        ),
    ],
)
async def test_answers_of_other_servers_are_told(answer: bytes, expected: str, transient: bool) -> None:
    """Whatever listens there, the failure says what came instead of a WebSocket."""

    async def handler(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(answer)

    async with listening(handler) as url:
        error = await refused_by(url)
        assert expected in str(error)
        assert error.transient is transient


async def test_a_websocket_of_another_kind_is_told() -> None:
    """A server that opens a WebSocket without our protocol is not ours."""
    import websockets.trio.server

    async with trio.open_nursery() as nursery:

        async def handler(connection: websockets.trio.server.ServerConnection) -> None:
            await trio.sleep_forever()

        server = await nursery.start(websockets.trio.server.serve, handler, 0)
        port = server.listeners[0].socket.getsockname()[1]
        error = await refused_by(f"ws://127.0.0.1:{port}")
        assert "is no beaver_actors server" in str(error)
        nursery.cancel_scope.cancel()


async def test_a_server_that_never_answers_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    """The deadline covers everything from the first packet to the open WebSocket."""

    async def handler(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with listening(handler) as url:
        before = trio.current_time()
        error = await refused_by(url)
        assert 10 <= trio.current_time() - before < 11
        assert str(error) == f"no connection to {url}: not open within 10 s"


async def test_wss_is_served_and_a_stranger_is_not_trusted() -> None:
    """TLS: a certificate that is not trusted is told; with the right one jobs go through."""
    authority = trustme.CA()
    server_tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server_tls)
    client_tls = ssl.create_default_context()
    authority.configure_trust(client_tls)
    async with rigged() as rig, trio.open_nursery() as nursery:
        port = rig.listener_port

        async def encrypted(stream: trio.SocketStream) -> None:
            tls = trio.SSLStream(stream, server_tls, server_side=True, https_compatible=True)
            plain = await trio.open_tcp_stream("127.0.0.1", port)
            async with plain, trio.open_nursery() as both:

                async def pass_on(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
                    try:
                        async for data in source:
                            await sink.send_all(data)
                    except (trio.BrokenResourceError, trio.ClosedResourceError):
                        pass
                    both.cancel_scope.cancel()

                both.start_soon(pass_on, tls, plain)
                both.start_soon(pass_on, plain, tls)

        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, encrypted, listeners)
        url = f"wss://localhost:{listeners[0].socket.getsockname()[1]}"
        error = await refused_by(url)
        assert "cannot trust the server" in str(error)
        assert not error.transient
        async with connect(url, tls=client_tls) as client:
            assert (await client.enqueue("work")).lsn == 1
        error = await refused_by(url.replace("wss:", "ws:"))
        assert "if it speaks TLS, the URL begins with wss" in str(error)
        nursery.cancel_scope.cancel()


async def test_tls_to_a_plain_port_is_told() -> None:
    """wss where ws is spoken."""
    async with rigged() as rig:
        error = await refused_by(rig.direct_url.replace("ws:", "wss:"))
        assert "no encrypted connection to wss:" in str(error)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1", "127.0.0.1:7440", "ws://", "ws://host:99999", "", "ws://u:p@host", "ws://h/a b"],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    """A URL that cannot be meant is told at once."""
    with pytest.raises(ValueError, match="url: expected"):
        parse_url(url)


def test_urls_are_taken_apart() -> None:
    """Ports, paths and IPv6 addresses."""
    assert parse_url("ws://[::1]:7440/ws?x=1")[1:] == ("::1", 7440, False, "/ws?x=1")
    assert parse_url("ws://[::1]:7440").host_header == "[::1]:7440"
    assert parse_url("wss://example.com").host_header == "example.com"
    assert parse_url("wss://example.com:80").host_header == "example.com:80"
