"""Outcomes: how an attempt ended, as its worker reports it. What follows from one is `decide`'s business."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from beaver_actors.core.job import JobError


class Succeeded(NamedTuple):
    """The handler returned; `result` is its value as JSON text, None for nothing."""

    result: bytes | None = None
    children: tuple[bytes, ...] = ()
    """Jobs that are to be enqueued with the completion, each as the JSON text that the protocol has for one.
    Whoever reports the outcome reads them (`Report.jobs`)."""


class Failed(NamedTuple):
    """The handler raised. `retry_in_ms` overrides the job's back-off where the handler named a time."""

    error: JobError
    retry_in_ms: int | None = None


class TimedOut(NamedTuple):
    """The attempt ran longer than its timeout and was stopped; it counts as a failure."""

    error: JobError


class Rejected(NamedTuple):
    """The handler says that no retry can help."""

    error: JobError


class Snoozed(NamedTuple):
    """The handler wants to be run again later; no attempt is used."""

    in_ms: int


class Stopped(NamedTuple):
    """The handler ended because it was asked to cancel."""


class Released(NamedTuple):
    """The lease is handed back: the node drains, or the attempt never began."""


class Crashed(NamedTuple):
    """The worker died under the job."""

    error: JobError


Outcome: TypeAlias = Succeeded | Failed | TimedOut | Rejected | Snoozed | Stopped | Released | Crashed
