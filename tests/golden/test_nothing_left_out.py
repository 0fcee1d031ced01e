"""Nothing that is written or said is without a golden file: each fact, each request and reply, and each field
of each, says something in one of them (P5, P6). One that is new fails here; `later.py` and `wire_later.py`
show how it gets its file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

import msgspec
from msgspec import UNSET, Struct

from beaver_actors.codec.wire import Ok, Request
from beaver_actors.codec.wire_decode import decode_reply
from beaver_actors.codec.wire_event_objects import EventObject
from beaver_actors.codec.wire_job_objects import ExplanationObject, JobObject
from beaver_actors.codec.wire_schedule_objects import ScheduleObject
from beaver_actors.codec.wire_status_objects import FleetObject, StatusObject
from beaver_actors.codec.wire_worker_objects import WorkerObject
from beaver_actors.core.facts import FACTS
from beaver_actors.core.queues import Queue, Tenant
from beaver_actors.journal.disk import RealDisk
from beaver_actors.journal.snapshots import list_snapshots, load_snapshot
from tests.golden.test_golden import HERE, HISTORIES, VERSIONS
from tests.golden.test_wire import FILES, golden

DERIVED = {Queue: {"tenants_waiting", "sweep_at", "counts"}, Tenant: {"waiting", "running"}}
"""Fields that no snapshot stores."""


def defaults(kind: Any) -> dict[str, Any]:
    """The fields of a class, each with what it is when nothing is said; `MISSING` where something must be."""
    if issubclass(kind, Struct):
        return {field.name: field.default for field in msgspec.structs.fields(kind)}
    if is_dataclass(kind):
        made = {field.name: field.default_factory for field in fields(kind)}
        plain = {field.name: field.default for field in fields(kind)}
        return {name: plain[name] if make is MISSING else make() for name, make in made.items()}
    return {name: kind._field_defaults.get(name, MISSING) for name in kind._fields}


def silent(values: Iterable[Any]) -> set[str]:
    """The fields that are as if nothing were said, in all of these values and of those inside them."""
    said: dict[Any, set[str]] = {}
    left = list(values)
    while left:
        value = left.pop()
        told = {name: getattr(value, name) for name in defaults(type(value))}
        news = {name for name, default in defaults(type(value)).items() if told[name] != default}
        said.setdefault(type(value), set()).update(news)
        for inside in told.values():
            several = (
                inside if isinstance(inside, list | tuple) and not hasattr(inside, "_fields") else [inside]
            )
            left += [
                one
                for one in several
                if hasattr(one, "_fields") or is_dataclass(one) or isinstance(one, Struct)
            ]
    return {
        f"{kind.__name__}.{name}"
        for kind, spoken in said.items()
        for name in defaults(kind).keys() - spoken - DERIVED.get(kind, set())
    }


def test_every_fact_has_a_golden_file_and_every_field_of_it_says_something() -> None:
    """P6, by class and field: also those inside, such as the rules of a queue."""
    facts = [fact for batches in HISTORIES.values() for batch in batches for fact in batch]
    assert {type(fact) for fact in facts} == set(FACTS)
    assert silent(facts) == {"Extras.enqueued_in"}, "where a job came in is for its move to tell"


def test_every_field_says_something_in_a_golden_snapshot() -> None:
    """P6, by field: of everything that a snapshot stores."""
    stored: list[Any] = []
    for version in VERSIONS:
        disk = RealDisk(str(HERE / version))
        for lsn in list_snapshots(disk):
            state = load_snapshot(disk, lsn).state
            queues = state.queues.values()
            stored += [
                state.totals,
                *state.jobs.values(),
                *state.operations.values(),
                *state.schedules.values(),
            ]
            stored += [*queues, *(tenant for queue in queues for tenant in queue.tenants.values())]
    assert silent(stored) == set()


def test_every_field_of_every_request_is_said() -> None:
    """P5, by field: in the newest conversation. What each request is called, `test_wire.py` looks after."""
    read: Any = msgspec.json.Decoder(Request)
    said = [read.decode(one["request"]) for one in golden(FILES[-1]) if is_sound(one)]
    assert silent(said) == set()


def test_every_field_of_every_reply_is_heard() -> None:
    """P5, by field: in the newest conversation, in which no time passes, nothing is declared, no result is
    large, and the status knows of no worker elsewhere."""
    heard: list[Any] = []
    for exchange in golden(FILES[-1]):
        for text in exchange["replies"]:
            reply = decode_reply(text)
            heard.append(reply)
            for name, kind in PARTS.items() if isinstance(reply, Ok) else ():
                if (part := getattr(reply, name)) is not UNSET:
                    read = msgspec.json.decode(part, type=kind)
                    heard += read if isinstance(read, list) else [read]
    unheard = ("nominal_at", "times", "declared")
    events = {f"{kind}.{name}" for kind in ("EventObject", "EventPush") for name in unheard}
    fleet = {f"FleetObject.{name}" for name in FleetObject.__struct_fields__}
    assert silent(heard) == events | fleet | {"ParentObject.left_out"}


PARTS: dict[str, Any] = {
    "job": JobObject,
    "explanation": ExplanationObject,
    "status": StatusObject,
    "events": list[EventObject],
    "workers": list[WorkerObject],
    "schedules": list[ScheduleObject],
}
"""Parts of a reply that are left unread at first."""


def is_sound(exchange: dict[str, Any]) -> bool:
    """Whether the request is one that there is, with the fields of their types."""
    replies = [json.loads(reply) for reply in exchange["replies"]]
    return replies[0].get("code") not in ("bad_request", "unsupported")


def test_a_field_that_says_nothing_is_found() -> None:
    """By example: the search above can fail, and looks inside."""
    assert silent([Queue("a", True, 7, bucket=Queue("b").bucket)]) >= {"Queue.draining", "Bucket.owed"}
    assert "Queue.draining" not in silent([Queue("a"), Queue("b", draining=True)])
