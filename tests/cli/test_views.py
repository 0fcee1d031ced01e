"""What the server tells, as people see it."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console, RenderableType

from beaver_actors.cli.job_views import job_view, jobs_table
from beaver_actors.cli.pulse import Pulse
from beaver_actors.cli.queues_view import QueuesTable
from beaver_actors.cli.status_view import status_view
from beaver_actors.codec.wire_queue_objects import RateObject, RulesObject
from beaver_actors.codec.wire_status_objects import FleetObject
from beaver_actors.core.job import JobState
from tests.cli.shown import NOON, NOON_MS, failure, job, queue, status

URL = "ws://127.0.0.1:7440"


def drawn(renderable: RenderableType, width: int = 120) -> str:
    console = Console(file=StringIO(), width=width, color_system=None, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()


def line_with(text: str, part: str) -> str:
    (line,) = (line for line in text.splitlines() if part in line)
    return line


def test_the_status_tells_of_workers_elsewhere() -> None:
    """By example: those that are connected, and those that have fallen silent."""
    text = drawn(status_view(status(fleet=FleetObject(workers=3, suspect=1)), URL))
    assert "8 workers, 3 elsewhere, 1 suspect" in text


def test_the_status_tells_states_queues_and_the_server() -> None:
    """By example: the counts, the longest wait by the server's own clock, and since when it is up."""
    text = drawn(
        status_view(
            status(
                lsn=12_345,
                states=dict.fromkeys(JobState, 0) | {JobState.PENDING: 1_240},
                queues={"mail": queue(oldest="2026-11-23T11:56:40.000Z", pending=1_240)},
            ),
            URL,
        )
    )
    assert "beaver_actors 0.1.0" in text
    assert URL in text
    assert "up 1 m" in text
    assert "LSN 12,345" in text
    assert "8 workers" in text
    assert "1 connection" in text
    assert "elsewhere" not in text
    row = line_with(text, "mail")
    assert "1,240" in row
    assert row.rstrip().endswith("3 m 20 s")


def test_what_needs_attention_is_said_in_words() -> None:
    """P7 and others, by example: a full disk, unknown kinds, dead jobs, a stopping server, a pause."""
    text = drawn(
        status_view(
            status(
                states=dict.fromkeys(JobState, 0) | {JobState.DEAD: 3},
                dead_reasons={"poison": 1, "max_attempts": 2},
                unknown_kinds={"thumbnail": 12},
                storage_full=True,
                draining=True,
                queues={"mail": queue(paused=True)},
            ),
            URL,
            trouble="reconnecting",
        )
    )
    assert "The disk is full" in text
    assert '12 jobs of kind "thumbnail" can be run by no worker' in text
    assert "3 dead jobs (ever died: poison 1, max_attempts 2)" in text
    assert "stopping" in text
    assert "mail paused" in text
    assert "reconnecting" in text


def test_a_healthy_server_gives_no_warning() -> None:
    """By example: nothing is shouted without need, and no state that is never used is shown."""
    text = drawn(status_view(status(), URL))
    assert "!" not in text
    assert "blocked" not in text


def test_rates_are_shown_when_they_are_known() -> None:
    """By example."""
    pulse = Pulse()
    pulse.feel(0, {"enqueued": 0, "completed": 0})
    pulse.feel(2_000, {"enqueued": 10, "completed": 2_480})
    text = drawn(status_view(status(), URL, pulse=pulse))
    assert "enqueued 5/s" in text
    assert "completed 1,240/s" in text


def test_a_list_shows_where_each_job_stands() -> None:
    """By example: runs, age, why it is dead or waits."""
    shown = [
        job(waits_for="queue_paused"),
        job(id="invoice-7", state=JobState.DEAD, reason="max_attempts", attempt=25, errors=(failure(),)),
        job(id="later", state=JobState.SCHEDULED, waits_for="run_at"),
    ]
    text = drawn(jobs_table(shown, NOON_MS + 200_000, 150), width=150)
    first = line_with(text, "01920f3a-7bcd-7000-8000-000000000001")
    assert "pending" in first
    assert "3 m" in first
    assert "its queue is paused" in first
    second = line_with(text, "invoice-7")
    assert " 25 " in second
    assert "max attempts: OSError: no such file" in second
    assert "runs at 2026" in line_with(text, "later")


@pytest.mark.parametrize("width", [80, 100, 159, 160, 300])
def test_a_list_fits_the_terminal(width: int) -> None:
    """By example: no line is longer, none is broken, and what tells jobs apart is whole."""
    long_one = job(id="x" * 36, kind="a.kind.with.a.very.long.name", queue="queue", args={"text": "y" * 500})
    lines = drawn(jobs_table([job(), long_one], NOON_MS, width), width=width).splitlines()
    assert len(lines) == 3
    assert all(len(line) <= width for line in lines)
    assert "01920f3a-7bcd-7000-8000-000000000001  pending" in lines[1]
    assert "x" * 36 in lines[2]
    assert "…" in lines[2]


def test_one_job_is_shown_whole() -> None:
    """By example: what each attempt ended with, and why the job does not run now, in words."""
    text = drawn(
        job_view(
            job(
                waits_for="unknown_kind",
                tags=("a", "b"),
                meta={"user": 7},
                errors=(failure("no such file", "Traceback:\n  File x\nOSError: no such file"),),
                attempt=2,
                rescues=1,
            ),
            NOON_MS,
        )
    )
    assert "no worker can run this kind" in text
    assert "a, b" in text
    assert '{"user": 7}' in text
    assert "OSError: no such file" in text
    assert "    Traceback:\n" in text
    assert "1 of them ended because a worker or the server died" in text


def test_a_result_is_shown_once_there_is_one() -> None:
    """By example: null is a result too, but not of a job that is not completed."""
    assert "result" not in drawn(job_view(job(), NOON_MS))
    completed = job(state=JobState.COMPLETED, waits_for=None, result=None, finished_at=NOON)
    assert line_with(drawn(job_view(completed, NOON_MS)), "result").split() == ["result", "null"]


@pytest.mark.parametrize("text", ["[red]x[/red]", "\x1b[2J", "a\rb", "[/]"])
def test_text_of_a_job_is_shown_and_not_obeyed(text: str) -> None:
    """By example: neither the markup of the tables nor the terminal's own codes in what users wrote."""
    shown = job(id="x", kind=text, queue=text, args={"a": text}, tags=(text,), errors=(failure(text, text),))
    for drawing in (
        drawn(jobs_table([shown], NOON_MS, 120)),
        drawn(job_view(shown, NOON_MS)),
        drawn(QueuesTable({text: queue()}, NOON_MS)),
        drawn(status_view(status(queues={text: queue()}, unknown_kinds={text: 1}), URL)),
    ):
        assert "\x1b" not in drawing
        assert "\r" not in drawing
        if text.isprintable():
            assert text in drawing


@pytest.mark.parametrize("width", [20, 30, 60, 80, 100, 300])
def test_rules_take_no_room_from_the_counts_of_queues(width: int) -> None:
    """By example: a line of rules longer than the screen; columns without room are named, never all gone."""
    limited = queue(oldest="2026-11-23T11:56:40.000Z", pending=1_240, dead=7)
    rate = RateObject(limit=2, period=5, burst=1)
    limited.rules = RulesObject(jobs_max=5, concurrency=1, rate=rate, key_concurrency=1, key_rate=rate)
    text = drawn(QueuesTable({"mail": limited, "a.long.name." * 8: queue(paused=True)}, NOON_MS), width)
    head, row = text.splitlines()[:2]
    assert all(len(line) <= width for line in text.splitlines())
    assert row.startswith("mail")
    assert "pending" in head
    assert "1,240" in row
    assert "paused" in text
    left_out = " ".join(text.partition("… no room for:")[2].split())
    for name in ("scheduled", "pending", "in flight", "completed", "dead", "cancelled", "wait"):
        assert (name in head) != (name in left_out)
    if width >= 100:
        assert "key-concurrency=1 key-rate=2/5 s burst 1" in text
        assert row.rstrip().endswith("3 m 20 s")
        assert not left_out


@pytest.mark.parametrize("width", [20, 30, 80, 120])
def test_no_total_is_cut(width: int) -> None:
    """By example: on a narrow screen the totals and rates take several lines."""
    pulse = Pulse()
    pulse.feel(0, {"enqueued": 0})
    pulse.feel(1_000, {"enqueued": 10})
    text = drawn(status_view(status(states=dict.fromkeys(JobState, 123_456)), URL, pulse=pulse), width)
    for name in ("scheduled", "pending", "blocked", "in flight", "completed", "dead", "cancelled"):
        assert name in text
    assert text.count("123,456") >= 7
    assert "enqueued 10/s" in text
