"""The job: its states, the terms it runs on, and the record of what has happened to it.

This file alone says which fields a job has. It never changes one: that is `fold`'s work.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple


class JobState(StrEnum):
    """Where a job stands. The moves between these are the table in `core/transitions.py`."""

    SCHEDULED = "scheduled"
    """Its `run_at` lies in the future: asked for so, snoozed, or waiting for a retry."""
    PENDING = "pending"
    """May run now; waits for a worker."""
    BLOCKED = "blocked"
    """Waits for other jobs, its parents, to end."""
    IN_FLIGHT = "in_flight"
    """Leased: a worker holds the right to run it."""
    COMPLETED = "completed"
    """Its result is recorded; it never runs again."""
    DEAD = "dead"
    """Gave up; `reason` says why. An operator may retry it."""
    CANCELLED = "cancelled"
    """Stopped on request, or for a reason: a job took its place, a parent failed."""


FINISHED = frozenset({JobState.COMPLETED, JobState.DEAD, JobState.CANCELLED})
WAITING = frozenset({JobState.SCHEDULED, JobState.PENDING, JobState.BLOCKED})

DeadReason = Literal["max_attempts", "poison", "expired", "rejected"]
DEAD_REASONS: tuple[DeadReason, ...] = ("max_attempts", "poison", "expired", "rejected")
CancelReason = Literal["replaced", "parent_failed"]
"""Why a job was stopped by something else than a request for it."""
EndReason = DeadReason | CancelReason

BackoffKind = Literal["polynomial", "exponential", "fixed", "list"]


class Backoff(NamedTuple):
    """How long a failed job waits before it may run again; the formulas stand in `core/retry.py`."""

    kind: BackoffKind = "polynomial"
    base_ms: int = 15_000
    """polynomial: the constant part; exponential: the first delay; fixed: the delay."""
    factor: float = 4.0
    """polynomial: the exponent; exponential: the growth per retry."""
    cap_ms: int = 7 * 24 * 3_600_000
    """No delay is longer than this."""
    jitter: bool = True
    """Whether chance takes part, so that jobs that failed together do not return together."""
    delays_ms: tuple[int, ...] = ()
    """list: the delays in turn; the last one repeats."""


class Terms(NamedTuple):
    """The terms a job runs on: what many jobs have in common, kept once and shared between them."""

    kind: str
    queue: str = "default"
    priority: int = 0
    """-100..100, larger first."""
    max_attempts: int = 25
    """Runs in all, not counting those that ended because a worker or the server died."""
    timeout_ms: int | None = 1_800_000
    """The longest one attempt may run; None for no limit."""
    backoff: Backoff = Backoff()
    retention_ms: int | None = None
    """How long the finished job is kept; None for the server's rule."""
    tags: tuple[str, ...] = ()
    meta: bytes = b""
    """A JSON object that belongs to the user; empty for none."""


class JobError(NamedTuple):
    """What went wrong in one attempt, as its worker told it."""

    type: str
    """The exception's class name; `Timeout` and `WorkerDied` are ours."""
    message: str
    traceback: str = ""


class AttemptError(NamedTuple):
    """A `JobError` with the attempt it belongs to, as the job keeps it."""

    at_ms: int
    attempt: int
    type: str
    message: str
    traceback: str


UniqueUntil = Literal["finished", "started", "window"]
UNIQUE_UNTIL: tuple[UniqueUntil, ...] = ("finished", "started", "window")


OnConflict = Literal["reject", "return_existing", "replace"]
ON_CONFLICT: tuple[OnConflict, ...] = ("reject", "return_existing", "replace")


class Unique(NamedTuple):
    """A key that at most one job holds at a time; how long stands in `core/unique.py`."""

    key: str
    until: UniqueUntil = "finished"
    for_ms: int | None = None
    """At most so long since the job was enqueued; None for no limit. A window has one."""


OnParentFailure = Literal["cancel", "continue"]
ON_PARENT_FAILURE: tuple[OnParentFailure, ...] = ("cancel", "continue")


class Extras(NamedTuple):
    """What few jobs ask for beside their terms, each job for itself. A job that asks for nothing of this has
    none, so that a field more here costs a plain job nothing."""

    expires_at_ms: int | None = None
    """When it is given up if it has not started by then."""
    unique: Unique | None = None
    depends_on: tuple[str, ...] = ()
    """The ids of its parents, each once: it is blocked until all of them have ended."""
    on_parent_failure: OnParentFailure = "cancel"
    """What becomes of it if a parent dies or is cancelled."""
    concurrency_key: str | None = None
    """Jobs of one key take turns with those of others in their queue, and share the limits that it sets for
    each key."""
    enqueued_in: str | None = None
    """The queue it was enqueued in, if it was moved to another since."""


@dataclass(slots=True, eq=True)
class Trail:
    """What has happened to a job since it first left the queue. A job never started has none, which keeps a
    long backlog small in memory."""

    attempt: int = 0
    """Starts so far; a start that was handed back is not counted."""
    rescues: int = 0
    """Attempts that ended because the worker or the server died."""
    fence: int = 0
    """The LSN of the latest lease; 0 before the first."""
    started_ms: int | None = None
    finished_ms: int | None = None
    worker_id: str | None = None
    deadline_ms: int | None = None
    """When the job manager takes the job away from a worker that ignores its timeout."""
    cancel_requested: bool = False
    reason: EndReason | None = None
    """Why it gave up; or why it was stopped, if nobody asked for that."""
    progress: bytes | None = None
    result: bytes | None = None
    errors: tuple[AttemptError, ...] = ()
    lease_ms: int | None = None
    """For how long the worker of a running attempt may be silent; None if it dies with the server."""


@dataclass(slots=True, eq=True)
class Job:
    """One job. Times are integer milliseconds UTC; `args`, `progress` and `result` are JSON text as bytes,
    which the server carries and never reads.

    A backlog is made of these, so the fields are those that every job needs while it waits; what comes later
    stands in `trail`, and what few ask for in `extras`.
    """

    id: str
    terms: Terms
    args: bytes
    state: JobState
    created_ms: int
    run_at_ms: int
    extras: Extras | None
    order: int
    """The LSN of its `JobEnqueued`: the order of arrival."""
    lsn: int
    """The LSN of the last fact about it."""
    trail: Trail | None = None

    @property
    def expires_at_ms(self) -> int | None:
        extras = self.extras
        return None if extras is None else extras.expires_at_ms

    @property
    def unique(self) -> Unique | None:
        extras = self.extras
        return None if extras is None else extras.unique

    @property
    def depends_on(self) -> tuple[str, ...]:
        extras = self.extras
        return () if extras is None else extras.depends_on

    @property
    def on_parent_failure(self) -> OnParentFailure:
        extras = self.extras
        return "cancel" if extras is None else extras.on_parent_failure

    @property
    def concurrency_key(self) -> str | None:
        extras = self.extras
        return None if extras is None else extras.concurrency_key

    @property
    def attempt(self) -> int:
        trail = self.trail
        return 0 if trail is None else trail.attempt

    @property
    def rescues(self) -> int:
        trail = self.trail
        return 0 if trail is None else trail.rescues

    @property
    def fence(self) -> int:
        trail = self.trail
        return 0 if trail is None else trail.fence

    @property
    def failures(self) -> int:
        """Attempts that used up one of `max_attempts`, the running one included."""
        trail = self.trail
        return 0 if trail is None else trail.attempt - trail.rescues
