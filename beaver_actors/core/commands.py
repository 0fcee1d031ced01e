"""Commands: what someone wants done, in the imperative; and `Policy`, the rules they are judged by.

A command carries every value that `decide` may need from the outside world except the time: ids, draws of
chance, what the caller can run. It never carries how to answer; that is the actor's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from beaver_actors.core.job import Extras, JobState, OnConflict, Terms
from beaver_actors.core.limits import QueueRules
from beaver_actors.core.operation import OperationWord, Wanted
from beaver_actors.core.outcome import Outcome
from beaver_actors.core.schedule import Plan, ScheduleSource


class NewJob(NamedTuple):
    """A job as asked for. At most one of `run_at_ms` (UTC; in the past means now) and `delay_ms` is given."""

    job_id: str
    terms: Terms
    args: bytes
    run_at_ms: int | None = None
    delay_ms: int | None = None
    extras: Extras | None = None
    on_conflict: OnConflict = "reject"
    """What becomes of it if another job holds its unique key."""


class Report(NamedTuple):
    """How the attempt under `fence` ended. `dice` in [0, 1) is chance for the back-off, if it is needed."""

    job_id: str
    fence: int
    outcome: Outcome
    dice: float = 0.0
    worker_id: str | None = None
    """Who says so: only the worker that holds the lease is believed. None: the server itself."""
    jobs: tuple[NewJob, ...] = ()
    """Jobs that come into being in the record that completes this one; only with success."""


class Progress(NamedTuple):
    """How far the attempt under `fence` is, as JSON text."""

    job_id: str
    fence: int
    progress: bytes
    worker_id: str | None = None
    """As in `Report`."""


@dataclass(frozen=True, slots=True)
class Enqueue:
    """Accept all these jobs or none. Answer: `Enqueued` or `Refused`."""

    jobs: tuple[NewJob, ...]


@dataclass(frozen=True, slots=True)
class Lease:
    """Hand up to `limit` jobs to a worker. Answer: `Leased`, empty when nothing it can run waits."""

    worker_id: str
    limit: int
    kinds: frozenset[str]
    """The kinds it can run."""
    queues: frozenset[str] | None = None
    """The queues it serves; None for all."""
    turns: tuple[str, ...] = ()
    """The order in which these queues get their turns, in rotation; one that is named twice has two. Drawn by
    the caller. Empty: one turn each, the queue that has waited longest for one first."""
    lease_ms: int | None = None
    """As in `JobStarted`."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Record how attempts ended, and how far others are. Answer: `Finished`."""

    reports: tuple[Report, ...] = ()
    progress: tuple[Progress, ...] = ()


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop these jobs; running ones are asked to stop. Answer: `Changed`."""

    job_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Retry:
    """Put these dead or cancelled jobs back. Answer: `Changed`."""

    job_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Delete:
    """Forget these jobs, unless they are running. Answer: `Changed`."""

    job_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pause:
    """Start no more jobs of this queue. Answer: `Changed`, naming the queue."""

    queue: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Start jobs of this queue again, and take new ones. Answer: `Changed`, naming the queue."""

    queue: str


@dataclass(frozen=True, slots=True)
class Configure:
    """Set rules of this queue. Answer: `Changed`, naming the queue."""

    queue: str
    rules: QueueRules
    fields: frozenset[str] = frozenset(QueueRules._fields)
    """The names of the rules that are set; the others stay as they are."""


@dataclass(frozen=True, slots=True)
class DeclareQueues:
    """At a start: these are all the rules of queues that the configuration names. Answer: `Changed`, naming
    the queues whose rules are others than before, or are the configuration's no more."""

    queues: tuple[Configure, ...]


@dataclass(frozen=True, slots=True)
class Drain:
    """Take no new jobs for this queue until it is resumed, and go on working. Answer: `Changed`, naming the
    queue."""

    queue: str


@dataclass(frozen=True, slots=True)
class DeleteQueue:
    """Forget a queue that holds no jobs. Answer: `Changed`, naming the queue."""

    queue: str


@dataclass(frozen=True, slots=True)
class Move:
    """Let waiting jobs of one queue stand in another from now on, newest first, at most `limit` of them.
    Answer: `Moved`."""

    queue: str
    to: str
    kind: str | None = None
    """Only jobs of this kind."""
    tag: str | None = None
    """Only jobs with this tag."""
    limit: int = 1000
    after: int | None = None
    """The cursor that the call before ended with."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Do what time demands: expiries, overrun deadlines, retention. Answer: `Ticked`."""


@dataclass(frozen=True, slots=True)
class Recover:
    """The first command of a life: no lease of the life before is held any more, but by workers on other
    machines. Answer: `Recovered`."""

    running: frozenset[int] | None = None
    """Fences of the attempts that had really begun when the life before ended; only those are blamed.
    None: not known, blame every lease."""


@dataclass(frozen=True, slots=True)
class Get:
    """Show one job. Answer: `Found`, or `Refused` with `not_found`."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Explain:
    """Say why a job does not run, or why it ended. Answer: `Explained`, or `Refused` with `not_found`."""

    job_id: str


@dataclass(frozen=True, slots=True)
class List:
    """Show a page of jobs, newest first. Answer: `Page`."""

    state: JobState | None = None
    queue: str | None = None
    kind: str | None = None
    tag: str | None = None
    reason: str | None = None
    limit: int = 50
    after: int | None = None
    """The cursor that the page before ended with."""
    error_type: str | None = None
    """As in `Wanted`, and so are the following."""
    created_after_ms: int | None = None
    created_before_ms: int | None = None
    finished_after_ms: int | None = None
    finished_before_ms: int | None = None

    @property
    def wanted(self) -> Wanted:
        return Wanted(*(getattr(self, name) for name in Wanted._fields))


@dataclass(frozen=True, slots=True)
class StartOperation:
    """Retry or delete all jobs that are meant, some at a time; repeating it under the same id is harmless.
    Answer: `Operated` or `Refused`."""

    operation_id: str
    word: OperationWord
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class StopOperation:
    """Go no further with it; what is done is done. Answer: `Operated` or `Refused`."""

    operation_id: str


@dataclass(frozen=True, slots=True)
class ListOperations:
    """Show the operations that are running, and those that ended last, newest first; or one of them. Answer:
    `Operations`, or `Refused` with `not_found`."""

    operation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """Show the state of the whole queue. Answer: `Status`."""


@dataclass(frozen=True, slots=True)
class SetSchedule:
    """Have this schedule from now on, or as this from now on. Answer: `Changed`, naming it."""

    schedule: str
    plan: Plan
    wall_ms: int
    """What the wall clock shows, which schedules follow; milliseconds UTC."""
    paused: bool | None = None
    """None: as it is; a new one is not."""
    source: ScheduleSource = "request"


@dataclass(frozen=True, slots=True)
class DeclareSchedules:
    """At a start: these are all the schedules of the code and the configuration. Answer: `Changed`, naming
    those that are set anew or go."""

    schedules: tuple[SetSchedule, ...]


@dataclass(frozen=True, slots=True)
class RemoveSchedule:
    """Forget this schedule; its jobs stay. Answer: `Changed`."""

    schedule: str


@dataclass(frozen=True, slots=True)
class PauseSchedule:
    """Let this schedule bring no more jobs. Answer: `Changed`."""

    schedule: str


@dataclass(frozen=True, slots=True)
class ResumeSchedule:
    """Let this schedule bring jobs again. Answer: `Changed`."""

    schedule: str
    wall_ms: int
    """As in `SetSchedule`; what was due before is not made up for."""


@dataclass(frozen=True, slots=True)
class TriggerSchedule:
    """Bring a job of this schedule now, paused or not. Answer: `Enqueued`."""

    schedule: str
    job_id: str


@dataclass(frozen=True, slots=True)
class ListSchedules:
    """Show all schedules, or one. Answer: `Schedules`."""

    schedule: str | None = None


@dataclass(frozen=True, slots=True)
class Fire:
    """Times of this schedule have come. Answer: `Fired`; or `Refused`, then they stay due."""

    schedule: str
    revision: int
    """They were reckoned for the schedule as of this LSN."""
    times_ms: tuple[int, ...]
    """Nominal times since the last one on record, in order: the newest of them, more than one fire may bring
    jobs for (`CATCH_UP_MAX`) if there are earlier ones."""
    wall_ms: int
    """As in `SetSchedule`."""
    earlier: int = 0
    """How many others come before those."""


ScheduleCommand: TypeAlias = (
    SetSchedule | DeclareSchedules | RemoveSchedule | PauseSchedule | ResumeSchedule | TriggerSchedule
)
Command: TypeAlias = (
    Enqueue
    | Lease
    | Finish
    | Cancel
    | Retry
    | Delete
    | Pause
    | Resume
    | Configure
    | DeclareQueues
    | Drain
    | DeleteQueue
    | Move
    | Tick
    | Recover
    | Get
    | Explain
    | List
    | StartOperation
    | StopOperation
    | ListOperations
    | Count
    | ScheduleCommand
    | ListSchedules
    | Fire
)


class Serving(NamedTuple):
    """A worker that is there now, as far as it matters to a job that waits."""

    worker_id: str
    kinds: frozenset[str]
    queues: frozenset[str] | None = None
    """The queues it serves; None for all."""
    slots: int = 0
    """Jobs that it can hold at the same time; 0 if it takes no more."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of this server: limits, retention, patience. Not part of the state: changing one changes what
    is decided from now on and nothing that was decided before."""

    served_kinds: frozenset[str] = frozenset()
    """Kinds that some worker can run now; jobs of others wait and say so."""
    crew: tuple[Serving, ...] = ()
    """The workers behind `served_kinds`, for explanations alone; none if they are not known."""
    draining: bool = False
    """The server stops and starts nothing more; for explanations alone."""
    storage_full: bool = False
    """No room in the log but for outcomes: nothing new is accepted or started (P7)."""
    pending_jobs_max: int = 5_000_000
    queue_jobs_max: int = 1_000_000
    schedules_max: int = 1_000
    max_rescues: int = 3
    """Deaths of its worker after which a job is taken for poison (P12)."""
    timeout_grace_ms: int = 10_000
    """How much longer than its timeout a worker may take to report before the job is taken from it."""
    completed_kept_ms: int = 24 * 3_600_000
    cancelled_kept_ms: int = 24 * 3_600_000
    dead_kept_ms: int = 30 * 24 * 3_600_000
    completed_kept: int = 100_000
    cancelled_kept: int = 100_000
    dead_kept: int = 1_000_000
