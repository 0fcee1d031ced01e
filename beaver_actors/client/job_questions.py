"""What a client can ask about jobs: `questions.py` says what a question is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypedDict, TypeVar

from msgspec import UNSET

from beaver_actors.client.arguments import (
    checked_id,
    flag,
    mistyped,
    one_of,
    text,
    texts,
    whole,
)
from beaver_actors.client.core import REQUEST_BYTES_MAX
from beaver_actors.client.errors import ProtocolError, TooLarge
from beaver_actors.client.new_jobs import Moment, NewJob, moment
from beaver_actors.client.questions import Accepted, Handle, Question, changed
from beaver_actors.client.views import (
    Change,
    Event,
    Explanation,
    JobHistory,
    JobInfo,
    Page,
    event_from_wire,
    read_part,
)
from beaver_actors.codec.wire import Ok
from beaver_actors.codec.wire_decode import Limits
from beaver_actors.codec.wire_event_objects import EventObject
from beaver_actors.codec.wire_fields import JOB_IDS_MAX, PAGE_JOBS_MAX
from beaver_actors.codec.wire_job_messages import (
    CancelRequest,
    DeleteRequest,
    EnqueueRequest,
    ExplainRequest,
    GetRequest,
    ListRequest,
    RetryRequest,
)
from beaver_actors.codec.wire_job_objects import Receipt
from beaver_actors.codec.wire_watch_messages import HistoryRequest, PastRequest
from beaver_actors.core.graphs import GRAPH_JOBS_MAX
from beaver_actors.core.job import DEAD_REASONS, DeadReason, JobState

J = TypeVar("J", bound="Handle")

ChangeWord = Literal["cancel", "retry", "delete"]

BATCH_JOBS_MAX: Final = Limits().batch_jobs
BATCH_BYTES: Final = REQUEST_BYTES_MAX // 4
"""Where a long list is split. Larger messages are hardly cheaper, and delay what comes after them."""
JOB_BYTES: Final = 400
"""What a job's text has beside args and meta, about."""


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


def get_at(job_id: str, lsn: int | None, at: Moment | None) -> Question[JobInfo]:
    """Show a job as it was."""
    when = None if at is None else moment("at", at)
    lsn = None if lsn is None else whole("lsn", lsn, 0)
    request = PastRequest(id="", lsn=lsn, at=when, job_id=checked_id(job_id))
    return Question(request, lambda ok: read_part(JobInfo, ok.job))


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


def conditions(wanted: JobFilter) -> dict[str, Any]:
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
    return ListRequest(id="", limit=size, **conditions(wanted))


def page(request: ListRequest) -> Question[Page]:
    """Show some jobs."""

    def read(ok: Ok) -> Page:
        if ok.next is UNSET:
            raise ProtocolError("the server sent a list without saying whether there is more")
        return Page(read_part(tuple[JobInfo, ...], ok.jobs), ok.next)

    return Question(request, read)


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
        yield Question(requests[word](id="", job_ids=list(ids[start : start + JOB_IDS_MAX])), changed)


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
