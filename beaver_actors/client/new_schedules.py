"""Schedules as Python says them to schedules as the wire carries them. Values are turned into JSON or
refused, never changed; whether the server allows them is the server's to say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Literal, TypedDict

from beaver_actors.client.arguments import duration, flag, text
from beaver_actors.client.new_jobs import BackoffLike, Duration, JobCall, JobOptions, asked_for
from beaver_actors.codec.wire_schedule_objects import NewScheduleObject, ScheduledJobObject
from beaver_actors.core.job import OnConflict, UniqueUntil
from beaver_actors.core.schedule import CatchUp, Overlap


class ScheduleOptions(TypedDict, total=False):
    """What may be said about a schedule beside its name and its jobs' kind and args; `Schedules.set` explains
    each."""

    cron: str | None
    every: Duration | None
    tz: str | None
    catch_up: CatchUp | None
    overlap: Overlap | None
    paused: bool | None
    queue: str | None
    priority: int | None
    timeout: Duration | Literal["none"] | None
    max_attempts: int | None
    backoff: BackoffLike | None
    retention: Duration | None
    expires_in: Duration | None
    unique_key: str | None
    unique_until: UniqueUntil | None
    unique_for: Duration | None
    on_conflict: OnConflict | None
    concurrency_key: str | None
    tags: Iterable[str] | None
    meta: Mapping[str, Any] | None


_OWN = ("cron", "every", "tz", "catch_up", "overlap", "paused")
_SHARED = tuple(field for field in ScheduledJobObject.__struct_fields__ if field != "expires_in")
_ONE_JOBS_OWN = ("run_at", "delay", "expires_at", "depends_on", "on_parent_failure")
"""What a call may bring and a schedule cannot carry."""


def new_schedule(
    name: str,
    kind: str | JobCall[Any],
    args: Mapping[str, Any] | None,
    options: ScheduleOptions,
) -> NewScheduleObject:
    """Describe a schedule; nothing is sent.

    Raises:
        TypeError, ValueError: a value cannot be carried; the text names the field.
    """
    given: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    own = {key: given.pop(key) for key in _OWN if key in given}
    if unknown := given.keys() - ScheduleOptions.__annotations__.keys():
        raise TypeError(f"{min(unknown)}: a schedule has no such option")
    for key, value in own.items():
        own[key] = (
            duration(key, value)
            if key == "every"
            else flag(key, value)
            if key == "paused"
            else text(key, value)
        )
    expires_in = given.pop("expires_in", None)
    if isinstance(expires_in, timedelta):
        expires_in = expires_in.total_seconds()
    job_options: JobOptions = given  # type: ignore[assignment]  # the others are gone
    job = asked_for(kind, args, job_options)
    for field in _ONE_JOBS_OWN:
        if getattr(job, field) is not None:
            raise TypeError(f"{field}: the jobs of a schedule have none")
    fields = {field: getattr(job, field) for field in _SHARED}
    return NewScheduleObject(
        name=text("name", name), job=ScheduledJobObject(**fields, expires_in=expires_in), **own
    )
