"""Requests about schedules. Structs only; `wire_schedules` checks the values."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from beaver_actors.codec.wire_fields import (
    ID_PATTERN,
    NEXT_MAX,
    SCHEDULE_PATTERN,
    RequestBase,
    ScheduleName,
    about,
)
from beaver_actors.codec.wire_schedule_objects import NewScheduleObject


class SetScheduleRequest(RequestBase, tag="set_schedule"):
    """Have this schedule from now on, or as this from now on. Reply: `changes` and `lsn`."""

    schedule: NewScheduleObject


class DeleteScheduleRequest(RequestBase, tag="delete_schedule"):
    """Forget this schedule; its jobs stay. Reply: `changes` and `lsn`."""

    name: ScheduleName


class PauseScheduleRequest(RequestBase, tag="pause_schedule"):
    """Let this schedule bring no more jobs. Reply: `changes` and `lsn`."""

    name: ScheduleName


class ResumeScheduleRequest(RequestBase, tag="resume_schedule"):
    """Let this schedule bring jobs again; what was due meanwhile is not made up for. Reply: `changes` and
    `lsn`."""

    name: ScheduleName


class TriggerScheduleRequest(RequestBase, tag="trigger_schedule"):
    """Bring a job of this schedule now, whether paused or not. Reply: `jobs`, one `Receipt`, and `lsn`."""

    name: ScheduleName
    job_id: Annotated[
        str | None,
        about("Chosen by the client, which makes repeating the request harmless.", pattern=ID_PATTERN),
    ] = None


class SchedulesRequest(RequestBase, tag="schedules"):
    """Show all schedules, or one. Reply: `schedules`."""

    name: Annotated[str | None, about("Only this one.", pattern=SCHEDULE_PATTERN)] = None
    next: Annotated[
        int,
        about("How many of the next times to show; more than one with a name.", minimum=0, maximum=NEXT_MAX),
    ] = 1


ScheduleRequest: TypeAlias = (
    SetScheduleRequest
    | DeleteScheduleRequest
    | PauseScheduleRequest
    | ResumeScheduleRequest
    | TriggerScheduleRequest
    | SchedulesRequest
)
