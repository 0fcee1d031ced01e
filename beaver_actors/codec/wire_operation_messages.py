"""Requests about operations, which change all jobs that fit. Structs only; `wire_operations` checks their
values."""

from __future__ import annotations

from typing import Annotated

from beaver_actors.codec.wire_fields import (
    ERROR_TYPE_CHARS_MAX,
    ID_PATTERN,
    KIND_PATTERN,
    QUEUE_PATTERN,
    TAG_CHARS_MAX,
    TIME,
    RequestBase,
    about,
)
from beaver_actors.core.job import DeadReason, JobState
from beaver_actors.core.operation import OperationWord


class OperateRequest(RequestBase, tag="operate"):
    """Retry or delete all jobs that fit every condition, some at a time, beside everything else. It goes on
    after a crash. Meant are jobs that fit now and do not change before it reaches them. Reply: `operation`
    and `lsn`."""

    word: OperationWord
    operation_id: Annotated[
        str | None,
        about("Chosen by the client, which makes repeating the request harmless.", pattern=ID_PATTERN),
    ] = None
    state: Annotated[JobState | None, about("Jobs in this state; dead if there is none.")] = None
    queue: Annotated[str | None, about("Only this queue.", pattern=QUEUE_PATTERN)] = None
    kind: Annotated[str | None, about("Only this kind.", pattern=KIND_PATTERN)] = None
    tag: Annotated[str | None, about("Only jobs with this tag.", maxLength=TAG_CHARS_MAX)] = None
    reason: Annotated[DeadReason | None, about("Only jobs dead for this reason.")] = None
    error_type: Annotated[
        str | None,
        about("Only jobs whose latest error is of this type.", minLength=1, maxLength=ERROR_TYPE_CHARS_MAX),
    ] = None
    created_after: Annotated[str | None, about("Not enqueued before this time.", **TIME)] = None
    created_before: Annotated[str | None, about("Enqueued before this time.", **TIME)] = None
    finished_after: Annotated[str | None, about("Finished, and not before this time.", **TIME)] = None
    finished_before: Annotated[str | None, about("Finished before this time.", **TIME)] = None


class OperationsRequest(RequestBase, tag="operations"):
    """Show the operations that run and the last hundred that have ended, newest first. Reply:
    `operations`."""

    operation_id: Annotated[str | None, about("Only this one.", pattern=ID_PATTERN)] = None


class StopRequest(RequestBase, tag="stop"):
    """Go no further with an operation; what is done is done. Reply: `operation` and `lsn`."""

    operation_id: Annotated[str, about("The operation's id.", pattern=ID_PATTERN)]
