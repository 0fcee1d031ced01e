"""`worker` and `workers list`, as commands; the worker itself has tests of its own (`tests/remote`)."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from beaver_actors.cli.exits import Exit, Failure
from beaver_actors.cli.worker import read_queues
from beaver_actors.cli.workers import workers_table
from beaver_actors.codec.wire_times import parse_time_ms
from beaver_actors.codec.wire_worker_objects import WorkerObject
from tests.cli.command import command


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
