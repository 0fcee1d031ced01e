"""`tail`: the live stream of events."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from collections.abc import Callable

import pytest

from tests.cli.command import Ended, command
from tests.cli.server import COMMAND, END_SECONDS, Server

pytestmark = pytest.mark.process

Beaver = Callable[..., Ended]


def start_tail(server: Server, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "tail", "--json", "--url", server.url, *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_events_are_printed_from_a_position_on(beaver: Beaver) -> None:
    """P10, by example: in order and without a hole, for people and for programs."""
    job_id = beaver("enqueue", "demo.echo", "--wait", "--json").json()["id"]
    events = beaver("tail", "--from-lsn", 1, "--job", job_id, "-n", 3, "--json").json_lines()
    assert [event["event"] for event in events] == ["job_enqueued", "job_started", "job_completed"]
    lines = beaver("tail", "--from-lsn", events[1]["lsn"], "--job", job_id, "-n", 2).out.splitlines()
    assert [int(line.split()[0]) for line in lines] == [events[1]["lsn"], events[2]["lsn"]]


def test_events_can_be_filtered(beaver: Beaver) -> None:
    """By example: by queue, kind and event."""
    ids = [
        beaver("enqueue", kind, "-q", "tailed", "--wait", "--json").json()["id"]
        for kind in ("demo.echo",) * 2
    ]
    by_queue = ("tail", "--from-lsn", 1, "-q", "tailed", "--event", "job_completed", "-n", 2, "--json")
    assert [event["job_id"] for event in beaver(*by_queue).json_lines()] == ids
    by_kind = beaver("tail", "--from-lsn", 1, "-q", "tailed", "--kind", "demo.echo", "-n", 1, "--json")
    assert by_kind.json_lines()[0]["job_id"] == ids[0]


def test_an_unknown_event_is_told(beaver: Beaver) -> None:
    """By example: exit code 2, before anything is asked."""
    ended = beaver("tail", "--event", "job_finished")
    assert ended.code == 2
    assert "job_completed" in ended.err


def test_nothing_is_missed_across_a_crash(server: Server) -> None:
    """P10, by example: the server is killed while tail follows; every position comes once and in order, also
    what happened before tail was connected again."""
    server.start()
    tail = start_tail(server, "--from-lsn", "1")
    assert tail.stdout is not None
    assert tail.stderr is not None
    try:
        for _ in range(3):
            command("enqueue", "nobody.serves", "--url", server.url)
        seen = [json.loads(tail.stdout.readline())["lsn"]]
        server.kill()
        assert "No connection, trying again" in tail.stderr.readline()
        server.start()
        for _ in range(5):
            last = command("enqueue", "demo.echo", "--wait", "--json", "--url", server.url).json()["id"]
        for event in map(json.loads, tail.stdout):
            seen.append(event["lsn"])
            if event.get("job_id") == last and event["event"] == "job_completed":
                break
        assert seen == list(range(1, len(seen) + 1))
        assert "Connected again; nothing was missed" in tail.stderr.readline()
        tail.send_signal(signal.SIGINT)
        assert tail.wait(END_SECONDS) == 130
    finally:
        tail.kill()
        tail.communicate()


def test_a_reader_that_goes_away_is_no_error(server: Server) -> None:
    """By example: as `| head` does, while nothing happens that could be written, with the server there and
    with it away; nothing is said of it, and the exit code is that of SIGPIPE."""
    server.start()
    command("enqueue", "nobody.serves", "--url", server.url)
    for is_away in (False, True):
        tail = start_tail(server, "--from-lsn", "1")
        assert tail.stdout is not None
        assert tail.stderr is not None
        try:
            tail.stdout.readline()
            if is_away:
                server.kill()
                assert "No connection, trying again" in tail.stderr.readline()
            tail.stdout.close()
            assert tail.wait(END_SECONDS) == 141
            assert tail.stderr.read() == ""
        finally:
            tail.kill()
            tail.wait(END_SECONDS)
            tail.stdout.close()
            tail.stderr.close()


def test_output_that_goes_on_into_a_file_is_complete(beaver: Beaver, shared_server: Server) -> None:
    """By example: a file and a closed standard input are no reader that has gone."""
    beaver("enqueue", "demo.echo", "-q", "filed", "--wait")
    with tempfile.TemporaryFile() as file:
        subprocess.run(
            [*COMMAND, "tail", "--url", shared_server.url, "--from-lsn", "1", "-q", "filed", "-n", "3"],
            stdin=subprocess.DEVNULL, stdout=file, timeout=END_SECONDS, check=True,
        )  # fmt: skip
        file.seek(0)
        assert len(file.readlines()) == 3
