"""`worker` and `workers list`, as commands; the worker itself has tests of its own (`tests/remote`)."""

from __future__ import annotations

import io
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from rich.console import Console

from beaver_actors.cli.exits import Exit, Failure
from beaver_actors.cli.worker import read_queues
from beaver_actors.cli.workers import workers_table
from beaver_actors.codec.wire_times import parse_time_ms
from beaver_actors.codec.wire_worker_objects import WorkerObject
from tests.cli.command import command
from tests.cli.server import COMMAND, END_SECONDS, Server


@pytest.mark.parametrize(
    ("text", "queues"),
    [
        ("mail", (("mail", 1),)),
        ("mail=2,default", (("mail", 2), ("default", 1))),
        (" mail = 2 ".replace(" = ", "="), (("mail", 2),)),
        ("a=1000", (("a", 1000),)),
    ],
)
def test_queues_are_read_with_their_weights(text: str, queues: tuple[tuple[str, int], ...]) -> None:
    """By example."""
    assert read_queues(text) == queues


@pytest.mark.parametrize(
    "text", ["", "mail,", "a b", "mail=", "mail=0", "mail=1001", "mail=x", "mail=²", "mail,mail"]
)
def test_queues_that_cannot_be_are_refused(text: str) -> None:
    """By example: a usage error that names the option."""
    with pytest.raises(Failure) as refused:
        read_queues(text)
    assert refused.value.exit_code == Exit.USAGE
    assert "--queues" in str(refused.value)


def test_a_worker_without_its_app_says_so() -> None:
    """By example: before it connects to anything."""
    ended = command("worker", "--app", "nowhere.at.all:app", "--url", "ws://127.0.0.1:9")
    assert ended.code == Exit.USAGE
    assert "nowhere" in ended.err


def test_the_list_of_workers_says_what_each_does() -> None:
    """By example: queues with weights, and when it was last heard of."""
    worker = WorkerObject(
        worker_id="host:1:ab", state="suspect", kinds=["a", "b"], queues={"mail": 2, "default": 1}, slots=16,
        in_flight=9, host="host", pid=1, version="1.2.3", connected_at=None,
        last_seen_at="2026-09-01T08:00:00.000Z",
    )  # fmt: skip
    console = Console(width=200, file=io.StringIO())
    with console.capture() as captured:
        console.print(workers_table([worker], parse_time_ms("2026-09-01T08:00:42.000Z")))
    text = captured.get()
    for part in ("host:1:ab", "suspect", "9", "16", "mail=2, default", "1.2.3", "42 s ago"):
        assert part in text


class _NoBeaver(BaseHTTPRequestHandler):
    """Some other server, which has a page for every path."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name in the library
        pass


@pytest.mark.process
def test_a_worker_says_that_it_works_when_it_does(shared_server: Server) -> None:
    """By example: at a server that takes it in; nothing of the sort, and an end, at one that is another."""
    line = [*COMMAND, "worker", "--log-format", "json", "--url"]
    process = subprocess.Popen([*line, shared_server.url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith(f"worker for {shared_server.url}: ")
    process.terminate()
    process.communicate(timeout=END_SECONDS)
    assert process.returncode == 0
    with HTTPServer(("127.0.0.1", 0), _NoBeaver) as other:
        Thread(target=other.serve_forever, daemon=True).start()
        url = f"ws://127.0.0.1:{other.server_port}"
        ended = command("worker", "--log-format", "json", "--url", url)
        other.shutdown()
    assert (ended.code, ended.out) == (Exit.NOT_CONNECTED, "")
    assert "opens no WebSocket (HTTP 200)" in ended.err
