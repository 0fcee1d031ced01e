"""`status`: once, and live across a restart of the server."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable

import pytest

from tests.cli.command import Ended, command
from tests.cli.server import COMMAND, END_SECONDS, Server
from tests.cli.terminal import on_a_terminal

pytestmark = pytest.mark.process

Beaver = Callable[..., Ended]


def test_the_status_is_shown(beaver: Beaver) -> None:
    """By example: for people and for programs, the same figures."""
    beaver("enqueue", "nobody.serves", "-q", "status")
    shown = beaver("status")
    assert shown.code == 0
    assert "8 workers" in shown.out
    assert 'of kind "nobody.serves" can be run by no worker' in shown.out
    found = beaver("status", "--json").json()
    assert found["queues"]["status"]["states"]["pending"] == 1
    assert f"LSN {found['lsn']:,}" in shown.out


def test_no_server_is_told() -> None:
    """By example: exit code 3, also for --watch, which does not wait for a server that never was there."""
    for options in ([], ["--watch"], ["--json"]):
        ended = command("status", *options, "--url", "ws://127.0.0.1:1")
        assert ended.code == 3
        assert "no server at ws://127.0.0.1:1" in ended.err


def test_something_else_than_a_server_is_told(beaver: Beaver, shared_server: Server) -> None:
    """By example: the metrics port speaks HTTP but no WebSocket."""
    url = shared_server.ready["metrics"][0].replace("http://", "ws://")
    ended = command("status", "--url", url)
    assert ended.code == 3
    assert "no WebSocket" in ended.err


def test_watching_prints_a_line_for_each_status_when_nobody_looks(server: Server) -> None:
    """By example: into a pipe as JSON; it goes on with the server's next life after a crash."""
    server.start()
    process = subprocess.Popen(
        [*COMMAND, "status", "--watch", "--interval", "0.25", "--json", "--url", server.url],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        first = json.loads(process.stdout.readline())
        server.kill()
        server.start()
        later = next(
            status
            for status in map(json.loads, process.stdout)
            if status["started_at"] != first["started_at"]
        )
        assert later["version"] == first["version"]
        process.send_signal(signal.SIGINT)
        assert process.wait(END_SECONDS) == 130
    finally:
        process.kill()
        process.communicate()


def test_watching_on_a_terminal_survives_a_restart(server: Server) -> None:
    """By example, on a real terminal: the screen is drawn, says that the server is gone, and goes on; Ctrl-C
    ends it with 130 and leaves the last view behind."""
    server.start()
    with on_a_terminal("status", "--watch", "--interval", "0.25", "--url", server.url) as (
        process,
        read_until,
    ):
        read_until("pending")
        server.kill()
        read_until("No connection, trying again")
        server.start()
        command("enqueue", "nobody.serves", "-q", "after-the-crash", "--url", server.url)
        read_until("after-the-crash")
        process.send_signal(signal.SIGINT)
        rest = read_until()
        code = process.wait(END_SECONDS)
    assert code == 130, rest
    last_view = rest.partition("\x1b[?1049l")[2]  # the other screen is left
    assert "after-the-crash" in last_view
    assert "can be run by no worker" in last_view


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_can_be_switched_off(shared_server: Server, env: dict[str, str], coloured: bool) -> None:
    """By example, on a real terminal: in a table and in an error."""
    environment = {"NO_COLOR": "", **env}
    with on_a_terminal("status", "--url", shared_server.url, **environment) as (_, read_until):
        assert ("\x1b[3" in read_until("8 workers", "cancelled")) is coloured
    with on_a_terminal("jobs", "show", "nope", "--url", shared_server.url, **environment) as (_, read_until):
        assert ("\x1b[3" in read_until("not_found")) is coloured
