"""Events as lines."""

from __future__ import annotations

from datetime import timedelta

import click
import pytest

from beaver_actors.cli.events import event_line
from beaver_actors.codec.wire_event_objects import EventError
from beaver_actors.core.facts import EVENT_NAMES
from tests.cli.shown import NOON, event


def plain(line: str) -> str:
    return click.unstyle(line)


def test_an_event_is_one_line_with_its_position_and_job() -> None:
    """P10, by example: the LSN stands first, so that `--from-lsn` can be read off."""
    line = plain(
        event_line(event("job_enqueued", job_id="invoice-7", kind="mail", queue="default", args={"to": 7}))
    )
    assert line.split()[0] == "42"
    assert "job_enqueued" in line
    assert line.endswith('invoice-7  mail  {"to": 7}')


def test_what_is_usual_is_not_said() -> None:
    """By example: the default queue, no priority, and a job that runs at once."""
    usual = event("job_enqueued", job_id="x", kind="mail", queue="default", priority=0, args={}, run_at=NOON)
    assert "=" not in plain(event_line(usual))
    other = event(
        "job_enqueued", job_id="x", kind="mail", queue="bulk", priority=5, tags=("a", "b"), args={},
        run_at=NOON + timedelta(hours=1),
    )  # fmt: skip
    line = plain(event_line(other))
    assert "queue=bulk  priority=5  tags=a,b  run_at=20" in line


def test_what_went_wrong_is_said() -> None:
    """By example."""
    error = EventError(type="OSError", message="no such\nfile", traceback="…")
    line = plain(event_line(event("job_died", job_id="x", error=error, reason="max_attempts")))
    assert line.endswith("OSError: no such ⏎ file  reason=max_attempts")


@pytest.mark.parametrize("name", sorted(EVENT_NAMES.values()))
def test_every_event_has_a_line(name: str) -> None:
    """By exhaustion: in columns, whatever the event."""
    line = plain(event_line(event(name, job_id="\x1b[2Jx", result={"a": "\x1b"})))
    assert "\x1b" not in line
    assert line.index(name) == len("       42  2026-11-23 12:00:00.000  ")
