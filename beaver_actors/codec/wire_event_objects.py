"""An event as the messages carry it, and what a subscriber asks for. Structs only."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Raw, Struct, UnsetType

from beaver_actors.codec.wire_fields import (
    JOB_IDS_MAX,
    KIND_PATTERN,
    QUEUE_PATTERN,
    TIME,
    EventName,
    JobId,
    Lsn,
    Time,
    about,
)
from beaver_actors.codec.wire_operation_objects import WantedObject
from beaver_actors.codec.wire_queue_objects import RulesObject
from beaver_actors.core.operation import OperationWord


class EventFilter(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which events a subscriber wants: those that fit every field given."""

    kind: Annotated[str | None, about("Only jobs of this kind.", pattern=KIND_PATTERN)] = None
    queue: Annotated[str | None, about("Only this queue.", pattern=QUEUE_PATTERN)] = None
    job_ids: Annotated[
        tuple[JobId, ...] | None, about("Only these jobs.", minItems=1, maxItems=JOB_IDS_MAX)
    ] = None
    events: Annotated[tuple[EventName, ...] | None, about("Only these events.", minItems=1)] = None


class EventError(Struct, kw_only=True):
    """job_failed, job_rescued, and job_died after an attempt: what went wrong."""

    type: str
    message: str
    traceback: str


class EventObject(Struct, kw_only=True, omit_defaults=True):
    """What has happened to one job, queue or schedule. Fields that an event does not have are left out."""

    lsn: Lsn
    event: EventName
    at: Time
    job_id: str | UnsetType = UNSET
    queue: Annotated[
        str | UnsetType, about("job_enqueued, job_moved, schedule_set, and events of a queue.")
    ] = UNSET
    kind: Annotated[str | UnsetType, about("job_enqueued, schedule_set.")] = UNSET
    priority: Annotated[int | UnsetType, about("job_enqueued.")] = UNSET
    tags: Annotated[tuple[str, ...] | UnsetType, about("job_enqueued, if it has any.")] = UNSET
    args: Annotated[Raw | UnsetType, about("job_enqueued.")] = UNSET
    run_at: Annotated[
        str | UnsetType, about("job_enqueued, job_failed, job_snoozed, job_retried, job_unblocked.", **TIME)
    ] = UNSET
    expires_at: Annotated[str | UnsetType, about("job_enqueued, if it has one.", **TIME)] = UNSET
    unique_key: Annotated[str | UnsetType, about("job_enqueued, schedule_set, if it has one.")] = UNSET
    depends_on: Annotated[tuple[str, ...] | UnsetType, about("job_enqueued, if it has parents.")] = UNSET
    on_parent_failure: Annotated[
        str | UnsetType, about("job_enqueued, if it has parents and shall run in any case: continue.")
    ] = UNSET
    blocked: Annotated[
        bool | UnsetType, about("job_retried: true if it has parents that have yet to end.")
    ] = UNSET
    concurrency_key: Annotated[str | UnsetType, about("job_enqueued, schedule_set, if it has one.")] = UNSET
    rules: Annotated[RulesObject | UnsetType, about("queue_configured: all that hold from now on.")] = UNSET
    declared: Annotated[
        tuple[str, ...] | UnsetType,
        about("queue_configured: the names of those that stand in the server's configuration, if any do."),
    ] = UNSET
    worker_id: Annotated[str | UnsetType, about("job_started.")] = UNSET
    deadline: Annotated[str | UnsetType, about("job_started, unless the job has no timeout.", **TIME)] = UNSET
    fence: Annotated[int | UnsetType, about("Events of an attempt: the lease it ran under.")] = UNSET
    progress: Annotated[Raw | UnsetType, about("job_progressed.")] = UNSET
    result: Annotated[Raw | UnsetType, about("job_completed; null for nothing.")] = UNSET
    error: EventError | UnsetType = UNSET
    reason: Annotated[
        str | UnsetType,
        about(
            "job_died, job_deleted, schedule_removed; job_cancelled, if nobody asked for it; schedule_fired, "
            "if no job came of it."
        ),
    ] = UNSET
    schedule: Annotated[
        str | UnsetType, about("schedule_set, schedule_removed, schedule_fired: its name.")
    ] = UNSET
    cron: Annotated[str | UnsetType, about("schedule_set, if it has one.")] = UNSET
    every: Annotated[int | float | UnsetType, about("schedule_set, if it has one: seconds.")] = UNSET
    tz: Annotated[str | UnsetType, about("schedule_set, with cron.")] = UNSET
    paused: Annotated[bool | UnsetType, about("schedule_set.")] = UNSET
    source: Annotated[str | UnsetType, about("schedule_set: request, code or config.")] = UNSET
    nominal_at: Annotated[
        str | UnsetType, about("schedule_fired: the time that had come; not if asked for by hand.", **TIME)
    ] = UNSET
    fired_job_id: Annotated[str | UnsetType, about("schedule_fired: the job that came of it.")] = UNSET
    times: Annotated[
        int | UnsetType,
        about("schedule_fired without a job: how many times of the schedule this is about, up to that one."),
    ] = UNSET
    operation: Annotated[str | UnsetType, about("operation_…: its id.")] = UNSET
    word: Annotated[OperationWord | UnsetType, about("operation_started.")] = UNSET
    wanted: Annotated[WantedObject | UnsetType, about("operation_started.")] = UNSET
    looked_at: Annotated[int | UnsetType, about("operation_advanced: in this step.")] = UNSET
    changed: Annotated[int | UnsetType, about("operation_advanced: in this step.")] = UNSET
    refused: Annotated[int | UnsetType, about("operation_advanced: in this step.")] = UNSET
    how: Annotated[str | UnsetType, about("operation_ended: completed or stopped.")] = UNSET
