"""What is told of the past, as it comes from the process that reads it: parts of a reply that are JSON
already, or why there are none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from beaver_actors.codec.wire import Error, Ok
from beaver_actors.codec.wire_answers import NodeView, job_object, status_object
from beaver_actors.codec.wire_checks import check_id, check_range, check_time, refuse
from beaver_actors.codec.wire_errors import WireError
from beaver_actors.codec.wire_events import event_json
from beaver_actors.codec.wire_fields import LSN_MAX
from beaver_actors.codec.wire_watch_messages import HistoryRequest, PastRequest
from beaver_actors.core.answers import JobView, RefusalCode, Status
from beaver_actors.core.facts import Fact

EVENTS_MAX = 10_000
"""Events of one job in one reply, the newest: a job that told of its progress for days has more."""

_encode = msgspec.json.Encoder().encode


class PastReply(Struct, kw_only=True, omit_defaults=True):
    """Either `code` and `message`, or what was asked for."""

    code: RefusalCode | None = None
    message: str = ""
    lsn: int | None = None
    """The last fact that had happened then."""
    job: Raw | UnsetType = UNSET
    status: Raw | UnsetType = UNSET
    events: Raw | UnsetType = UNSET
    complete_from: int | None = None


class Moment(NamedTuple):
    """A moment of the past: after the fact of this LSN, or at this time, milliseconds UTC. With neither it
    is the end of the log."""

    lsn: int | None = None
    at_ms: int | None = None

    def is_before(self, lsn: int, at_ms: int) -> bool:
        """Whether a fact of this LSN and time came later."""
        return (self.lsn is not None and self.lsn < lsn) or (self.at_ms is not None and self.at_ms < at_ms)


class Wish(NamedTuple):
    """What is asked: the state at a moment or one job of it; without a moment the life of the job."""

    job_id: str | None = None
    moment: Moment | None = None


def to_wish(request: HistoryRequest | PastRequest) -> Wish:
    """Check a question about the past.

    Raises:
        WireError: a value is not allowed; carries the request's id.
    """
    try:
        if isinstance(request, HistoryRequest):
            return Wish(check_id(request.job_id, "job_id"))
        if request.job_id is not None:
            check_id(request.job_id, "job_id")
        if (request.lsn is None) == (request.at is None):
            refuse(f"at: expected either lsn or at, got {'neither' if request.at is None else 'both'}")
        if request.lsn is not None:
            check_range(request.lsn, "lsn", 0, LSN_MAX)
        at_ms = None if request.at is None else check_time(request.at, "at")
        return Wish(request.job_id, Moment(request.lsn, at_ms))
    except WireError as error:
        error.request_id = request.id
        raise


def past_ok(re: str, reply: PastReply) -> Ok | Error:
    """The reply to a client."""
    if reply.code is not None:
        return Error(re=re, code=reply.code, message=reply.message)
    told = Ok(re=re)
    for name in ("lsn", "job", "status", "events", "complete_from"):
        value = getattr(reply, name)
        if value is not None and value is not UNSET:
            setattr(told, name, value)
    return told


def past_refused(code: RefusalCode, message: str) -> PastReply:
    """There is no such past."""
    return PastReply(code=code, message=message)


def past_job(lsn: int, view: JobView) -> PastReply:
    """A job as it was."""
    return PastReply(lsn=lsn, job=Raw(_encode(job_object(view))))


def past_status(status: Status, at_ms: int) -> PastReply:
    """The counts as they were. What is said of the server itself is not on record."""
    node = NodeView("", at_ms, draining=False, workers=0, sessions=0)
    return PastReply(lsn=status.lsn, status=Raw(_encode(status_object(status, node, at_ms))))


def past_life(facts: list[tuple[int, Fact]], complete_from: int) -> PastReply:
    """The life of a job, the newest part of a very long one."""
    if len(facts) > EVENTS_MAX:
        facts = facts[-EVENTS_MAX:]
        complete_from = facts[0][0]
    return PastReply(events=_list(event_json(lsn, fact) for lsn, fact in facts), complete_from=complete_from)


def read_past_reply(data: bytes) -> PastReply:
    """Read one back.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return msgspec.json.decode(data, type=PastReply)


def _list(texts: Iterable[bytes]) -> Raw:
    return Raw(b"[%b]" % b",".join(texts))
