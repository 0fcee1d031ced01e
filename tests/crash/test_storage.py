"""Disks that fail under a running server and processes that die while they recover, by strace."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.crash.harness import Client, Gone, Message, Server, serving
from tests.crash.tracer import needs_strace, tampered

pytestmark = [pytest.mark.process, needs_strace]

STORAGE = 7
KILLED = -signal.SIGKILL
POINTS = [("unlink", 1), ("fallocate", 1), ("pwrite64", 2), ("fdatasync", 1), ("rename", 1), ("fsync", 2)]
"""Calls of a recovery, each with which one of its kind: one of every sort."""


def echoes(name: str, count: int) -> list[Message]:
    return [{"id": f"{name}-{n}", "kind": "demo.echo", "args": {"n": n}} for n in range(count)]


def await_completed(client: Client, count: int) -> list[str]:
    """Watch from the beginning until so many jobs have completed; their ids."""
    subscription = client.done("subscribe", topic="events", from_lsn=1)["subscription"]
    completed: list[str] = []
    while len(completed) < count:
        event = client.push()
        if event["event"] == "job_completed":
            completed.append(event["job_id"])
    client.done("unsubscribe", subscription=subscription)
    return completed


def test_a_failed_sync_ends_the_server_at_once_and_nobody_is_answered(tmp_path: Path) -> None:
    """P8, P1: the kernel refuses every sync with EIO, while two clients wait for theirs."""
    with serving(tmp_path) as server:
        server.start()
        with Client(server.url) as client, Client(server.url) as other:
            client.done("enqueue", jobs=echoes("before", 100))
            await_completed(other, 100)  # from here on, nothing is written but what comes below
            with tampered(server, "fdatasync", "error=EIO"):
                client.post("enqueue", jobs=echoes("during", 3))
                other.post("enqueue", jobs=echoes("besides", 3))
                for waiting in (client, other):
                    with pytest.raises(Gone):
                        waiting.receive()
                assert server.end() == STORAGE
        (told,) = server.log_lines("the server ends")
        assert (told["exit_code"], told["level"]) == (STORAGE, "error")
        assert "Input/output error" in told["event"]
        server.await_no_family()
        server.start()
        with Client(server.url) as client:
            # What was not answered may be there or not; to send it again is harmless (P5).
            for name in ("during", "besides"):
                client.done("enqueue", jobs=echoes(name, 3))
            client.done("subscribe", topic="events", from_lsn=1)
            completed: list[str] = []
            while len(completed) < 106:
                event = client.push()
                if event["event"] == "job_completed":
                    completed.append(event["job_id"])
            expected = [
                job["id"] for job in (*echoes("before", 100), *echoes("during", 3), *echoes("besides", 3))
            ]
            assert sorted(completed) == sorted(expected)
        assert server.stop() == 0


def die_while_recovering(server: Server, call: str, number: int) -> bool:
    """Start it so that it is killed as it makes this call for the n-th time; whether it came to that."""
    server.fork(held=True)
    with tampered(server, call, f"signal=KILL:when={number}"):
        server.signal(signal.SIGCONT)
        if server.comes_up():
            server.kill()
            return False
        assert server.end() == KILLED, server.errors()
        return True


@contextmanager
def killed_with_a_backlog(directory: Path) -> Iterator[Server]:
    """A server that was killed; in the end it must start and have every job."""
    with serving(directory) as server:
        server.start()
        with Client(server.url) as client:
            client.done("pause", queue="default")
            client.done("enqueue", jobs=echoes("before", 1000))
        server.kill()
        yield server
        server.start()
        with Client(server.url) as client:
            listed = [job["id"] for job in client.done("list", limit=1000)["jobs"]]
            assert sorted(listed) == sorted(job["id"] for job in echoes("before", 1000))
        assert server.stop() == 0
        leftovers = [path.name for path in server.data_dir.rglob("*.tmp") if path.name != "spare.tmp"]
        assert not leftovers


def test_a_server_that_is_killed_while_it_recovers_recovers_the_next_time(tmp_path: Path) -> None:
    """P3, P6: at one call of every sort that changes a file, one recovery after the other."""
    with killed_with_a_backlog(tmp_path) as server:
        reached = sum(die_while_recovering(server, call, number) for call, number in POINTS)
        assert reached >= len(POINTS) - 1


@pytest.mark.slow
def test_a_server_can_be_killed_at_every_call_of_its_recovery(tmp_path: Path) -> None:
    """P3, P6: at each call that changes a file, up to the last one of its sort."""
    reached = 0
    with killed_with_a_backlog(tmp_path) as server:
        for call, _ in POINTS:
            number = 1
            while die_while_recovering(server, call, number):
                number += 1
            reached += number - 1
    assert reached >= 10
