"""Facts to events on the wire, and the messages that push them. An event is written once, however many
subscribers get it: what differs between them is put in front."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from beaver_actors.codec.wire_event_objects import EventError, EventObject
from beaver_actors.codec.wire_operations import wanted_object
from beaver_actors.codec.wire_queues import declared_names, rules_object
from beaver_actors.codec.wire_times import time_text
from beaver_actors.core.durations import seconds
from beaver_actors.core.facts import (
    EVENT_NAMES,
    QUEUE_FACTS,
    Fact,
    JobCancelled,
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
    OperationFact,
    OperationStarted,
    QueueConfigured,
    ScheduleFact,
    ScheduleFired,
    ScheduleRemoved,
    ScheduleSet,
)
from beaver_actors.core.job import JobError
from beaver_actors.core.operation import Wanted

_encode = msgspec.json.Encoder().encode


def event_json(lsn: int, fact: Fact) -> bytes:
    """An event as JSON text, an `EventObject`; `event_push` and `events_push` make messages of it."""
    quickly = _QUICK.get(type(fact))
    text = None if quickly is None else quickly(lsn, fact)
    return text or _encode(event_object(lsn, fact))


# The three events of a job's plain life are written by hand: the same text, at a fifth of the price.


def _enqueued_text(lsn: int, fact: JobEnqueued) -> bytes | None:
    job_id, at_ms, terms, args, run_at_ms, extras = fact
    if extras is not None or terms.tags:
        return None
    head = _head("job_enqueued", at_ms)
    place = _place(terms.queue, terms.kind, terms.priority)
    run_at = _time_bytes(run_at_ms)
    return b'{"lsn":%d%b%b,%b,"args":%b,"run_at":"%b"}' % (lsn, head, _encode(job_id), place, args, run_at)


def _started_text(lsn: int, fact: JobStarted) -> bytes:
    job_id, at_ms, worker_id, deadline_ms, _ = fact
    rest = _lease(worker_id, deadline_ms)
    return b'{"lsn":%d%b%b%b,"fence":%d}' % (lsn, _head("job_started", at_ms), _encode(job_id), rest, lsn)


def _completed_text(lsn: int, fact: JobCompleted) -> bytes:
    job_id, at_ms, fence, result = fact
    head = _head("job_completed", at_ms)
    return b'{"lsn":%d%b%b,"fence":%d,"result":%b}' % (
        lsn, head, _encode(job_id), fence, b"null" if result is None else result,
    )  # fmt: skip


_QUICK: dict[type[Fact], Callable[[int, Any], bytes | None]] = {
    JobEnqueued: _enqueued_text,
    JobStarted: _started_text,
    JobCompleted: _completed_text,
}


@lru_cache(maxsize=1024)  # what is committed together has happened together
def _head(name: str, at_ms: int) -> bytes:
    return b',"event":"%b","at":"%b","job_id":' % (name.encode(), _time_bytes(at_ms))


@lru_cache(maxsize=1024)
def _lease(worker_id: str, deadline_ms: int | None) -> bytes:
    deadline = b"" if deadline_ms is None else b',"deadline":"%b"' % _time_bytes(deadline_ms)
    return b',"worker_id":%b%b' % (_encode(worker_id), deadline)


@lru_cache(maxsize=1024)
def _place(queue: str, kind: str, priority: int) -> bytes:
    return b'"queue":%b,"kind":%b,"priority":%d' % (_encode(queue), _encode(kind), priority)


@lru_cache(maxsize=4096)
def _time_bytes(at_ms: int) -> bytes:
    return time_text(at_ms).encode()


def event_push(subscription: str, event: bytes) -> bytes:
    """The `event` message for one subscriber, as JSON text."""
    return b'{"type":"event","subscription":"%b",%b' % (subscription.encode(), event[1:])


def events_push(subscription: str, events: Iterable[bytes]) -> bytes:
    """The `events` message for one subscriber, as JSON text."""
    return b'{"type":"events","subscription":"%b","events":[%b]}' % (subscription.encode(), b",".join(events))


def status_push(subscription: str, status: bytes) -> bytes:
    """The `status` message for one subscriber, as JSON text; `status` is a `StatusObject`."""
    return b'{"type":"status","subscription":"%b","status":%b}' % (subscription.encode(), status)


def event_object(lsn: int, fact: Fact) -> EventObject:
    """What has happened, with the fields that this event has."""
    event = EventObject(lsn=lsn, event=EVENT_NAMES[type(fact)], at=time_text(fact[1]))
    if isinstance(fact, QUEUE_FACTS):
        event.queue = fact.queue
        if isinstance(fact, QueueConfigured):
            event.rules = rules_object(fact.rules)
            event.declared = declared_names(fact.declared)
        return event
    if isinstance(fact, OperationStarted | OperationAdvanced | OperationEnded):
        event.operation = fact.operation
        _fill_operation(event, fact)
        return event
    if isinstance(fact, ScheduleSet | ScheduleRemoved | ScheduleFired):
        event.schedule = fact.schedule
        _fill_schedule(event, fact)
        return event
    event.job_id = fact.job_id
    fill = _FILL.get(type(fact))
    if fill is not None:
        fill(event, fact)
    return event


def _fill_operation(event: EventObject, fact: OperationFact) -> None:
    match fact:
        case OperationStarted():
            event.word = fact.word
            event.wanted = wanted_object(Wanted(*fact[3:]))
        case OperationAdvanced():
            event.looked_at, event.changed, event.refused = fact.looked_at, fact.changed, fact.refused
        case OperationEnded():
            event.how = fact.how


def _fill_enqueued(event: EventObject, fact: JobEnqueued) -> None:
    terms = fact.terms
    event.kind = terms.kind
    event.queue = terms.queue
    event.priority = terms.priority
    event.tags = terms.tags or UNSET
    event.args = Raw(fact.args)
    event.run_at = time_text(fact.run_at_ms)
    if fact.extras is not None:
        event.expires_at = _time_or_unset(fact.extras.expires_at_ms)
        unique = fact.extras.unique
        event.unique_key = UNSET if unique is None else unique.key
        event.depends_on = fact.extras.depends_on or UNSET
        if fact.extras.on_parent_failure != "cancel":
            event.on_parent_failure = fact.extras.on_parent_failure
        event.concurrency_key = fact.extras.concurrency_key or UNSET


def _fill_started(event: EventObject, fact: JobStarted) -> None:
    event.fence = event.lsn
    event.worker_id = fact.worker_id
    event.deadline = _time_or_unset(fact.deadline_ms)


def _fill_progressed(event: EventObject, fact: JobProgressed) -> None:
    event.fence = fact.fence
    event.progress = Raw(fact.progress)


def _fill_completed(event: EventObject, fact: JobCompleted) -> None:
    event.fence = fact.fence
    event.result = Raw(b"null" if fact.result is None else fact.result)


def _fill_failed(event: EventObject, fact: JobFailed) -> None:
    event.fence = fact.fence
    event.error = _error(fact.error)
    event.run_at = time_text(fact.retry_at_ms)


def _fill_snoozed(event: EventObject, fact: JobSnoozed) -> None:
    event.fence = fact.fence
    event.run_at = time_text(fact.run_at_ms)


def _fill_released(event: EventObject, fact: JobReleased) -> None:
    event.fence = fact.fence


def _fill_rescued(event: EventObject, fact: JobRescued) -> None:
    event.fence = fact.fence
    event.error = _error(fact.error)


def _fill_died(event: EventObject, fact: JobDied) -> None:
    event.reason = fact.reason
    event.error = UNSET if fact.error is None else _error(fact.error)


def _fill_cancelled(event: EventObject, fact: JobCancelled) -> None:
    event.reason = fact.reason or UNSET


def _fill_retried(event: EventObject, fact: JobRetried) -> None:
    event.run_at = time_text(fact.run_at_ms)
    event.blocked = fact.blocked or UNSET


def _fill_unblocked(event: EventObject, fact: JobUnblocked) -> None:
    event.run_at = time_text(fact.run_at_ms)


def _fill_moved(event: EventObject, fact: JobMoved) -> None:
    event.queue = fact.queue


def _fill_deleted(event: EventObject, fact: JobDeleted) -> None:
    event.reason = fact.reason


def _fill_schedule(event: EventObject, fact: ScheduleFact) -> None:
    match fact:
        case ScheduleSet(plan=plan):
            event.kind, event.queue = plan.terms.kind, plan.terms.queue
            event.cron = UNSET if plan.cron is None else plan.cron
            event.every = UNSET if plan.every_ms is None else seconds(plan.every_ms)
            event.tz = UNSET if plan.cron is None else plan.tz
            event.unique_key = UNSET if plan.unique is None else plan.unique.key
            event.concurrency_key = UNSET if plan.concurrency_key is None else plan.concurrency_key
            event.paused, event.source = fact.paused, fact.source
        case ScheduleRemoved():
            event.reason = fact.reason
        case ScheduleFired():
            event.nominal_at = _time_or_unset(fact.nominal_ms)
            event.fired_job_id = UNSET if fact.job_id is None else fact.job_id
            event.reason = fact.reason or UNSET
            event.times = fact.times if fact.job_id is None else UNSET


_FILL: dict[type[Fact], Callable[[EventObject, Any], None]] = {
    JobEnqueued: _fill_enqueued,
    JobStarted: _fill_started,
    JobProgressed: _fill_progressed,
    JobCompleted: _fill_completed,
    JobFailed: _fill_failed,
    JobSnoozed: _fill_snoozed,
    JobReleased: _fill_released,
    JobRescued: _fill_rescued,
    JobDied: _fill_died,
    JobCancelled: _fill_cancelled,
    JobRetried: _fill_retried,
    JobDeleted: _fill_deleted,
    JobUnblocked: _fill_unblocked,
    JobMoved: _fill_moved,
}


def _error(error: JobError) -> EventError:
    return EventError(type=error.type, message=error.message, traceback=error.traceback)


def _time_or_unset(at_ms: int | None) -> str | UnsetType:
    return UNSET if at_ms is None else time_text(at_ms)
