"""What a client can ask, each with the way to read its answer, for all transports. Nothing is sent here.

Here are questions about the whole server; those about jobs, queues, operations and schedules have files of
their own. It also decides what to do with a refusal that may pass: wait as long as the caller has patience.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from msgspec import UNSET

from beaver_actors.client.arguments import mistyped, text_or_none, texts, whole
from beaver_actors.client.errors import ProtocolError, Refused
from beaver_actors.client.new_jobs import Moment, moment
from beaver_actors.client.views import (
    Change,
    Status,
    WorkerInfo,
    read_part,
)
from beaver_actors.codec.wire import REQUESTS, Ok, Request
from beaver_actors.codec.wire_event_objects import EventFilter
from beaver_actors.codec.wire_status_objects import StatusObject
from beaver_actors.codec.wire_watch_messages import PastRequest, StatusRequest
from beaver_actors.codec.wire_worker_messages import WorkersRequest
from beaver_actors.core.answers import RefusalCode

T = TypeVar("T")

PASSING: Final[frozenset[RefusalCode]] = frozenset(
    {"queue_full", "overloaded", "storage_full", "draining", "not_leader"}
)
"""Refusals that may pass by waiting."""
RETRY_SECONDS: Final = 1.0
"""Before trying again when the server does not say how long."""

UNTIL_ASKED = frozenset({"draining", "queue_full"})
"""Codes that, without a time after which to come back, last until somebody changes the queue."""


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


def status() -> Question[Status]:
    """Show the counts of the whole queue."""
    return Question(StatusRequest(id=""), lambda ok: read_part(StatusObject, ok.status))


def status_at(lsn: int | None, at: Moment | None) -> Question[Status]:
    """Show the status as it was."""
    when = None if at is None else moment("at", at)
    lsn = None if lsn is None else whole("lsn", lsn, 0)
    return Question(PastRequest(id="", lsn=lsn, at=when), lambda ok: read_part(StatusObject, ok.status))


def workers() -> Question[tuple[WorkerInfo, ...]]:
    """Show the workers on other machines."""
    return Question(WorkersRequest(id=""), lambda ok: read_part(tuple[WorkerInfo, ...], ok.workers))


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


def changed(ok: Ok) -> tuple[Change, ...]:
    if ok.changes is UNSET or not ok.changes:
        raise ProtocolError("the server did not say what has changed")
    return tuple(ok.changes)
