"""Jobs, events and a status to be shown by the tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from beaver_actors.client.views import AttemptFailure, Event, JobInfo, Status
from beaver_actors.codec.wire_job_objects import Fixed
from beaver_actors.codec.wire_status_objects import QueueObject
from beaver_actors.core.job import JobState

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
NOON_MS = round(NOON.timestamp() * 1000)


def job(**changes: Any) -> JobInfo:
    """A job that was made at noon and waits; `changes` make it another."""
    fields: dict[str, Any] = {
        "id": "01920f3a-7bcd-7000-8000-000000000001", "kind": "thumbnail", "args": {"path": "/a.jpg"},
        "queue": "default", "priority": 0, "state": JobState.PENDING, "run_at": NOON, "max_attempts": 25,
        "timeout": 1800, "backoff": Fixed(delay=3), "expires_at": None, "retention": None, "tags": (),
        "meta": {}, "created_at": NOON, "started_at": None, "finished_at": None, "attempt": 0, "rescues": 0,
        "fence": 0, "worker_id": None, "cancel_requested": False, "reason": None, "waits_for": "turn",
        "progress": None, "result": None, "errors": (), "lsn": 7,
    }  # fmt: skip
    return JobInfo(**fields | changes)


def failure(message: str = "no such file", traceback: str = "") -> AttemptFailure:
    """How an attempt ended, two seconds after noon."""
    at = NOON + timedelta(seconds=2)
    return AttemptFailure(at=at, attempt=1, type="OSError", message=message, traceback=traceback)


def event(name: str, **fields: Any) -> Event:
    """An event at noon."""
    return Event(lsn=42, event=name, at=NOON, **fields)


def queue(paused: bool = False, oldest: str | None = None, **states: int) -> QueueObject:
    """A queue with so many jobs in each state named."""
    counts = {state: states.get(state.value, 0) for state in JobState}
    return QueueObject(paused=paused, states=counts, oldest_pending_at=oldest)


def status(**changes: Any) -> Status:
    """The status at noon of a server that has done nothing for a minute."""
    fields: dict[str, Any] = {
        "at": "2026-11-23T12:00:00.000Z", "lsn": 0, "states": dict.fromkeys(JobState, 0), "queues": {},
        "totals": {}, "dead_reasons": {}, "unknown_kinds": {}, "storage_full": False, "draining": False,
        "version": "0.1.0", "started_at": "2026-11-23T11:59:00.000Z", "workers": 8, "sessions": 1,
    }  # fmt: skip
    return Status(**fields | changes)
