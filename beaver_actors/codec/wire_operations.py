"""Filters and operations on many jobs, between the wire and the core: values checked, values shown."""

from __future__ import annotations

from beaver_actors.codec.ids import JobIds
from beaver_actors.codec.wire_checks import (
    check_id,
    check_key,
    check_kind,
    check_queue,
    check_tag,
    check_time,
    refuse,
)
from beaver_actors.codec.wire_fields import ERROR_TYPE_CHARS_MAX
from beaver_actors.codec.wire_job_messages import ListRequest
from beaver_actors.codec.wire_operation_messages import OperateRequest
from beaver_actors.codec.wire_operation_objects import OperationObject, WantedObject
from beaver_actors.codec.wire_times import time_text
from beaver_actors.core.commands import StartOperation
from beaver_actors.core.job import JobState
from beaver_actors.core.operation import Operation, Wanted

RETRIED = (JobState.DEAD, JobState.CANCELLED)
"""Jobs that can be put back."""


def wanted(asked: ListRequest | OperateRequest) -> Wanted:
    """Check which jobs are meant.

    Raises:
        WireError: a value is not allowed.
    """
    if asked.queue is not None:
        check_queue(asked.queue, "queue")
    if asked.kind is not None:
        check_kind(asked.kind, "kind")
    if asked.tag is not None:
        check_tag(asked.tag, "tag")
    if asked.error_type is not None:
        check_key(asked.error_type, "error_type", ERROR_TYPE_CHARS_MAX)
    created = _range(asked.created_after, asked.created_before, "created")
    finished = _range(asked.finished_after, asked.finished_before, "finished")
    return Wanted(
        asked.state, asked.queue, asked.kind, asked.tag, asked.reason, asked.error_type, *created, *finished
    )


def _range(after: str | None, before: str | None, name: str) -> tuple[int | None, int | None]:
    after_ms = None if after is None else check_time(after, f"{name}_after")
    before_ms = None if before is None else check_time(before, f"{name}_before")
    if after_ms is not None and before_ms is not None and before_ms <= after_ms:
        refuse(f"{name}_before: expected a time later than {name}_after, {after}; got {before}")
    return after_ms, before_ms


def start_operation(request: OperateRequest, ids: JobIds) -> StartOperation:
    """Check an operation. Of which state the jobs are is never left open: dead, if nothing is said.

    Raises:
        WireError: a value is not allowed.
    """
    meant = wanted(request)
    state = meant.state or JobState.DEAD
    if request.word == "retry" and state not in RETRIED:
        refuse(f"state: expected dead or cancelled, for others are not put back; got {state}")
    if state is JobState.IN_FLIGHT:
        refuse("state: expected another than in_flight, for jobs that run are not deleted")
    operation_id = request.operation_id
    if operation_id is None:
        operation_id = ids.take(1)[0]
    else:
        check_id(operation_id, "operation_id")
    return StartOperation(operation_id, request.word, meant._replace(state=state))


def wanted_object(meant: Wanted) -> WantedObject:
    """Which jobs are meant, as it is shown."""
    return WantedObject(
        state=meant.state,
        queue=meant.queue,
        kind=meant.kind,
        tag=meant.tag,
        reason=meant.reason,
        error_type=meant.error_type,
        created_after=_time(meant.created_after_ms),
        created_before=_time(meant.created_before_ms),
        finished_after=_time(meant.finished_after_ms),
        finished_before=_time(meant.finished_before_ms),
    )


def operation_object(operation: Operation) -> OperationObject:
    """An operation as it is shown."""
    return OperationObject(
        id=operation.id,
        word=operation.word,
        wanted=wanted_object(operation.wanted),
        state=operation.state,
        started_at=time_text(operation.started_ms),
        ended_at=_time(operation.ended_ms),
        looked_at=operation.looked_at,
        to_look_at=operation.to_look_at,
        changed=operation.changed,
        refused=operation.refused,
    )


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else time_text(at_ms)
