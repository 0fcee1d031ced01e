"""Bytes that are not quite HTTP, too much of it, or too slow: over loopback, and over memory with a jumping
clock."""

import pytest
import trio
import trio.testing
from hypothesis import given, settings, strategies as st

from beaver_actors.server.http import (
    json_response,
)
from beaver_actors.server.http_connection import HttpConnection, HttpSettings, close_gently
from beaver_actors.server.listener import Listener
from tests.server.asking import SMALL, error_of, get, last, some_routes
from tests.server.support import log_of_server, read_all, read_until, serving


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"\x00\x01\x02\x03garbage", 400, "the request"),
        (b"hello there\r\n\r\n", 400, "the request"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "Host"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "Host"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: b\r\n\r\n", 400, "the request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: b\rc: d\r\n\r\n", 400, "the request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: b\x00\r\n\r\n", 400, "the request"),
        (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", 400, "the request"),
        (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "begins with /"),
        (get("/?a=1&a=2"), 400, "each query parameter once"),
        (get("/?a=%FF"), 400, "the request"),
        (get("/?" + "a=1&" * 101), 400, "the request"),
        (get("/", "Content-Length: 5", "Content-Length: 6", method="POST"), 400, "Content-Length"),
        (get("/", "Content-Length: -1", method="POST"), 400, "Content-Length"),
        (get("/", "Content-Length: 3", "Transfer-Encoding: chunked", method="POST"), 400, "got both"),
        (get("/", "Transfer-Encoding: gzip", method="POST"), 501, "chunked"),
        (get("/jobs", "Transfer-Encoding: chunked", method="POST") + b"zz\r\n", 400, "the body"),
        (get("/jobs", "Content-Length: 1001", method="POST"), 413, "at most 1000 bytes"),
        (get("/jobs", "Content-Length: 1001", "Expect: 100-continue", method="POST"), 413, "at most 1000"),
        (
            get("/jobs", "Transfer-Encoding: chunked", method="POST") + b"400\r\n" + b"a" * 1024,
            413,
            "at most",
        ),
        (get("/" + "a" * 2000, "X: " + "b" * 100), 431, "at most 2048 bytes"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 5000, 431, "too long"),
    ],
)
async def test_what_is_not_http_gets_its_reason_and_the_door(data: bytes, status: int, words: str) -> None:
    """The connection, over loopback with hostile bytes: a clear answer, and the server goes on."""
    async with serving(routes=some_routes(), settings=SMALL) as served:
        answer = await served.ask(data)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        found, code, message = error_of(answer)
        assert found == status
        assert code == ("too_large" if status in (413, 431) else "bad_request")
        assert words in message
        assert not served.failures
        await served.assert_serves()


async def test_what_is_not_http_gets_its_reason_behind_a_head_request_too() -> None:
    """The connection, over loopback: the refusal has a body although the request before must not have one."""
    async with serving(routes=some_routes()) as served:
        answer = await served.ask(get("/jobs", method="HEAD") + b"what\r\n\r\n")
        assert answer.count(b"HTTP/1.1 ") == 2
        assert error_of(answer)[:2] == (400, "bad_request")
        assert not served.failures


async def test_a_client_that_stops_half_way_is_no_trouble() -> None:
    """The connection, over loopback: the end comes within the head, and within the body."""
    async with serving(routes=some_routes()) as served:
        for part in (b"GET / HT", get("/jobs", "Content-Length: 50", method="POST") + b"abc"):
            async with await served.connect() as stream:
                await stream.send_all(part)
                await stream.send_eof()
                assert error_of(await read_all(stream))[0] == 400
        assert not served.failures
        await served.assert_serves()


async def test_tls_at_the_plain_port_is_let_go_without_a_word() -> None:
    """The connection, over loopback: the first bytes of a TLS client."""
    async with serving() as served:
        assert await served.ask(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03") == b""
        await served.assert_serves()


async def test_an_answer_cannot_be_split_by_what_is_reflected_in_a_header() -> None:
    """The connection, over loopback: header injection by a careless handler stops here."""
    async with serving(routes=some_routes()) as served:
        assert b"Set-Cookie" not in await served.ask(last("/split"))
        assert len(served.failures) == 1
        answer = await served.ask(last("/x%0d%0aSet-Cookie:%20a=b"))
        assert b"Set-Cookie: a" not in answer.partition(b"\r\n\r\n")[0]
        await served.assert_serves()


async def test_a_client_in_the_midst_of_a_large_upload_reads_its_refusal() -> None:
    """The connection, over loopback: closing at once would reset it, and the answer could be lost."""
    async with serving(routes=some_routes(), settings=SMALL) as served:
        upload = get("/jobs", "Content-Length: 9000000", method="POST") + bytes(9_000_000)
        assert error_of(await served.ask(upload))[0] == 413
        await served.assert_serves()


async def test_a_refused_body_is_not_taken_for_the_next_request() -> None:
    """The connection, over loopback: request smuggling through a body that nobody read."""
    async with serving(routes=some_routes()) as served:
        inner = get("/jobs/smuggled")
        answer = await served.ask(get("/nowhere", f"Content-Length: {len(inner)}", method="POST") + inner)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("before", [b"", get("/jobs")])
@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\nHost: a\r\nX: "])
async def test_a_slow_head_is_cut_off_in_time(
    before: bytes, start: bytes, autojump_clock: trio.testing.MockClock
) -> None:
    """The connection, over memory with a jumping clock: a byte now and then gains nothing, neither in the
    first request nor behind one that was answered."""
    client, server = trio.testing.memory_stream_pair()
    http = HttpConnection(server, HttpSettings(handshake_timeout=10, idle_timeout=75))
    await client.send_all(before + start)
    if before:
        assert await http.read_head() is not None
        assert await http.respond(json_response(200, None))
        await read_until(client, b"null")

    async def dribble() -> None:
        await trio.sleep(4)
        while True:
            await client.send_all(b"a")
            await trio.sleep(1)

    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dribble)
        assert await http.read_head() is None
        nursery.cancel_scope.cancel()
    expected = 14 if before and not start else 10  # an idle connection may wait for its next first byte
    assert trio.current_time() - started == pytest.approx(expected)
    await server.aclose()
    expected_error = (408, "bad_request", "the head: expected within 10 s, got a part")
    assert error_of(await read_all(client)) == expected_error


async def test_what_was_last_said_is_read_before_the_connection_breaks() -> None:
    """close_gently, over memory: the client may go on sending for a moment, as if nothing had happened."""
    client, server = trio.testing.memory_stream_pair()
    await client.send_all(b"unread")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(close_gently, server)
        assert await client.receive_some() == b""
        await client.send_all(b"still sending")
        await client.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await server.receive_some()


async def test_a_server_that_stops_waits_for_no_first_byte(autojump_clock: trio.testing.MockClock) -> None:
    """end_when_idle, over memory with a jumping clock: before the first request, and while waiting for it."""
    for beforehand in (True, False):
        _, server = trio.testing.memory_stream_pair()
        http = HttpConnection(server, HttpSettings())
        async with trio.open_nursery() as nursery:
            if beforehand:
                http.end_when_idle()
            nursery.start_soon(http.read_head)
            await trio.testing.wait_all_tasks_blocked()
            if not beforehand:
                http.end_when_idle()
    assert trio.current_time() == 0


async def test_an_idle_connection_is_let_go_and_a_slow_body_is_told(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The connection, over memory with a jumping clock."""
    client, server = trio.testing.memory_stream_pair()
    http = HttpConnection(server, HttpSettings(idle_timeout=75, body_timeout=60))
    await client.send_all(get("/jobs"))
    request = await http.read_head()
    assert request is not None
    assert await http.respond(json_response(200, None))
    started = trio.current_time()
    assert await http.read_head() is None
    assert trio.current_time() - started == pytest.approx(75)

    client, server = trio.testing.memory_stream_pair()
    http = HttpConnection(server, HttpSettings(body_timeout=60))
    await client.send_all(get("/jobs", "Content-Length: 9", method="POST") + b"half")
    request = await http.read_head()
    assert request is not None
    assert await http.read_body(request) is None
    await server.aclose()
    assert error_of(await read_all(client))[0] == 408


@given(
    st.lists(st.binary(max_size=60) | st.sampled_from([get("/jobs/1"), b"\r\n\r\n", b"GET / HTTP/1.1\r\n"]))
)
@settings(deadline=None)
def test_no_bytes_break_a_connection(parts: list[bytes]) -> None:
    """The connection, by random bytes over memory: nothing is raised, and it ends when the client does."""

    async def main() -> None:
        client, server = trio.testing.memory_stream_pair()
        failures: list[Exception] = []
        listener = Listener(some_routes(), on_failure=failures.append)
        listener.connections = 1
        for part in parts:
            await client.send_all(part)
        await client.send_eof()
        await listener._guard(server)
        assert failures == []

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def test_a_client_that_does_not_take_its_answer_is_cut_off_and_told_of(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """send_timeout, over a stream that is full at once."""
    client, server = trio.testing.lockstep_stream_pair()
    http = HttpConnection(server, HttpSettings(send_timeout=20), "192.0.2.1:5555")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.send_all, get("/jobs"))
        request = await http.read_head()
        assert request is not None
        assert await http.read_body(request) is not None
    with log_of_server() as told:
        assert not await http.respond(json_response(200, "x" * 1000))
    fields = {"peer": "192.0.2.1:5555", "reason": "it did not take an answer within 20 s"}
    assert told == [("WARNING", "a client was cut off", fields)]
    assert trio.current_time() == 20
