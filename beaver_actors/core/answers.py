"""Answers: what a command gets back. A refusal is an answer too, with a reason, never an exception.

Answers are values: they copy what they show, because the job goes on changing after they were made and they
may have to wait for the disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias, get_args

from beaver_actors.core.job import AttemptError, EndReason, Extras, JobState, Terms
from beaver_actors.core.limits import NO_RULES, QueueRules
from beaver_actors.core.operation import Operation
from beaver_actors.core.schedule import Plan, ScheduleSource

RefusalCode = Literal[
    "bad_request", "unauthorized", "forbidden", "not_found", "conflict", "not_unique", "lease_lost",
    "queue_full", "overloaded", "storage_full", "too_large", "draining", "not_leader", "unsupported",
]  # fmt: skip

WaitReason = Literal[
    "run_at", "retry", "unknown_kind", "unserved_queue", "queue_paused", "storage_full", "draining",
    "queue_concurrency", "queue_rate", "key_concurrency", "key_rate", "last_chance", "turn", "parents",
]  # fmt: skip
"""Why a job that waits does not run; what each means stands in `core/explain.py`."""
WAIT_REASONS: tuple[WaitReason, ...] = get_args(WaitReason)
BecauseReason = WaitReason | EndReason | Literal["running", "completed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Refused:
    """The wish was not granted, and nothing has changed."""

    code: RefusalCode
    message: str
    retry_after_ms: int | None = None


class Receipt(NamedTuple):
    """A job that is accepted, now or before (`duplicate`)."""

    job_id: str
    duplicate: bool
    lsn: int | None = None
    """That of its arrival where the order of the receipts does not tell: in a graph, parents come first."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """All jobs are accepted. `lsn` is that of the newest fact behind this answer."""

    receipts: tuple[Receipt, ...]
    lsn: int


class Parent(NamedTuple):
    """A parent of a leased job, as its handler may see it."""

    job_id: str
    state: JobState | None
    """None if it is gone."""
    result: bytes | None = None
    """JSON text; None for nothing."""
    left_out: bool = False
    """The results of all parents are too large to go with the lease, so this one is to be asked for."""


class LeasedJob(NamedTuple):
    """The right to run one attempt."""

    job_id: str
    fence: int
    attempt: int
    terms: Terms
    args: bytes
    deadline_ms: int | None = None
    """When the job is taken from a worker that does not answer; None without a timeout."""
    parents: tuple[Parent, ...] = ()
    """In the order in which it names them."""


@dataclass(frozen=True, slots=True)
class Leased:
    """Jobs that this worker may run now."""

    jobs: tuple[LeasedJob, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """For each report in turn, whether it was recorded (now or before); False is `lease_lost` (P4)."""

    accepted: tuple[bool, ...]
    fences: tuple[int, ...] = field(default=(), compare=False)
    """The latest lease of each report's job, for the loser to be told; 0 if there is no such job."""


class Change(NamedTuple):
    """What a command did to one job (or queue)."""

    name: str
    changed: bool
    code: RefusalCode | None = None
    """Why not, if it was not."""
    state: JobState | None = None
    """The job's state afterwards; None if there is no such job, or for a queue."""


@dataclass(frozen=True, slots=True)
class Changed:
    """One `Change` for each name asked for, in order."""

    changes: tuple[Change, ...]
    lsn: int


@dataclass(frozen=True, slots=True)
class Moved:
    """So many jobs stand in the other queue now. `after`: the cursor for the call that moves more, None when
    all jobs have been looked at; one call looks at a bounded number of jobs."""

    count: int
    after: int | None
    lsn: int


@dataclass(frozen=True, slots=True)
class Ticked:
    """`next_ms`: when a job next falls due, expires, overruns its deadline or ends its own retention (None:
    nothing waits for a time); the server's rules of retention can wait for any later tick. `more`: the limit
    of one batch was reached; ask again at once. `taken`: fences of the attempts that overran their deadline.
    """

    next_ms: int | None
    more: bool
    taken: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Recovered:
    """What the first command of a life found."""

    rescued: int
    released: int
    poisoned: int
    cancelled: int


class JobView(NamedTuple):
    """A job as it is shown: every public field, copied. Times are milliseconds UTC."""

    id: str
    terms: Terms
    args: bytes
    state: JobState
    created_ms: int
    run_at_ms: int
    extras: Extras
    order: int
    lsn: int
    attempt: int
    rescues: int
    fence: int
    started_ms: int | None
    finished_ms: int | None
    worker_id: str | None
    cancel_requested: bool
    reason: EndReason | None
    progress: bytes | None
    result: bytes | None
    errors: tuple[AttemptError, ...]
    waits_for: WaitReason | None
    """Why it does not run now; None unless it waits."""


class Relative(NamedTuple):
    """A parent or a child of a job that is shown."""

    job_id: str
    kind: str | None
    """None, as the state: it is gone."""
    state: JobState | None


class Relatives(NamedTuple):
    """The jobs around a job: parents in the order in which it names them, children in order of arrival; of
    each the first, and how many children there are."""

    parents: tuple[Relative, ...] = ()
    children: tuple[Relative, ...] = ()
    child_count: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """The job asked for."""

    job: JobView
    relatives: Relatives = field(default_factory=Relatives)


class Because(NamedTuple):
    """One reason why a job stands where it stands."""

    reason: BecauseReason
    text: str
    """The same as half a sentence about "it"."""
    until_ms: int | None = None
    """When this ends by itself; None if it does not, or nobody knows."""
    jobs: tuple[str, ...] = ()
    """The jobs that it waits for, the first few of them."""
    total: int | None = None
    """How many there are; None if it waits for none."""
    exact: bool = True
    """False: there are more than `total`."""
    names: tuple[str, ...] = ()
    """What else it is about: the queue, the worker, the kinds that are served."""


@dataclass(frozen=True, slots=True)
class Explained:
    """Why a job does not run, the most stubborn reason first; or why it ended."""

    job_id: str
    state: JobState
    text: str
    """All of it in a sentence."""
    because: tuple[Because, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """Jobs, newest first. `after` is the cursor of the next page, None at the end. A page may be short, even
    empty, and yet have a next one: one call looks at a bounded number of jobs."""

    jobs: tuple[JobView, ...]
    after: int | None


@dataclass(frozen=True, slots=True)
class Operated:
    """An operation as it stands after it was started or stopped. `lsn` is that of the newest fact behind this
    answer."""

    operation: Operation
    lsn: int


@dataclass(frozen=True, slots=True)
class Operations:
    """Operations as they stand, newest first."""

    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """One named queue."""

    name: str
    paused: bool
    counts: dict[JobState, int]
    oldest_pending_ms: int | None
    """Since when the job next in line may run; None if none waits."""
    draining: bool = False
    rules: QueueRules = NO_RULES
    declared: tuple[str, ...] = ()
    """The names of those that stand in the configuration."""


@dataclass(frozen=True, slots=True)
class Status:
    """The whole queue at one moment."""

    lsn: int
    counts: dict[JobState, int]
    queues: tuple[QueueStatus, ...]
    totals: dict[str, int]
    died: dict[str, int]
    unknown_kinds: dict[str, int] = field(default_factory=dict)
    """Pending jobs of kinds that no worker can run, by kind."""
    storage_full: bool = False
    schedules: int = 0


class ScheduleView(NamedTuple):
    """A schedule as it is shown: a copy of `Schedule`, field by field, and the state of its latest job."""

    name: str
    plan: Plan
    paused: bool
    source: ScheduleSource
    created_ms: int
    revision: int
    through_ms: int
    fired: int
    skipped: int
    last_ms: int | None
    last_job_id: str | None
    last_job_state: JobState | None
    """None if there is none, or it was deleted."""


@dataclass(frozen=True, slots=True)
class Schedules:
    """The schedules asked for, by name."""

    schedules: tuple[ScheduleView, ...]


@dataclass(frozen=True, slots=True)
class Fired:
    """The times are dealt with."""

    jobs: int
    """That came of them."""


Answer: TypeAlias = (
    Refused
    | Enqueued
    | Leased
    | Finished
    | Changed
    | Moved
    | Ticked
    | Recovered
    | Found
    | Explained
    | Page
    | Operated
    | Operations
    | Status
    | Schedules
    | Fired
)
