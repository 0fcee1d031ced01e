"""Requests that find their handler, over loopback; routes and files."""

from pathlib import Path

import pytest

from beaver_actors.server.http import (
    CONTENT_POLICY,
    Routes,
    dashboard_folder,
)
from tests.server.asking import error_of, get, last, reflect, some_routes
from tests.server.support import read_all, read_until, serving


async def test_a_path_and_its_query_reach_the_handler() -> None:
    """Routes and the connection, over loopback."""
    async with serving(routes=some_routes()) as served:
        answer = await served.ask(last("/jobs/a%2Fb%C3%A9?limit=5&after=&q=%26"))
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert "{'limit': '5', 'after': '', 'q': '&'} {'id': 'a/bé'}" in answer.decode()
        answer = await served.ask(
            b"GET http://localhost/jobs/7?x=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        assert b"{'x': '1'} {'id': '7'}" in answer
        await served.assert_serves()


async def test_a_body_comes_whole_however_it_is_sent() -> None:
    """The connection, over loopback: with a length, in chunks, and after being asked to go on."""
    async with serving(routes=some_routes()) as served:
        whole = last("/jobs", "Content-Length: 5", method="POST") + b"hello"
        assert b"b'hello'" in await served.ask(whole)
        chunks = (
            last("/jobs", "Transfer-Encoding: chunked", method="POST") + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
        )
        assert b"b'hello'" in await served.ask(chunks)
        async with await served.connect() as stream:
            await stream.send_all(last("/jobs", "Content-Length: 5", "Expect: 100-continue", method="POST"))
            assert await read_until(stream, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            await stream.send_all(b"hello")
            assert b"b'hello'" in await read_all(stream)


async def test_requests_sent_all_at_once_are_answered_in_order() -> None:
    """The connection, over loopback: pipelining, with a body in between that looks like a request."""
    async with serving(routes=some_routes()) as served:
        inner = get("/jobs/inner")
        data = get("/jobs/1") + get("/jobs", f"Content-Length: {len(inner)}", method="POST") + inner
        data += get("/nowhere") + get("/jobs/2", method="HEAD") + last("/jobs/3")
        answer = await served.ask(data)
        assert [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]] == [
            b"200",
            b"200",
            b"404",
            b"200",
            b"200",
        ]
        assert answer.index(b"/jobs/1") < answer.index(b"/jobs/inner") < answer.index(b"/jobs/3")
        assert b"/jobs/2" not in answer


async def test_a_connection_is_kept_for_the_next_request() -> None:
    """The connection, over loopback; an HTTP/1.0 client is let go as it expects."""
    async with serving(routes=some_routes()) as served:
        async with await served.connect() as stream:
            for _ in range(3):
                await stream.send_all(get("/jobs/1"))
                assert b"200" in await read_until(stream, b"\r\n\r\n")
                await read_until(stream, b'"')
                await read_until(stream, b'"')
        assert served.listener.connections_total == 1
        assert (await served.ask(b"GET /jobs/1 HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_head_has_the_headers_of_get_and_no_body() -> None:
    """RFC 9110 §9.3.2, over loopback."""
    async with serving(routes=some_routes()) as served:
        answer = await served.ask(last("/jobs/1", method="HEAD"))
        assert answer.endswith(b"\r\n\r\n")
        full = await served.ask(last("/jobs/1"))
        length = len(full.partition(b"\r\n\r\n")[2]) + 1  # HEAD is one letter longer, and shown
        assert f"Content-Length: {length}\r\n".encode() in answer


async def test_a_wrong_place_is_told_with_what_is_right() -> None:
    """Routes, over loopback: 404, and 405 with Allow; the connection lives on."""
    async with serving(routes=some_routes()) as served:
        assert error_of(await served.ask(last("/nowhere"))) == (404, "not_found", "nothing is at /nowhere")
        answer = await served.ask(last("/jobs", method="DELETE"))
        assert b"Allow: GET, HEAD, POST\r\n" in answer
        assert error_of(answer)[:2] == (405, "unsupported")
        assert error_of(await served.ask(last("/jobs/%FF")))[:2] == (400, "bad_request")
        assert error_of(await served.ask(last("/jobs/")))[0] == 404
        assert b"200" in (await served.ask(get("/nowhere") + last("/jobs/1"))).split(b"HTTP/1.1 ")[2]


async def test_a_fault_in_a_handler_costs_one_answer() -> None:
    """The listener, over loopback: 500 without details, the error counted, the connection kept."""
    async with serving(routes=some_routes()) as served:
        answer = await served.ask(get("/fail") + last("/jobs/1"))
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert b"a fault in" not in answer
        assert b"HTTP/1.1 200 " in answer
        assert [str(error) for error in served.failures] == ["a fault in a handler"]
        await served.assert_serves()


def test_a_place_is_given_once() -> None:
    """Routes, by example."""
    routes = some_routes()
    with pytest.raises(ValueError, match="GET /jobs has a handler already"):
        routes.add("GET", "/jobs", reflect)


async def test_files_are_served_from_memory(tmp_path: Path) -> None:
    """Routes.add_files, over loopback: type, ETag, policy; unchanged ones are not sent again; nothing else
    is."""
    (tmp_path / "index.html").write_bytes(b"<!doctype html><title>beaver</title>")
    (tmp_path / "app.mjs").write_bytes(b"export {}")
    (tmp_path / "notes.py").write_bytes(b"secret")
    (tmp_path / "folder.js").mkdir()
    routes = Routes()
    routes.add_files(tmp_path)
    (tmp_path / "index.html").unlink()
    async with serving(routes=routes) as served:
        page = await served.ask(last("/"))
        assert page.startswith(b"HTTP/1.1 200 ")
        assert page.endswith(b"<title>beaver</title>")
        assert f"Content-Security-Policy: {CONTENT_POLICY}\r\n".encode() in page
        assert b"X-Content-Type-Options: nosniff\r\n" in page
        assert b"Content-Type: text/javascript" in await served.ask(last("/app.mjs"))
        etag = page.partition(b"ETag: ")[2].partition(b"\r\n")[0].decode()
        again = await served.ask(last("/index.html", f'If-None-Match: "other", W/{etag}'))
        assert again.startswith(b"HTTP/1.1 304 ")
        assert again.endswith(b"\r\n\r\n")
        for hidden in ("/notes.py", "/folder.js", "/../index.html", "/%2e%2e/index.html"):
            assert (await served.ask(last(hidden))).startswith(b"HTTP/1.1 404 ")


def test_a_package_without_a_dashboard_serves_no_files() -> None:
    """Routes.add_files, by example."""
    Routes().add_files(dashboard_folder() / "no such folder")
