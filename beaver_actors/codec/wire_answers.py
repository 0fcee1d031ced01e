"""Answers of the job manager to replies. Copies and renames, decides nothing but where a page ends."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec import UNSET, Raw

from beaver_actors.codec.wire import Error, Ok
from beaver_actors.codec.wire_job_objects import (
    BecauseObject,
    ChangeObject,
    ErrorObject,
    ExplanationObject,
    JobObject,
    Receipt,
    RelativeObject,
)
from beaver_actors.codec.wire_jobs import backoff_object
from beaver_actors.codec.wire_operations import operation_object
from beaver_actors.codec.wire_queues import declared_names, rules_object
from beaver_actors.codec.wire_status_objects import FleetObject, QueueObject, StatusObject
from beaver_actors.codec.wire_times import time_text
from beaver_actors.core.answers import (
    Answer,
    Changed,
    Enqueued,
    Explained,
    Found,
    JobView,
    Moved,
    Operated,
    Operations,
    Page,
    Refused,
    Relative,
    Relatives,
    Status,
)
from beaver_actors.core.durations import seconds
from beaver_actors.core.workers import FleetCount

PAGE_BYTES_MAX = 4 * 1024 * 1024
"""JSON of the jobs on one page; a single job may be larger. Far below what clients take as one message."""

_NULL = Raw(b"null")
_encode = msgspec.json.Encoder().encode


class NodeView(NamedTuple):
    """What the status says about the server itself."""

    version: str
    started_ms: int
    draining: bool
    workers: int
    sessions: int
    fleet: FleetCount = FleetCount()


def reply(re: str, answer: Answer) -> Ok | Error:
    """The reply to the request `re`; not for a status, which `status_reply` answers."""
    match answer:
        case Refused():
            return refusal(re, answer)
        case Enqueued():
            return Ok(re=re, jobs=Raw(_encode(receipts(answer))), lsn=answer.lsn)
        case Changed():
            return Ok(re=re, changes=changes(answer), lsn=answer.lsn)
        case Moved():
            return Ok(re=re, moved=answer.count, next=answer.after, lsn=answer.lsn)
        case Found():
            return Ok(re=re, job=Raw(_encode(_with_relatives(job_object(answer.job), answer.relatives))))
        case Explained():
            return Ok(re=re, explanation=Raw(_encode(explanation_object(answer))))
        case Operated():
            return Ok(re=re, operation=operation_object(answer.operation), lsn=answer.lsn)
        case Operations():
            return Ok(re=re, operations=[operation_object(one) for one in answer.operations])
        case Page():
            jobs, after = page(answer)
            return Ok(re=re, jobs=jobs, next=after)
        case _:
            raise AssertionError(f"{type(answer).__name__} answers no request of a client")


def status_reply(re: str, status: Status, node: NodeView, now_ms: int) -> Ok:
    """The reply to a request for the status."""
    return Ok(re=re, status=Raw(_encode(status_object(status, node, now_ms))))


def refusal(re: str | None, refused: Refused) -> Error:
    """The error reply that says why."""
    retry_after = None if refused.retry_after_ms is None else seconds(refused.retry_after_ms)
    return Error(re=re, code=refused.code, message=refused.message, retry_after=retry_after)


def page(answer: Page) -> tuple[Raw, int | None]:
    """The jobs of a page as JSON, and the cursor of the next. The page ends early if it grows too large."""
    shown: list[bytes] = []
    size = 0
    for view in answer.jobs:
        text = _encode(job_object(view))
        if shown and size + len(text) > PAGE_BYTES_MAX:
            return Raw(b"[%b]" % b",".join(shown)), answer.jobs[len(shown) - 1].order
        shown.append(text)
        size += len(text)
    return Raw(b"[%b]" % b",".join(shown)), answer.after


def receipts(answer: Enqueued) -> list[Receipt]:
    """What has become of each job of an enqueue, in order."""
    return [
        Receipt(id=job_id, duplicate=duplicate, lsn=UNSET if lsn is None else lsn)
        for job_id, duplicate, lsn in answer.receipts
    ]


def changes(answer: Changed) -> list[ChangeObject]:
    """What a command did to each of its jobs."""
    return [
        ChangeObject(name=change.name, changed=change.changed, code=change.code, state=change.state)
        for change in answer.changes
    ]


def job_object(view: JobView) -> JobObject:
    """A job as it is shown."""
    terms, unique = view.terms, view.extras.unique
    return JobObject(
        id=view.id,
        kind=terms.kind,
        args=Raw(view.args),
        queue=terms.queue,
        priority=terms.priority,
        state=view.state,
        run_at=time_text(view.run_at_ms),
        max_attempts=terms.max_attempts,
        timeout=None if terms.timeout_ms is None else seconds(terms.timeout_ms),
        backoff=backoff_object(terms.backoff),
        expires_at=_time(view.extras.expires_at_ms),
        retention=None if terms.retention_ms is None else seconds(terms.retention_ms),
        unique_key=None if unique is None else unique.key,
        unique_until=None if unique is None else unique.until,
        unique_for=None if unique is None or unique.for_ms is None else seconds(unique.for_ms),
        depends_on=list(view.extras.depends_on) or UNSET,
        on_parent_failure=view.extras.on_parent_failure if view.extras.depends_on else UNSET,
        concurrency_key=view.extras.concurrency_key,
        tags=terms.tags,
        meta=Raw(terms.meta or b"{}"),
        created_at=time_text(view.created_ms),
        started_at=_time(view.started_ms),
        finished_at=_time(view.finished_ms),
        attempt=view.attempt,
        rescues=view.rescues,
        fence=view.fence,
        worker_id=view.worker_id,
        cancel_requested=view.cancel_requested,
        reason=view.reason,
        waits_for=view.waits_for,
        progress=_raw(view.progress),
        result=_raw(view.result),
        errors=[
            ErrorObject(
                at=time_text(error.at_ms),
                attempt=error.attempt,
                type=error.type,
                message=error.message,
                traceback=error.traceback,
            )
            for error in view.errors
        ],
        lsn=view.lsn,
    )


def explanation_object(answer: Explained) -> ExplanationObject:
    """Why a job does not run, or why it ended."""
    because = [
        BecauseObject(
            reason=one.reason,
            text=one.text,
            until=_time(one.until_ms),
            jobs=one.jobs,
            total=one.total,
            exact=one.exact,
            names=one.names,
        )
        for one in answer.because
    ]
    return ExplanationObject(job_id=answer.job_id, state=answer.state, text=answer.text, because=because)


def _with_relatives(job: JobObject, relatives: Relatives) -> JobObject:
    if relatives.parents:
        job.parents = list(map(_relative, relatives.parents))
    if relatives.children:
        job.children = list(map(_relative, relatives.children))
        job.children_count = relatives.child_count
    return job


def _relative(relative: Relative) -> RelativeObject:
    return RelativeObject(id=relative.job_id, kind=relative.kind, state=relative.state)


def status_object(status: Status, node: NodeView, now_ms: int) -> StatusObject:
    """The status as it is shown."""
    return StatusObject(
        at=time_text(now_ms),
        lsn=status.lsn,
        states=status.counts,
        queues={
            queue.name: QueueObject(
                paused=queue.paused,
                states=queue.counts,
                oldest_pending_at=_time(queue.oldest_pending_ms),
                draining=queue.draining,
                rules=rules_object(queue.rules),
                declared=declared_names(queue.declared),
            )
            for queue in status.queues
        },
        totals=status.totals,
        dead_reasons=status.died,
        unknown_kinds=status.unknown_kinds,
        storage_full=status.storage_full,
        schedules=status.schedules,
        draining=node.draining,
        version=node.version,
        started_at=time_text(node.started_ms),
        workers=node.workers,
        sessions=node.sessions,
        fleet=FleetObject(**node.fleet._asdict()),
    )


def _raw(text: bytes | None) -> Raw:
    return _NULL if text is None else Raw(text)


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else time_text(at_ms)
