"""Requests about jobs: brought in, shown, explained, changed by their ids. What changes all that fit is an
operation (`wire_operation_messages`). Structs only; `wire_commands` checks the values."""

from __future__ import annotations

from typing import Annotated

from beaver_actors.codec.wire_fields import (
    ERROR_TYPE_CHARS_MAX,
    KIND_PATTERN,
    PAGE_JOBS_MAX,
    QUEUE_PATTERN,
    TAG_CHARS_MAX,
    TIME,
    JobId,
    JobIds,
    RequestBase,
    about,
)
from beaver_actors.codec.wire_job_objects import NewJobObject
from beaver_actors.core.job import DeadReason, JobState


class EnqueueRequest(RequestBase, tag="enqueue"):
    """Accept all these jobs or none. Reply: `jobs`, a `Receipt` for each in order, and `lsn`; it is sent when
    they are on disk."""

    jobs: Annotated[list[NewJobObject], about("1 to 1000 jobs, or as the server is configured.", minItems=1)]


class GetRequest(RequestBase, tag="get"):
    """Show one job. Reply: `job`."""

    job_id: JobId


class ExplainRequest(RequestBase, tag="explain"):
    """Say why a job does not run, or why it ended. Reply: `explanation`."""

    job_id: JobId


class ListRequest(RequestBase, tag="list"):
    """Show jobs, newest first. Reply: `jobs`, and `next`, to be given as `after` for the next page; null at
    the end. A page may be short, even empty, and yet have a next one."""

    state: JobState | None = None
    queue: Annotated[str | None, about("Only this queue.", pattern=QUEUE_PATTERN)] = None
    kind: Annotated[str | None, about("Only this kind.", pattern=KIND_PATTERN)] = None
    tag: Annotated[str | None, about("Only jobs with this tag.", maxLength=TAG_CHARS_MAX)] = None
    reason: Annotated[DeadReason | None, about("Only jobs dead for this reason.")] = None
    limit: Annotated[int, about("Most jobs on the page.", minimum=1, maximum=PAGE_JOBS_MAX)] = 50
    after: Annotated[int | None, about("`next` of the page before.", minimum=0)] = None
    error_type: Annotated[
        str | None,
        about("Only jobs whose latest error is of this type.", minLength=1, maxLength=ERROR_TYPE_CHARS_MAX),
    ] = None
    created_after: Annotated[str | None, about("Not enqueued before this time.", **TIME)] = None
    created_before: Annotated[str | None, about("Enqueued before this time.", **TIME)] = None
    finished_after: Annotated[str | None, about("Finished, and not before this time.", **TIME)] = None
    finished_before: Annotated[str | None, about("Finished before this time.", **TIME)] = None


class CancelRequest(RequestBase, tag="cancel"):
    """Stop these jobs; a running one is asked to stop. Reply: `changes` and `lsn`."""

    job_ids: JobIds


class RetryRequest(RequestBase, tag="retry"):
    """Put these dead or cancelled jobs back. Reply: `changes` and `lsn`."""

    job_ids: JobIds


class DeleteRequest(RequestBase, tag="delete"):
    """Forget these jobs, unless they are running. Reply: `changes` and `lsn`."""

    job_ids: JobIds
