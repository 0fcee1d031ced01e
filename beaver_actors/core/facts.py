"""Facts: what has happened, in the past tense, in the words of the log and of the live stream.

Each fact touches exactly one job, one named queue or schedule, or one operation; effects on other jobs are
further facts in the same atomic batch. A fact's position in the log is its LSN. Facts are tuples, because one
is made for every step of every job; two facts of different classes with equal fields compare equal, so
compare with their classes.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, TypeAlias

from beaver_actors.core.job import CancelReason, DeadReason, Extras, JobError, JobState, Terms
from beaver_actors.core.limits import QueueRules
from beaver_actors.core.operation import OperationWord
from beaver_actors.core.schedule import Plan, ScheduleSource

DeleteReason = Literal["request", "retention"]
RemoveReason = Literal["request", "undeclared"]
REMOVE_REASONS: tuple[RemoveReason, ...] = ("request", "undeclared")
SkipReason = Literal["missed", "overlap", "not_unique"]
SKIP_REASONS: tuple[SkipReason, ...] = ("missed", "overlap", "not_unique")


class JobEnqueued(NamedTuple):
    """A job exists. It is blocked if it depends on others, whatever they are doing; else scheduled if
    `run_at_ms` lies after `at_ms`, else pending."""

    job_id: str
    at_ms: int
    terms: Terms
    args: bytes
    run_at_ms: int
    extras: Extras | None = None


class JobStarted(NamedTuple):
    """A worker holds the lease. The fence of the lease is this fact's LSN."""

    job_id: str
    at_ms: int
    worker_id: str
    deadline_ms: int | None = None
    lease_ms: int | None = None
    """For how long a worker on another machine may be silent; None for a worker that dies with the server."""


class JobProgressed(NamedTuple):
    """The handler told how far it is; only the last word is kept."""

    job_id: str
    at_ms: int
    fence: int
    progress: bytes


class JobCompleted(NamedTuple):
    """The attempt under this fence succeeded; recorded once, for good (P4)."""

    job_id: str
    at_ms: int
    fence: int
    result: bytes | None = None


class JobFailed(NamedTuple):
    """The attempt failed and the job will run again at `retry_at_ms`."""

    job_id: str
    at_ms: int
    fence: int
    error: JobError
    retry_at_ms: int


class JobSnoozed(NamedTuple):
    """The handler asked to be run later; no attempt is used."""

    job_id: str
    at_ms: int
    fence: int
    run_at_ms: int


class JobReleased(NamedTuple):
    """The lease was handed back (drain, or never begun); neither attempt nor rescue is used."""

    job_id: str
    at_ms: int
    fence: int


class JobRescued(NamedTuple):
    """The worker or the server died in the attempt; a rescue is used, not an attempt (P12)."""

    job_id: str
    at_ms: int
    fence: int
    error: JobError


class JobDied(NamedTuple):
    """The job gave up. `error` is that of the last attempt, None if it never started (expired)."""

    job_id: str
    at_ms: int
    reason: DeadReason
    error: JobError | None = None


class JobCancelRequested(NamedTuple):
    """Someone wants the running job stopped; its worker has yet to answer."""

    job_id: str
    at_ms: int


class JobCancelled(NamedTuple):
    """The job is stopped for good. `reason`: None if someone asked for it."""

    job_id: str
    at_ms: int
    reason: CancelReason | None = None


class JobRetried(NamedTuple):
    """A dead or cancelled job was put back on request, with a fresh count of attempts and rescues."""

    job_id: str
    at_ms: int
    run_at_ms: int
    blocked: bool = False
    """It has parents that have yet to end."""


class JobDeleted(NamedTuple):
    """The job is forgotten; its id may be used again."""

    job_id: str
    at_ms: int
    reason: DeleteReason


class JobUnblocked(NamedTuple):
    """All parents of a blocked job have ended as they must. It is scheduled if `run_at_ms` lies ahead, else
    pending."""

    job_id: str
    at_ms: int
    run_at_ms: int


class QueuePaused(NamedTuple):
    """No job of this queue starts until it is resumed."""

    queue: str
    at_ms: int


class QueueResumed(NamedTuple):
    """Jobs of this queue start again."""

    queue: str
    at_ms: int


class OperationStarted(NamedTuple):
    """Many jobs are to be retried or deleted, some at a time: those for which all these conditions hold, and
    which have not changed since. The fields after `word` are those of `Wanted`."""

    operation: str
    at_ms: int
    word: OperationWord
    state: JobState | None = None
    queue: str | None = None
    kind: str | None = None
    tag: str | None = None
    reason: str | None = None
    error_type: str | None = None
    created_after_ms: int | None = None
    created_before_ms: int | None = None
    finished_after_ms: int | None = None
    finished_before_ms: int | None = None


class OperationAdvanced(NamedTuple):
    """More jobs were looked at; what was done with them stands in the same batch."""

    operation: str
    at_ms: int
    cursor: int
    """Jobs that arrived after this LSN are still to be looked at."""
    looked_at: int
    """In this step, as the following."""
    changed: int
    refused: int


class OperationEnded(NamedTuple):
    """The operation is over: every job was looked at, or someone stopped it."""

    operation: str
    at_ms: int
    how: Literal["completed", "stopped"]


class ScheduleSet(NamedTuple):
    """The schedule is there, as it is told here from now on."""

    schedule: str
    at_ms: int
    plan: Plan
    from_ms: int
    """Nominal times after this one are its concern."""
    paused: bool = False
    source: ScheduleSource = "request"


class ScheduleRemoved(NamedTuple):
    """The schedule is gone; jobs that came of it stay."""

    schedule: str
    at_ms: int
    reason: RemoveReason = "request"


class ScheduleFired(NamedTuple):
    """A nominal time of the schedule is dealt with, and with it all before: a job came of it, in the same
    batch, or none, for a reason."""

    schedule: str
    at_ms: int
    nominal_ms: int | None
    """None: someone asked for a job out of turn."""
    job_id: str | None
    reason: SkipReason | None = None
    """Why no job came of it."""
    times: int = 1
    """How many nominal times this stands for, up to this one: those missed in a row are one fact."""


class QueueConfigured(NamedTuple):
    """These rules hold for the queue from now on, all of them."""

    queue: str
    at_ms: int
    rules: QueueRules
    declared: tuple[str, ...] = ()
    """The names of those that the server's configuration names; they are changed there."""


class QueueDrainStarted(NamedTuple):
    """The queue takes nothing new until it is resumed, and goes on working."""

    queue: str
    at_ms: int


class QueueDeleted(NamedTuple):
    """The queue, which held no job, is forgotten with its rules."""

    queue: str
    at_ms: int


class JobMoved(NamedTuple):
    """The waiting job stands in this queue from now on."""

    job_id: str
    at_ms: int
    queue: str


JobFact: TypeAlias = (
    JobEnqueued
    | JobStarted
    | JobProgressed
    | JobCompleted
    | JobFailed
    | JobSnoozed
    | JobReleased
    | JobRescued
    | JobDied
    | JobCancelRequested
    | JobCancelled
    | JobRetried
    | JobDeleted
    | JobUnblocked
    | JobMoved
)
ScheduleFact: TypeAlias = ScheduleSet | ScheduleRemoved | ScheduleFired
OperationFact: TypeAlias = OperationStarted | OperationAdvanced | OperationEnded
QueueFact: TypeAlias = QueuePaused | QueueResumed | QueueConfigured | QueueDrainStarted | QueueDeleted
Fact: TypeAlias = JobFact | QueueFact | ScheduleFact | OperationFact

JOB_FACTS: tuple[type[JobFact], ...] = (
    JobEnqueued,
    JobStarted,
    JobProgressed,
    JobCompleted,
    JobFailed,
    JobSnoozed,
    JobReleased,
    JobRescued,
    JobDied,
    JobCancelRequested,
    JobCancelled,
    JobRetried,
    JobDeleted,
    JobUnblocked,
    JobMoved,
)
SCHEDULE_FACTS: tuple[type[ScheduleFact], ...] = (ScheduleSet, ScheduleRemoved, ScheduleFired)
OPERATION_FACTS: tuple[type[OperationFact], ...] = (OperationStarted, OperationAdvanced, OperationEnded)
QUEUE_FACTS = (
    QueuePaused,
    QueueResumed,
    QueueConfigured,
    QueueDrainStarted,
    QueueDeleted,
)
FACTS: tuple[type[Fact], ...] = (*JOB_FACTS, *QUEUE_FACTS, *SCHEDULE_FACTS, *OPERATION_FACTS)

EVENT_NAMES: dict[type[Fact], str] = {
    fact: re.sub(r"(?<!^)(?=[A-Z])", "_", fact.__name__).lower() for fact in FACTS
}
"""The name of each fact on the wire, in the log's text form and in the docs: `job_enqueued` and so on."""
