"""What the client shows: jobs, events, gaps and ends of jobs, with times and values as Python has them.

This file turns wire messages into these; it asks nobody. All of them can be written by `msgspec.json`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from beaver_actors.client.errors import JobCancelled, JobFailed, JobGone, ProtocolError, UnexpectedResult
from beaver_actors.codec.json_text import tame_numbers
from beaver_actors.codec.wire_decode import read
from beaver_actors.codec.wire_errors import WireError
from beaver_actors.codec.wire_event_objects import EventError, EventObject
from beaver_actors.codec.wire_job_objects import BackoffRule, ChangeObject
from beaver_actors.codec.wire_operation_objects import OperationObject, WantedObject
from beaver_actors.codec.wire_queue_objects import RulesObject
from beaver_actors.codec.wire_schedule_objects import ScheduleObject
from beaver_actors.codec.wire_status_objects import StatusObject
from beaver_actors.codec.wire_watch_messages import GapPush
from beaver_actors.codec.wire_worker_objects import WorkerObject
from beaver_actors.core.answers import BecauseReason, WaitReason
from beaver_actors.core.job import FINISHED, EndReason, JobState, OnParentFailure, UniqueUntil

T = TypeVar("T")

Change: TypeAlias = ChangeObject
"""What a command did to the job or queue `name`: whether it `changed`, else the `code` that says why not."""
Status: TypeAlias = StatusObject
"""The counts of the whole queue at one moment, as the protocol has them."""


WorkerInfo: TypeAlias = WorkerObject
"""A worker on another machine at one moment, as the protocol has it."""


OperationInfo: TypeAlias = OperationObject
"""An operation on many jobs at one moment, as the protocol has it."""


ScheduleInfo: TypeAlias = ScheduleObject
"""A schedule at one moment, as the protocol has it."""


class AttemptFailure(Struct, frozen=True, kw_only=True):
    """What went wrong in one attempt."""

    at: datetime
    attempt: int
    type: str
    """The exception's class name; `Timeout` and `WorkerDied` are the server's own."""
    message: str
    traceback: str


class Relative(Struct, frozen=True, kw_only=True):
    """A parent or a child of a job. No state: it is gone."""

    id: str
    kind: str | None = None
    state: JobState | None = None


class JobInfo(Struct, frozen=True, kw_only=True):
    """A job as it was at one moment. Durations are seconds, times are UTC."""

    id: str
    kind: str
    args: dict[str, Any]
    queue: str
    priority: int
    state: JobState
    run_at: datetime
    max_attempts: int
    timeout: int | float | None
    backoff: BackoffRule
    expires_at: datetime | None
    retention: int | float | None
    """None: the server's rule."""
    unique_key: str | None = None
    unique_until: UniqueUntil | None = None
    unique_for: int | float | None = None
    """Seconds."""
    depends_on: tuple[str, ...] = ()
    on_parent_failure: OnParentFailure | None = None
    parents: tuple[Relative, ...] = ()
    """Those of `depends_on`; only where one job is asked for."""
    children: tuple[Relative, ...] = ()
    """Jobs that depend on it, at most a thousand; only where one job is asked for."""
    children_count: int = 0
    concurrency_key: str | None = None
    tags: tuple[str, ...]
    meta: dict[str, Any]
    created_at: datetime
    started_at: datetime | None
    """When the latest attempt started."""
    finished_at: datetime | None
    attempt: int
    """Starts so far."""
    rescues: int
    """Attempts that ended because a worker or the server died."""
    fence: int
    """The position of the latest lease; 0 before the first."""
    worker_id: str | None
    cancel_requested: bool
    reason: EndReason | None
    """Why it is dead; or cancelled, if nobody asked for that."""
    waits_for: WaitReason | None
    """Why it does not run now."""
    progress: Any
    result: Any
    errors: tuple[AttemptFailure, ...]
    lsn: int
    """The position of the latest event of this job."""

    @property
    def finished(self) -> bool:
        """Whether it is completed, dead or cancelled."""
        return self.state in FINISHED


class Page(Struct, frozen=True):
    """Some of the jobs asked for, newest first. `next` is the cursor of the next page, None at the end; a
    page may be short, even empty, and yet have a next one."""

    jobs: tuple[JobInfo, ...]
    next: int | None


class Reason(Struct, frozen=True, kw_only=True):
    """One reason why a job does not run, or why it ended."""

    reason: BecauseReason
    text: str
    """The same in half a sentence about the job."""
    until: datetime | None = None
    """When this ends by itself; None if it does not, or nobody knows."""
    jobs: tuple[str, ...] = ()
    """The jobs that it waits for, the first few of them."""
    total: int | None = None
    """How many there are; None if it waits for none."""
    exact: bool = True
    """False: there are more than `total`."""
    names: tuple[str, ...] = ()
    """What else it is about: queue, workers, or kinds that are served."""


class Explanation(Struct, frozen=True, kw_only=True):
    """Why a job does not run, or why it ended."""

    job_id: str
    state: JobState
    text: str
    """All of it in a sentence."""
    because: tuple[Reason, ...]
    """The most stubborn reason first."""


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What has happened to one job, queue or schedule. Fields that an event does not have are None."""

    lsn: int
    """Its position in the log."""
    event: str
    """Which one: `job_enqueued`, `job_completed`, …"""
    at: datetime
    job_id: str | None = None
    queue: str | None = None
    kind: str | None = None
    priority: int | None = None
    tags: tuple[str, ...] | None = None
    args: dict[str, Any] | None = None
    run_at: datetime | None = None
    expires_at: datetime | None = None
    unique_key: str | None = None
    depends_on: tuple[str, ...] | None = None
    on_parent_failure: str | None = None
    blocked: bool | None = None
    concurrency_key: str | None = None
    rules: RulesObject | None = None
    declared: tuple[str, ...] | None = None
    """The names of those that stand in the server's configuration."""
    worker_id: str | None = None
    deadline: datetime | None = None
    fence: int | None = None
    progress: Any = None
    result: Any = None
    error: EventError | None = None
    reason: str | None = None
    schedule: str | None = None
    cron: str | None = None
    every: int | float | None = None
    tz: str | None = None
    paused: bool | None = None
    source: str | None = None
    nominal_at: datetime | None = None
    fired_job_id: str | None = None
    times: int | None = None
    operation: str | None = None
    word: str | None = None
    wanted: WantedObject | None = None
    looked_at: int | None = None
    changed: int | None = None
    refused: int | None = None
    how: str | None = None


class JobHistory(Struct, frozen=True, kw_only=True):
    """The life of a job, as far as the log is kept."""

    events: tuple[Event, ...]
    """Oldest first."""
    complete_from: int
    """All events from this position on are there; of those before, none or some."""


class Gap(Struct, frozen=True):
    """The events from `from_lsn` through `to_lsn` are gone for good; the next one comes after them (P10)."""

    from_lsn: int
    to_lsn: int


class FinishedJob(Struct, frozen=True, kw_only=True):
    """How a job ended."""

    id: str
    state: JobState | None
    """completed, dead or cancelled; None if the job does not exist (any more)."""
    result: Any = None
    reason: EndReason | None = None
    """Why it is dead."""
    errors: tuple[AttemptFailure, ...] = ()
    """What went wrong in each attempt of a job that did not complete, oldest first."""

    def value(self) -> Any:
        """Returns the result.

        Raises:
            JobFailed: it is dead.
            JobCancelled: it was cancelled.
            JobGone: it does not exist.
        """
        match self.state:
            case JobState.COMPLETED:
                return self.result
            case JobState.CANCELLED:
                raise JobCancelled(self.id, self.errors)
            case None:
                raise JobGone(self.id)
            case _:
                raise JobFailed(self.id, self.reason, self.errors)

    def value_as(self, read: Callable[[Any], T]) -> T:
        """Returns the result as `read` makes it; raises as `value`, or UnexpectedResult where `read`
        fails."""
        value = self.value()
        try:
            return read(value)
        except ValueError as error:
            raise UnexpectedResult(self.id, str(error)) from None


ENDINGS = frozenset({"job_completed", "job_died", "job_cancelled", "job_deleted"})
"""The events after which a job will not run any more, unless someone puts it back."""


def finished_from_info(job: JobInfo) -> FinishedJob:
    """The end of a job that is shown as finished."""
    errors = () if job.state is JobState.COMPLETED else job.errors
    return FinishedJob(id=job.id, state=job.state, result=job.result, reason=job.reason, errors=errors)


def event_from_wire(item: EventObject | GapPush) -> Event | Gap:
    """Turn what a subscription pushes into what users see.

    Raises:
        ProtocolError: a value is not what the protocol says.
    """
    if isinstance(item, GapPush):
        return Gap(item.from_lsn, item.to_lsn)
    try:
        return Event(
            lsn=item.lsn,
            event=item.event,
            at=datetime.fromisoformat(item.at),
            job_id=_given(item.job_id),
            queue=_given(item.queue),
            kind=_given(item.kind),
            priority=_given(item.priority),
            tags=_given(item.tags),
            args=plain(item.args),
            run_at=_time(item.run_at),
            expires_at=_time(item.expires_at),
            unique_key=_given(item.unique_key),
            depends_on=_given(item.depends_on),
            on_parent_failure=_given(item.on_parent_failure),
            blocked=_given(item.blocked),
            concurrency_key=_given(item.concurrency_key),
            rules=_given(item.rules),
            declared=_given(item.declared),
            worker_id=_given(item.worker_id),
            deadline=_time(item.deadline),
            fence=_given(item.fence),
            progress=plain(item.progress),
            result=plain(item.result),
            error=_given(item.error),
            reason=_given(item.reason),
            operation=_given(item.operation),
            word=_given(item.word),
            wanted=_given(item.wanted),
            looked_at=_given(item.looked_at),
            changed=_given(item.changed),
            refused=_given(item.refused),
            how=_given(item.how),
            schedule=_given(item.schedule),
            cron=_given(item.cron),
            every=_given(item.every),
            tz=_given(item.tz),
            paused=_given(item.paused),
            source=_given(item.source),
            nominal_at=_time(item.nominal_at),
            fired_job_id=_given(item.fired_job_id),
            times=_given(item.times),
        )
    except ValueError as error:
        raise ProtocolError(f"the server sent an event that cannot be read: {error}") from None


def read_part(type_: type[T], raw: Raw | UnsetType) -> T:
    """Read one part of a reply. A number in it that Python cannot hold, such as 1e999, is its text.

    Raises:
        ProtocolError: it is missing or not that.
    """
    if raw is UNSET:
        raise ProtocolError(f"the server's reply lacks the part that holds {type_}")
    try:
        try:
            return read(type_, raw)
        except WireError:
            return read(type_, Raw(tame_numbers(bytes(raw))))
    except WireError as error:
        raise ProtocolError(f"the server sent a reply that cannot be read: {error.message}") from None


def plain(raw: Raw | UnsetType) -> Any:
    """The value of JSON text; None if it is left out. A number that Python cannot hold is its text."""
    if raw is UNSET:
        return None
    try:
        return _decode(raw)
    except msgspec.DecodeError:
        return _decode(tame_numbers(bytes(raw)))


_decode = msgspec.json.Decoder().decode


def _given(value: T | UnsetType) -> T | None:
    return None if value is UNSET else value


def _time(text: str | UnsetType) -> datetime | None:
    return None if text is UNSET else datetime.fromisoformat(text)
