"""What a client can ask, each with the way to read its answer, for all transports. Nothing is sent here.

It also decides what to do with a refusal that may pass: wait as long as the caller has patience.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, Literal, NamedTuple, Protocol, TypedDict, TypeVar

from msgspec import UNSET

from beaver_actors.client.arguments import flag, mistyped, one_of, text, text_or_none, texts, whole
from beaver_actors.client.core import REQUEST_BYTES_MAX
from beaver_actors.client.errors import ProtocolError, Refused, TooLarge, refused
from beaver_actors.client.new_jobs import Moment, NewJob, moment, new_id
from beaver_actors.client.rules import QueueOptions, rules_fields
from beaver_actors.client.views import (
    Change,
    Event,
    Explanation,
    JobHistory,
    JobInfo,
    OperationInfo,
    Page,
    ScheduleInfo,
    Status,
    WorkerInfo,
    event_from_wire,
    read_part,
)
from beaver_actors.codec.wire import REQUESTS, Ok, Request
from beaver_actors.codec.wire_decode import Limits
from beaver_actors.codec.wire_fields import ID_PATTERN, JOB_IDS_MAX, NEXT_MAX, PAGE_JOBS_MAX
from beaver_actors.codec.wire_job_messages import (
    CancelRequest,
    DeleteRequest,
    EnqueueRequest,
    ExplainRequest,
    GetRequest,
    ListRequest,
    RetryRequest,
)
from beaver_actors.codec.wire_objects import EventFilter, EventObject, Receipt, StatusObject
from beaver_actors.codec.wire_operation_messages import OperateRequest, OperationsRequest, StopRequest
from beaver_actors.codec.wire_queue_messages import (
    ConfigureRequest,
    DeleteQueueRequest,
    DrainRequest,
    MoveRequest,
    PauseRequest,
    ResumeRequest,
)
from beaver_actors.codec.wire_schedule_messages import (
    DeleteScheduleRequest,
    PauseScheduleRequest,
    ResumeScheduleRequest,
    SchedulesRequest,
    SetScheduleRequest,
    TriggerScheduleRequest,
)
from beaver_actors.codec.wire_schedule_objects import NewScheduleObject
from beaver_actors.codec.wire_watch_messages import HistoryRequest, PastRequest, StatusRequest
from beaver_actors.codec.wire_worker_messages import WorkersRequest
from beaver_actors.core.answers import RefusalCode
from beaver_actors.core.graphs import GRAPH_JOBS_MAX
from beaver_actors.core.job import DEAD_REASONS, DeadReason, JobState
from beaver_actors.core.operation import OperationWord

T = TypeVar("T")
J = TypeVar("J", bound="Handle")

BATCH_JOBS_MAX: Final = Limits().batch_jobs
BATCH_BYTES: Final = REQUEST_BYTES_MAX // 4
"""Where a long list is split. Larger messages are hardly cheaper, and delay what comes after them."""
JOB_BYTES: Final = 400
"""What a job's text has beside args and meta, about."""

PASSING: Final[frozenset[RefusalCode]] = frozenset(
    {"queue_full", "overloaded", "storage_full", "draining", "not_leader"}
)
"""Refusals that may pass by waiting."""
RETRY_SECONDS: Final = 1.0
"""Before trying again when the server does not say how long."""

ChangeWord = Literal["cancel", "retry", "delete"]
ScheduleWord = Literal["delete", "pause", "resume"]
QueueWord = Literal["pause", "resume", "drain", "delete_queue"]


class Handle(Protocol):
    """A job that can be waited for."""

    id: str
    lsn: int | None


class Question(NamedTuple, Generic[T]):
    """A request, and how to read the answer to it."""

    request: Request
    read: Callable[[Ok], T]


class Accepted(NamedTuple):
    """A job that the server has on disk."""

    job_id: str
    duplicate: bool
    """Whether it had it already."""
    lsn: int | None
    """The position of its `job_enqueued`; None for a duplicate."""


UNTIL_ASKED = frozenset({"draining", "queue_full"})
"""Codes that, without a time after which to come back, last until somebody changes the queue."""


class Patience:
    """How long one caller will wait for refusals to pass.

    Args:
        seconds: in all.
    """

    def __init__(self, seconds: float) -> None:
        self._left = seconds

    def wait_seconds(self, refusal: Refused, dice: float) -> float:
        """How long to wait before asking again: what the server says, and up to half as much more, so that
        many clients do not return in step.

        Raises:
            Refused: the refusal, if it will not pass, or the patience is used up.
        """
        told = refusal.retry_after
        if refusal.code not in PASSING or self._left <= 0 or (told is None and refusal.code in UNTIL_ASKED):
            raise refusal
        wait = RETRY_SECONDS if told is None or told <= 0 else min(told, self._left)
        wait = min(wait * (1 + dice / 2), self._left)
        self._left -= wait
        return wait


def enqueue(jobs: Sequence[NewJob]) -> Question[tuple[Accepted, ...]]:
    """Accept all these jobs or none."""

    def read(ok: Ok) -> tuple[Accepted, ...]:
        receipts = read_part(list[Receipt], ok.jobs)
        if len(receipts) != len(jobs) or ok.lsn is UNSET:
            raise ProtocolError(f"the server answered {len(receipts)} receipts for {len(jobs)} jobs")
        # New jobs of one message have positions in a row, and `lsn` is the last; of a graph each is told.
        lsn = ok.lsn - sum(not receipt.duplicate for receipt in receipts)
        accepted: list[Accepted] = []
        for receipt in receipts:
            lsn += not receipt.duplicate
            own = lsn if receipt.lsn is UNSET else receipt.lsn
            accepted.append(Accepted(receipt.id, receipt.duplicate, None if receipt.duplicate else own))
        return tuple(accepted)

    return Question(EnqueueRequest(id="", jobs=list(jobs)), read)


def batches(jobs: Iterable[NewJob], atomic: bool) -> Iterator[list[NewJob]]:
    """The messages to send for a number of jobs.

    Args:
        jobs: any number.
        atomic: whether they must be in one message.

    Raises:
        TooLarge: they must, and are too many.
    """
    flag("atomic", atomic)
    if atomic:
        batch = list(jobs)
        is_graph = len(batch) > BATCH_JOBS_MAX and any(job.depends_on for job in batch)
        most = GRAPH_JOBS_MAX if is_graph else BATCH_JOBS_MAX
        if len(batch) > most:
            message = f"jobs: expected at most {most} jobs in one message, got {len(batch)}"
            raise TooLarge("too_large", f"{message}; with atomic=False they are split")
        if batch:
            yield batch
        return
    batch, size = [], 0
    for job in jobs:
        job_bytes = JOB_BYTES + sum(len(bytes(part)) for part in (job.args, job.meta) if part is not UNSET)
        if batch and (len(batch) == BATCH_JOBS_MAX or size + job_bytes > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(job)
        size += job_bytes
    if batch:
        yield batch


def get(job_id: str) -> Question[JobInfo]:
    """Show one job."""
    return Question(GetRequest(id="", job_id=checked_id(job_id)), lambda ok: read_part(JobInfo, ok.job))


def explain(job_id: str) -> Question[Explanation]:
    """Say why a job does not run, or why it ended."""
    request = ExplainRequest(id="", job_id=checked_id(job_id))
    return Question(request, lambda ok: read_part(Explanation, ok.explanation))


def history(job_id: str) -> Question[JobHistory]:
    """Show the whole life of a job."""

    def read(ok: Ok) -> JobHistory:
        if ok.complete_from is UNSET:
            raise ProtocolError("the server did not say how far back it remembers")
        items = read_part(list[EventObject], ok.events)
        events = [item for item in map(event_from_wire, items) if isinstance(item, Event)]
        return JobHistory(events=tuple(events), complete_from=ok.complete_from)

    return Question(HistoryRequest(id="", job_id=checked_id(job_id)), read)


def status_at(lsn: int | None, at: Moment | None) -> Question[Status]:
    """Show the status as it was."""
    when = None if at is None else moment("at", at)
    lsn = None if lsn is None else whole("lsn", lsn, 0)
    return Question(PastRequest(id="", lsn=lsn, at=when), lambda ok: read_part(StatusObject, ok.status))


def get_at(job_id: str, lsn: int | None, at: Moment | None) -> Question[JobInfo]:
    """Show a job as it was."""
    when = None if at is None else moment("at", at)
    lsn = None if lsn is None else whole("lsn", lsn, 0)
    request = PastRequest(id="", lsn=lsn, at=when, job_id=checked_id(job_id))
    return Question(request, lambda ok: read_part(JobInfo, ok.job))


class JobFilter(TypedDict, total=False):
    """Conditions on jobs; all that are given must hold."""

    state: JobState | str | None
    queue: str | None
    kind: str | None
    tag: str | None
    reason: DeadReason | None
    """Why it is dead."""
    error_type: str | None
    """Of its latest error, such as "ValueError"."""
    created_after: Moment | None
    """Enqueued at this time or later; a `datetime` with a time zone, or text."""
    created_before: Moment | None
    finished_after: Moment | None
    finished_before: Moment | None


def _conditions(wanted: JobFilter) -> dict[str, Any]:
    """The fields of a request; raises ValueError if there is no such state or reason, TypeError for another
    field or a value of another kind."""
    fields: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    if unknown := fields.keys() - JobFilter.__annotations__.keys():
        raise TypeError(f"{min(unknown)}: expected one of {', '.join(JobFilter.__annotations__)}")
    for name in ("queue", "kind", "tag", "error_type"):
        if name in fields:
            text(name, fields[name])
    if "state" in fields:
        fields["state"] = JobState(one_of("state", fields["state"], tuple(JobState)))
    if "reason" in fields:
        one_of("reason", fields["reason"], DEAD_REASONS)
    for name in ("created_after", "created_before", "finished_after", "finished_before"):
        if name in fields:
            fields[name] = moment(name, fields[name])
    return fields


def first_page(wanted: JobFilter, limit: int | None, page_size: int) -> ListRequest:
    """What asks for the newest jobs that fit; `page` reads the answer, and `after` asks for the next ones.

    Raises:
        ValueError: there is no such state, or nothing is asked for.
        TypeError: there is no such condition, or a value of another kind.
    """
    size = whole("page_size", page_size, 1, PAGE_JOBS_MAX)
    if limit is not None:
        size = min(size, whole("limit", limit, 1))
    return ListRequest(id="", limit=size, **_conditions(wanted))


def operate(word: OperationWord, operation_id: str | None, wanted: JobFilter) -> Question[OperationInfo]:
    """Retry or delete all jobs that fit. It is named here, so that asking twice starts it once."""
    operation_id = new_id() if operation_id is None else checked_id(operation_id, "operation_id")
    return Question(
        OperateRequest(id="", word=word, operation_id=operation_id, **_conditions(wanted)), _operation
    )


def stop(operation_id: str) -> Question[OperationInfo]:
    """Go no further with an operation."""
    return Question(StopRequest(id="", operation_id=checked_id(operation_id, "operation_id")), _operation)


def operations(operation_id: str | None = None) -> Question[tuple[OperationInfo, ...]]:
    """Show operations, or one."""
    if operation_id is not None:
        checked_id(operation_id, "operation_id")

    def read(ok: Ok) -> tuple[OperationInfo, ...]:
        if ok.operations is UNSET or (operation_id is not None and len(ok.operations) != 1):
            raise ProtocolError("the server did not show the operations")
        return tuple(ok.operations)

    return Question(OperationsRequest(id="", operation_id=operation_id), read)


def look_seconds(waited: float) -> float:
    """How long to wait before an operation is looked at again, after so many seconds: it is over in a moment,
    or takes minutes."""
    return min(1.0, max(0.05, waited / 4))


def _operation(ok: Ok) -> OperationInfo:
    if ok.operation is UNSET:
        raise ProtocolError("the server did not show the operation")
    return ok.operation


def event_filter(
    kind: str | None, queue: str | None, job_ids: Iterable[str] | None, events: Iterable[str] | None
) -> EventFilter | None:
    """Which events are wanted; None for all. Raises TypeError for what cannot be a filter."""
    if kind is None and queue is None and job_ids is None and events is None:
        return None
    return EventFilter(
        kind=text_or_none("kind", kind),
        queue=text_or_none("queue", queue),
        job_ids=None if job_ids is None else texts("job_ids", job_ids),
        events=None if events is None else texts("events", events),
    )


def anything(request: Request) -> Question[Ok]:
    """Ask what there is a message for."""
    if not isinstance(request, REQUESTS):
        expected = "a message of beaver_actors.codec.wire, such as StatusRequest(id='')"
        raise mistyped("request", expected, request)
    return Question(request, lambda ok: ok)


def waited_for(jobs: Iterable[J]) -> tuple[J, ...]:
    """The handles of a list.

    Raises:
        TypeError: one is none.
    """
    if isinstance(jobs, str | Mapping) or not isinstance(jobs, Iterable):
        raise mistyped("jobs", "a list of handles, as enqueue returns them", jobs)
    handles = tuple(jobs)
    for place, job in enumerate(handles):
        if not (hasattr(job, "id") and hasattr(job, "lsn")):
            raise mistyped(f"jobs[{place}]", "a handle, as enqueue and client.job(id) return them", job)
    return handles


def page(request: ListRequest) -> Question[Page]:
    """Show some jobs."""

    def read(ok: Ok) -> Page:
        if ok.next is UNSET:
            raise ProtocolError("the server sent a list without saying whether there is more")
        return Page(read_part(tuple[JobInfo, ...], ok.jobs), ok.next)

    return Question(request, read)


def status() -> Question[Status]:
    """Show the counts of the whole queue."""
    return Question(StatusRequest(id=""), lambda ok: read_part(StatusObject, ok.status))


def workers() -> Question[tuple[WorkerInfo, ...]]:
    """Show the workers on other machines."""
    return Question(WorkersRequest(id=""), lambda ok: read_part(tuple[WorkerInfo, ...], ok.workers))


def schedules(name: str | None, next_times: int) -> Question[tuple[ScheduleInfo, ...]]:
    """Show all schedules, or one, each with so many of its next times."""
    request = SchedulesRequest(id="", name=name, next=whole("next", next_times, 0, NEXT_MAX))
    return Question(request, lambda ok: read_part(tuple[ScheduleInfo, ...], ok.schedules))


def set_schedule(schedule: NewScheduleObject) -> Question[Change]:
    """Have this schedule."""
    return Question(SetScheduleRequest(id="", schedule=schedule), lambda ok: _changes(ok)[0])


def schedule_change(word: ScheduleWord, name: str) -> Question[Change]:
    """Delete, pause or resume a schedule."""
    requests: dict[str, type[DeleteScheduleRequest | PauseScheduleRequest | ResumeScheduleRequest]] = {
        "delete": DeleteScheduleRequest,
        "pause": PauseScheduleRequest,
        "resume": ResumeScheduleRequest,
    }
    return Question(requests[word](id="", name=text("name", name)), lambda ok: _changes(ok)[0])


def trigger_schedule(name: str, job_id: str) -> Question[Accepted]:
    """Bring a job of this schedule now, under this id."""

    def read(ok: Ok) -> Accepted:
        (receipt,) = read_part(tuple[Receipt, ...], ok.jobs)
        if ok.lsn is UNSET:
            raise ProtocolError("the server accepted a job without saying where")
        # Its `job_enqueued` comes before the `schedule_fired` that tells of it.
        return Accepted(receipt.id, receipt.duplicate, None if receipt.duplicate else ok.lsn)

    return Question(TriggerScheduleRequest(id="", name=text("name", name), job_id=job_id), read)


def changes(word: ChangeWord, job_ids: Iterable[str]) -> Iterator[Question[tuple[Change, ...]]]:
    """Cancel, retry or delete jobs, in as many messages as it takes."""
    requests: dict[str, type[CancelRequest | RetryRequest | DeleteRequest]] = {
        "cancel": CancelRequest,
        "retry": RetryRequest,
        "delete": DeleteRequest,
    }
    ids = texts("job_ids", [job_ids] if isinstance(job_ids, str) else job_ids)
    ids = tuple(checked_id(job_id, f"job_ids[{place}]") for place, job_id in enumerate(ids))
    for start in range(0, len(ids), JOB_IDS_MAX):
        yield Question(requests[word](id="", job_ids=list(ids[start : start + JOB_IDS_MAX])), _changes)


def queue_change(word: QueueWord, queue: str) -> Question[Change]:
    """Pause, resume, drain or delete a queue."""
    requests: dict[QueueWord, type[PauseRequest | ResumeRequest | DrainRequest | DeleteQueueRequest]] = {
        "pause": PauseRequest,
        "resume": ResumeRequest,
        "drain": DrainRequest,
        "delete_queue": DeleteQueueRequest,
    }
    return Question(requests[word](id="", queue=text("queue", queue)), lambda ok: _changes(ok)[0])


def configure(queue: str, options: QueueOptions) -> Question[Change]:
    """Set rules of a queue."""
    request = ConfigureRequest(id="", queue=text("queue", queue), rules=rules_fields(options))
    return Question(request, lambda ok: _changes(ok)[0])


def move(
    queue: str, to: str, kind: str | None, tag: str | None, after: int | None = None
) -> Question[tuple[int, int | None]]:
    """Move some waiting jobs. Tells how many, and where the next request goes on; None at the end."""

    def read(ok: Ok) -> tuple[int, int | None]:
        if ok.moved is UNSET or ok.next is UNSET:
            raise ProtocolError("the server did not say how many jobs it has moved")
        return ok.moved, ok.next

    text("queue", queue), text("to", to), text_or_none("kind", kind), text_or_none("tag", tag)
    return Question(MoveRequest(id="", queue=queue, to=to, kind=kind, tag=tag, after=after), read)


def checked_id(job_id: str, name: str = "job_id") -> str:
    """Returns the id.

    Raises:
        TypeError: it is no text.
        BadRequest: no job can have it.
    """
    if not re.fullmatch(ID_PATTERN, text(name, job_id)):
        expected = "1 to 200 printable ASCII characters without spaces"
        raise refused("bad_request", f"{name}: expected {expected}, got {job_id[:60]!r}")
    return job_id


def _changes(ok: Ok) -> tuple[Change, ...]:
    if ok.changes is UNSET or not ok.changes:
        raise ProtocolError("the server did not say what has changed")
    return tuple(ok.changes)
