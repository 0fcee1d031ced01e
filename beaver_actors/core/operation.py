"""Operations on many jobs: which jobs are meant, and how far one is. What a step of one does is
`core/operations.py`'s work.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from beaver_actors.core.job import Job, JobState

OperationWord = Literal["retry", "delete"]
OPERATION_WORDS: tuple[OperationWord, ...] = ("retry", "delete")
OperationState = Literal["running", "completed", "stopped"]


class Wanted(NamedTuple):
    """Conditions on jobs, all of which must hold; None for no condition. Times are milliseconds UTC; a range
    begins with `after` and ends before `before`."""

    state: JobState | None = None
    queue: str | None = None
    kind: str | None = None
    tag: str | None = None
    reason: str | None = None
    """Why it is dead."""
    error_type: str | None = None
    """Of its latest error."""
    created_after_ms: int | None = None
    created_before_ms: int | None = None
    finished_after_ms: int | None = None
    """Only jobs that are finished, as with the next."""
    finished_before_ms: int | None = None


def fits(job: Job, wanted: Wanted) -> bool:
    """Whether the job is one of those that are meant."""
    state, queue, kind, tag, reason, error_type, *times = wanted
    terms, trail = job.terms, job.trail
    if state is not None and job.state is not state:
        return False
    if (queue is not None and terms.queue != queue) or (kind is not None and terms.kind != kind):
        return False
    if tag is not None and tag not in terms.tags:
        return False
    if reason is not None and (trail is None or trail.reason != reason):
        return False
    if error_type is not None and not (trail and trail.errors and trail.errors[-1].type == error_type):
        return False
    if times == [None, None, None, None]:
        return True
    finished_ms = None if trail is None else trail.finished_ms
    return _within(job.created_ms, times[0], times[1]) and _within(finished_ms, times[2], times[3])


def _within(at_ms: int | None, after_ms: int | None, before_ms: int | None) -> bool:
    if at_ms is None:
        return after_ms is None and before_ms is None
    return (after_ms is None or at_ms >= after_ms) and (before_ms is None or at_ms < before_ms)


@dataclass(slots=True, eq=True)
class Operation:
    """One operation, running or ended."""

    id: str
    word: OperationWord
    wanted: Wanted
    started_ms: int
    lsn: int
    """The LSN of its `OperationStarted`: a job that has changed since is left alone."""
    to_look_at: int
    """Jobs that there were when it began."""
    cursor: int = 0
    """Jobs that arrived after this LSN are still to be looked at, oldest first."""
    looked_at: int = 0
    changed: int = 0
    refused: int = 0
    """Jobs that fit and could not be changed: another holds their unique key, or their parent has failed."""
    state: OperationState = "running"
    ended_ms: int | None = None
