"""Requests about schedules to commands, and schedules to what is shown of them.

Whether an expression ever fires, and whether a time zone is known, is judged here, by `almanac`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

import msgspec
from msgspec import Raw

from beaver_actors.almanac.timing import check_timing, next_times
from beaver_actors.codec.ids import JobIds
from beaver_actors.codec.wire import Ok
from beaver_actors.codec.wire_checks import (
    check_choice,
    check_duration,
    check_id,
    check_range,
    check_schedule,
    refuse,
)
from beaver_actors.codec.wire_decode import Limits
from beaver_actors.codec.wire_errors import WireError, explain
from beaver_actors.codec.wire_fields import NEXT_MAX
from beaver_actors.codec.wire_job_objects import NewJobObject
from beaver_actors.codec.wire_jobs import Defaults, backoff_object, new_jobs
from beaver_actors.codec.wire_schedule_messages import (
    DeleteScheduleRequest,
    PauseScheduleRequest,
    ResumeScheduleRequest,
    ScheduleRequest,
    SchedulesRequest,
    SetScheduleRequest,
    TriggerScheduleRequest,
)
from beaver_actors.codec.wire_schedule_objects import NewScheduleObject, ScheduledJobShown, ScheduleObject
from beaver_actors.codec.wire_times import TIME_MS_MAX, time_text
from beaver_actors.core.answers import Schedules, ScheduleView
from beaver_actors.core.commands import (
    Command,
    ListSchedules,
    PauseSchedule,
    RemoveSchedule,
    ResumeSchedule,
    SetSchedule,
    TriggerSchedule,
)
from beaver_actors.core.durations import seconds, shown
from beaver_actors.core.job import Extras
from beaver_actors.core.schedule import CATCH_UP, OVERLAP, Plan, ScheduleSource

_NO_IDS = JobIds(lambda: 0, lambda bits: 0)


def to_schedule_command(
    request: ScheduleRequest, wall_ms: int, ids: JobIds, limits: Limits, defaults: Defaults
) -> Command:
    """Turn a request about schedules into the command for the job manager.

    Args:
        request: as decoded.
        wall_ms: what the wall clock shows, milliseconds UTC.
        ids: makes the id of a job out of turn that was not given one.
        limits: of the server.
        defaults: for jobs that do not say.

    Raises:
        WireError: a value is not allowed; carries the request's id.
    """
    try:
        match request:
            case SetScheduleRequest():
                return new_schedule(request.schedule, wall_ms, limits, defaults)
            case DeleteScheduleRequest():
                return RemoveSchedule(check_schedule(request.name, "name"))
            case PauseScheduleRequest():
                return PauseSchedule(check_schedule(request.name, "name"))
            case ResumeScheduleRequest():
                return ResumeSchedule(check_schedule(request.name, "name"), wall_ms)
            case TriggerScheduleRequest():
                job_id = ids.take(1)[0] if request.job_id is None else check_id(request.job_id, "job_id")
                return TriggerSchedule(check_schedule(request.name, "name"), job_id)
            case SchedulesRequest():
                return _list(request)
            case _:
                assert_never(request)
    except WireError as error:
        error.request_id = request.id
        raise


def new_schedule(
    wanted: NewScheduleObject,
    wall_ms: int,
    limits: Limits,
    defaults: Defaults,
    source: ScheduleSource = "request",
    path: str = "schedule.",
) -> SetSchedule:
    """Check a schedule.

    Args:
        wanted: as decoded.
        wall_ms: what the wall clock shows, milliseconds UTC.
        limits: of the server.
        defaults: for jobs that do not say.
        source: who says so.
        path: how an error message names it.

    Raises:
        WireError: a value is not allowed, or it never fires.
    """
    try:
        name = check_schedule(wanted.name, "name")
        cron, every_ms, tz = check_timing(wanted.cron, wanted.every, wanted.tz)
        catch_up = check_choice(wanted.catch_up or "one", "catch_up", CATCH_UP)
        overlap = check_choice(wanted.overlap or "allow", "overlap", OVERLAP)
        fields = msgspec.structs.asdict(wanted.job)
        expires_in_ms = _lifetime(fields.pop("expires_in"))
        (job,) = new_jobs([NewJobObject(id="-", **fields)], _NO_IDS, limits, defaults, "job.")
    except WireError as error:
        raise WireError(error.code, path + error.message) from None
    except ValueError as error:
        raise WireError("bad_request", path + str(error)) from None
    extras = job.extras or Extras()
    plan = Plan(
        job.terms, job.args, cron, every_ms, tz, catch_up, overlap,
        expires_in_ms, extras.unique, job.on_conflict, extras.concurrency_key,
    )  # fmt: skip
    return SetSchedule(name, plan, wall_ms, wanted.paused, source)


def _lifetime(wanted: float | str | None) -> int | None:
    if wanted is None:
        return None
    expires_in_ms = check_duration(wanted, "job.expires_in")
    if not expires_in_ms:
        refuse(f"job.expires_in: expected more than 0, got {shown(wanted)}")
    return expires_in_ms


def read_schedule(name: object, fields: object) -> NewScheduleObject:
    """A schedule from the configuration, where it stands under its name, the fields of its jobs beside its
    own.

    Raises:
        ValueError: names the field, what was expected and what came.
    """
    if not isinstance(fields, Mapping):
        raise ValueError(f"{name}: expected a schedule, such as {{cron: 0 3 * * *, kind: report}}")
    own = {field for field in NewScheduleObject.__struct_fields__ if field not in ("name", "job")}
    job = {key: value for key, value in fields.items() if key not in own}
    outer = {key: value for key, value in fields.items() if key in own}
    raw: dict[str, Any] = {"name": name, "job": job, **outer}
    try:
        text = msgspec.json.encode(raw)
        wanted = msgspec.json.decode(text, type=NewScheduleObject)
    except msgspec.ValidationError as error:
        raise ValueError(f"{name}.{explain(str(error)).removeprefix('job.')}") from None
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise ValueError(f"{name}: {error}") from None
    return wanted


def check_read_schedule(wanted: NewScheduleObject) -> None:
    """Judge a schedule from the configuration, as far as that can be told without a server.

    Raises:
        ValueError: names the field, what was expected and what came.
    """
    try:
        new_schedule(wanted, 0, Limits(), Defaults(), "config", f"{wanted.name}.")
    except WireError as error:
        raise ValueError(error.message.replace(".job.", ".", 1)) from None


def _list(request: SchedulesRequest) -> ListSchedules:
    check_range(request.next, "next", 0, NEXT_MAX)
    if request.name is None:
        if request.next > 1:
            refuse(f"next: expected 0 or 1 without a name, got {request.next}")
        return ListSchedules()
    return ListSchedules(check_schedule(request.name, "name"))


class NextTimes:
    """The next times of schedules, each reckoned once while it lies ahead: hundreds are shown at once."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, int | None]] = {}
        """For each schedule, the revision it was reckoned for, and the time."""

    def of(self, view: ScheduleView, wall_ms: int, most: int) -> list[int]:
        """The next so many times of this schedule; none while it is paused."""
        if view.paused or not most:
            return []
        after_ms = max(wall_ms, view.through_ms)
        if most > 1:
            return next_times(view.plan, after_ms, most)
        revision, next_ms = self._known.get(view.name, (0, None))
        if revision != view.revision or (next_ms is not None and next_ms <= after_ms):
            next_ms = next(iter(next_times(view.plan, after_ms)), None)
            self._known[view.name] = view.revision, next_ms
        return [] if next_ms is None else [next_ms]

    def forget(self, names: frozenset[str]) -> None:
        """Keep what is known of these alone."""
        for name in self._known.keys() - names:
            del self._known[name]


def schedules_ok(request: SchedulesRequest, answer: Schedules, wall_ms: int, known: NextTimes) -> Ok:
    """The reply that shows schedules."""
    shown = [schedule_object(view, known.of(view, wall_ms, request.next)) for view in answer.schedules]
    if request.name is None:
        known.forget(frozenset(view.name for view in answer.schedules))
    return Ok(re=request.id, schedules=Raw(msgspec.json.encode(shown)))


def schedule_object(view: ScheduleView, next_ms: list[int]) -> ScheduleObject:
    """A schedule as it is shown, with its next times."""
    plan, terms, unique = view.plan, view.plan.terms, view.plan.unique
    job = ScheduledJobShown(
        kind=terms.kind,
        args=Raw(plan.args),
        queue=terms.queue,
        priority=terms.priority,
        max_attempts=terms.max_attempts,
        timeout=None if terms.timeout_ms is None else seconds(terms.timeout_ms),
        backoff=backoff_object(terms.backoff),
        retention=None if terms.retention_ms is None else seconds(terms.retention_ms),
        tags=terms.tags,
        meta=Raw(terms.meta or b"{}"),
        expires_in=None if plan.expires_in_ms is None else seconds(plan.expires_in_ms),
        unique_key=None if unique is None else unique.key,
        unique_until=None if unique is None else unique.until,
        unique_for=None if unique is None or unique.for_ms is None else seconds(unique.for_ms),
        on_conflict=None if unique is None else plan.on_conflict,
        concurrency_key=plan.concurrency_key,
    )
    return ScheduleObject(
        name=view.name,
        job=job,
        cron=plan.cron,
        every=None if plan.every_ms is None else seconds(plan.every_ms),
        tz=None if plan.cron is None else plan.tz,
        catch_up=plan.catch_up,
        overlap=plan.overlap,
        paused=view.paused,
        source=view.source,
        created_at=time_text(view.created_ms),
        next=[time_text(at_ms) for at_ms in next_ms if at_ms <= TIME_MS_MAX],
        fired=view.fired,
        skipped=view.skipped,
        last_at=None if view.last_ms is None else time_text(view.last_ms),
        last_job_id=view.last_job_id,
        last_job_state=view.last_job_state,
    )
