"""The life of one job: where it is fetched, and how it is written, attempt by attempt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from beaver_actors.cli.events import event_line
from beaver_actors.cli.options import Target
from beaver_actors.cli.past import NOW, When, read_directory
from beaver_actors.cli.talk import talk
from beaver_actors.cli.text import count, cut, duration, many, to_ms
from beaver_actors.client.errors import NotFound
from beaver_actors.client.views import Event, JobHistory, JobInfo, event_from_wire, read_part
from beaver_actors.codec.wire_event_objects import EventObject

if TYPE_CHECKING:
    from beaver_actors.client import Client

ENDS = {
    "job_completed": "completed",
    "job_failed": "failed",
    "job_snoozed": "snoozed",
    "job_released": "handed back",
    "job_rescued": "died with its worker",
    "job_died": "failed for good",
    "job_cancelled": "cancelled",
}


def find_job(
    server: Target, job_id: str, when: When | None, data_dir: str | None, *, may_be_gone: bool
) -> JobInfo | None:
    """The job, now or then. None if it does not exist now and may be gone.

    Raises:
        Failure: there is none.
    """
    if data_dir is not None:
        reply = read_directory(data_dir, job_id, when or NOW, may_be_gone=when is None and may_be_gone)
        return None if reply is None else read_part(JobInfo, reply.job)

    async def ask(client: Client) -> JobInfo | None:
        if when is not None:
            return await client.get_at(job_id, lsn=when.lsn, at=when.at)
        try:
            return await client.get(job_id)
        except NotFound:
            if may_be_gone:
                return None
            raise

    return talk(server, ask)


def find_life(server: Target, job_id: str, data_dir: str | None, *, needed: bool) -> JobHistory | None:
    """The life of the job; None if the log has nothing of it, unless it is needed.

    Raises:
        Failure: there is none.
    """
    if data_dir is not None:
        reply = read_directory(data_dir, job_id, None, may_be_gone=not needed)
        if reply is None:
            return None
        items = map(event_from_wire, read_part(list[EventObject], reply.events))
        events = tuple(item for item in items if isinstance(item, Event))
        return JobHistory(events=events, complete_from=reply.complete_from or 1)

    async def ask(client: Client) -> JobHistory | None:
        try:
            return await client.history(job_id)
        except NotFound:
            if needed:
                raise
            return None

    return talk(server, ask)


def life_lines(life: JobHistory | None, job_id: str) -> Iterator[str]:
    """Every event of the life, then every attempt with its worker, its end, and how long it took."""
    if life is None:
        yield "The log has nothing of it any more: a snapshot stands for that."
        return
    yield f"The log of {cut(job_id)}, complete from LSN {count(life.complete_from)} on:"
    for event in life.events:
        yield event_line(event)
    attempts = list(_attempts(life.events))
    if attempts:
        yield ""
        yield f"{many(len(attempts), 'attempt')} on record:"
        yield from attempts


def _attempts(events: tuple[Event, ...]) -> Iterator[str]:
    started: Event | None = None
    for event in events:
        if event.event == "job_started":
            started = event
        elif started is not None and event.event in ENDS:
            took = duration(to_ms(event.at) - to_ms(started.at))
            error = "" if event.error is None else f": {event.error.type}: {event.error.message}"
            how = f"{ENDS[event.event]} after {took}{error}"
            yield cut(f"  fence {started.lsn} on {started.worker_id}: {how}", 300)
            started = None
    if started is not None:
        yield cut(f"  fence {started.lsn} on {started.worker_id}: no end on record", 300)
