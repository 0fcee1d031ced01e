"""Facts as events on the wire."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec
import pytest
from hypothesis import given, strategies as st

from beaver_actors.codec.wire_decode import decode_reply
from beaver_actors.codec.wire_event_objects import EventObject
from beaver_actors.codec.wire_events import event_json, event_object, event_push, events_push
from beaver_actors.codec.wire_operation_objects import WantedObject
from beaver_actors.codec.wire_watch_messages import EventPush, EventsPush
from beaver_actors.core.facts import (
    EVENT_NAMES,
    Fact,
    JobCancelled,
    JobCancelRequested,
    JobCompleted,
    JobDeleted,
    JobDied,
    JobEnqueued,
    JobFailed,
    JobMoved,
    JobProgressed,
    JobReleased,
    JobRescued,
    JobRetried,
    JobSnoozed,
    JobStarted,
    JobUnblocked,
    OperationAdvanced,
    OperationEnded,
    OperationStarted,
    QueueConfigured,
    QueueDeleted,
    QueueDrainStarted,
    QueuePaused,
    QueueResumed,
    ScheduleFired,
    ScheduleRemoved,
    ScheduleSet,
)
from beaver_actors.core.job import Extras, JobError, JobState, Terms, Unique
from beaver_actors.core.limits import QueueRules, Rate
from beaver_actors.core.schedule import Plan
from beaver_actors.testing.strategies import facts

T = 1_788_249_600_000
AT, LATER = "2026-09-01T08:00:00.000Z", "2026-09-01T08:00:01.000Z"
ERROR = JobError("ValueError", "bad", "Traceback")
TOLD = {"type": "ValueError", "message": "bad", "traceback": "Traceback"}

NO_CONDITION: dict[str, object] = dict.fromkeys(WantedObject.__struct_fields__)

EXAMPLES: list[tuple[Fact, dict[str, object]]] = [
    (
        JobEnqueued("j", T, Terms("k"), b'{"a":1}', T),
        {"job_id": "j", "kind": "k", "queue": "default", "priority": 0, "args": {"a": 1}, "run_at": AT},
    ),
    (
        JobEnqueued(
            "j", T, Terms("k", "q", 5, tags=("t",)), b"{}", T + 1000,
            Extras(T + 1000, Unique("u"), concurrency_key="c"),
        ),
        {
            "job_id": "j", "kind": "k", "queue": "q", "priority": 5, "tags": ["t"], "args": {},
            "run_at": LATER, "expires_at": LATER, "unique_key": "u", "concurrency_key": "c",
        },
    ),
    (
        JobEnqueued("j", T, Terms("k"), b"{}", T, Extras(depends_on=("p",), on_parent_failure="continue")),
        {
            "job_id": "j", "kind": "k", "queue": "default", "priority": 0, "args": {}, "run_at": AT,
            "depends_on": ["p"], "on_parent_failure": "continue",
        },
    ),
    (JobStarted("j", T, "w", T + 1000), {"job_id": "j", "worker_id": "w", "deadline": LATER, "fence": 42}),
    (JobStarted("j", T, "w"), {"job_id": "j", "worker_id": "w", "fence": 42}),
    (JobProgressed("j", T, 7, b"[1]"), {"job_id": "j", "fence": 7, "progress": [1]}),
    (JobCompleted("j", T, 7, b'"r"'), {"job_id": "j", "fence": 7, "result": "r"}),
    (JobCompleted("j", T, 7), {"job_id": "j", "fence": 7, "result": None}),
    (JobFailed("j", T, 7, ERROR, T + 1000), {"job_id": "j", "fence": 7, "error": TOLD, "run_at": LATER}),
    (JobSnoozed("j", T, 7, T + 1000), {"job_id": "j", "fence": 7, "run_at": LATER}),
    (JobReleased("j", T, 7), {"job_id": "j", "fence": 7}),
    (JobRescued("j", T, 7, ERROR), {"job_id": "j", "fence": 7, "error": TOLD}),
    (JobDied("j", T, "poison", ERROR), {"job_id": "j", "reason": "poison", "error": TOLD}),
    (JobDied("j", T, "expired"), {"job_id": "j", "reason": "expired"}),
    (JobCancelRequested("j", T), {"job_id": "j"}),
    (JobCancelled("j", T), {"job_id": "j"}),
    (JobCancelled("j", T, "replaced"), {"job_id": "j", "reason": "replaced"}),
    (JobRetried("j", T, T + 1000), {"job_id": "j", "run_at": LATER}),
    (JobRetried("j", T, T + 1000, True), {"job_id": "j", "run_at": LATER, "blocked": True}),
    (JobUnblocked("j", T, T + 1000), {"job_id": "j", "run_at": LATER}),
    (JobDeleted("j", T, "retention"), {"job_id": "j", "reason": "retention"}),
    (QueuePaused("q", T), {"queue": "q"}),
    (QueueResumed("q", T), {"queue": "q"}),
    (
        OperationStarted("o", T, "retry", JobState.DEAD, kind="k", finished_after_ms=T),
        {
            "operation": "o", "word": "retry",
            "wanted": NO_CONDITION | {"state": "dead", "kind": "k", "finished_after": AT},
        },
    ),
    (OperationAdvanced("o", T, 9, 5, 3, 1), {"operation": "o", "looked_at": 5, "changed": 3, "refused": 1}),
    (OperationEnded("o", T, "completed"), {"operation": "o", "how": "completed"}),
    (ScheduleSet("s", T, Plan(Terms("k"), cron="0 3 * * *", tz="Europe/Berlin"), T),
     {"schedule": "s", "kind": "k", "queue": "default", "cron": "0 3 * * *", "tz": "Europe/Berlin",
      "paused": False, "source": "request"}),
    (ScheduleSet("s", T, Plan(Terms("k", "q"), every_ms=1500), T, True, "code"),
     {"schedule": "s", "kind": "k", "queue": "q", "every": 1.5, "paused": True, "source": "code"}),
    (ScheduleRemoved("s", T, "undeclared"), {"schedule": "s", "reason": "undeclared"}),
    (ScheduleFired("s", T, T + 1000, "j"), {"schedule": "s", "nominal_at": LATER, "fired_job_id": "j"}),
    (ScheduleFired("s", T, None, "j"), {"schedule": "s", "fired_job_id": "j"}),
    (ScheduleFired("s", T, T + 1000, None, "missed", 9),
     {"schedule": "s", "nominal_at": LATER, "reason": "missed", "times": 9}),
    (QueueDrainStarted("q", T), {"queue": "q"}),
    (QueueDeleted("q", T), {"queue": "q"}),
    (JobMoved("j", T, "q"), {"job_id": "j", "queue": "q"}),
    (
        QueueConfigured("q", T, QueueRules(None, 3, Rate(2, 1500, 5), ageing_ms=60_000), ("ageing_ms",)),
        {
            "queue": "q",
            "declared": ["ageing"],
            "rules": {
                "jobs_max": None, "concurrency": 3, "rate": {"limit": 2, "period": 1.5, "burst": 5},
                "key_concurrency": None, "key_rate": None, "ageing": 60,
            },
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fact", "fields"), EXAMPLES)
def test_an_event_says_what_happened(fact: Fact, fields: dict[str, object]) -> None:
    """Every fact with all its fields, and no field that it does not have."""
    head = {"lsn": 42, "event": EVENT_NAMES[type(fact)], "at": AT}
    assert json.loads(event_json(42, fact)) == head | fields


def test_every_fact_is_an_event() -> None:
    """The examples above leave none out."""
    assert {type(fact) for fact, _ in EXAMPLES} == set(EVENT_NAMES)


@given(st.integers(1, 2**63 - 1), facts())
def test_an_event_that_is_written_quickly_is_written_the_same(lsn: int, fact: Fact) -> None:
    """To the byte, by property and for names that have to be escaped."""
    strange: Fact = type(fact)._make(('a"b\\c', *fact[1:]))
    for named in (fact, strange):
        assert event_json(lsn, named) == msgspec.json.encode(event_object(lsn, named))


@given(st.integers(1, 2**63 - 1), facts())
def test_any_event_can_be_pushed_alone_or_in_a_batch(lsn: int, fact: Fact) -> None:
    """P10: for arbitrary facts, both messages are valid and say the same."""
    text = event_json(lsn, fact)
    alone = decode_reply(event_push("s1", text).decode())
    batch = decode_reply(events_push("s1", [text, text]).decode())
    assert isinstance(alone, EventPush)
    assert isinstance(batch, EventsPush)
    assert alone.subscription == batch.subscription == "s1"
    assert len(batch.events) == 2
    for event in batch.events:
        assert event.lsn == alone.lsn == lsn
        assert all(getattr(event, name) == getattr(alone, name) for name in event.__struct_fields__)


def rows_of_events() -> list[tuple[str, str]]:
    """The table of events in the documents: each name with the text of its fields."""
    prose = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
    table = prose.split("| event | fields besides")[1].split("\n\n")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines()[2:]]
    return [(name, fields) for names, fields in rows for name in re.findall(r"`(\w+)`", names)]


def test_the_documents_have_each_event_once() -> None:
    """By comparing names: none is missing, none stands there twice, none is invented."""
    assert sorted(name for name, _ in rows_of_events()) == sorted(EVENT_NAMES.values())


@given(facts())
def test_the_documents_name_every_field_of_an_event(fact: Fact) -> None:
    """By random facts, with all that they can have."""
    told = set(re.findall(r"`(\w+)`", dict(rows_of_events())[EVENT_NAMES[type(fact)]]))
    told |= {"lsn", "event", "at", "job_id"}
    assert set(json.loads(event_json(1, fact))) <= told


@pytest.mark.parametrize("name", sorted(EVENT_NAMES.values()))
def test_the_documents_name_no_field_that_an_event_has_not(name: str) -> None:
    """By the descriptions of the schema, where each field says which events have it."""
    told = set(re.findall(r"`(\w+)`", dict(rows_of_events())[name])) & set(EventObject.__struct_fields__)
    hints = get_type_hints(EventObject, include_extras=True)
    for field in told - {"job_id", "fence", "error"}:
        if field == "queue" and name.startswith("queue_"):
            continue
        description = str(get_args(hints[field])[1].description)
        assert name in description or ("operation_…" in description and name.startswith("operation_")), field
