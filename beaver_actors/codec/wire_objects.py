"""What the messages carry: jobs as asked for and as shown, queues, the status, events.

Structs only. `wire_*_messages` put them into messages; their values are checked in `wire_commands`.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from beaver_actors.codec.wire_fields import (
    ATTEMPTS_MAX,
    CONCURRENCY_KEY_CHARS_MAX,
    DELAYS_MAX,
    DURATION,
    ID_PATTERN,
    JOB_IDS_MAX,
    KIND_PATTERN,
    PARENTS_MAX,
    PRIORITY_MAX,
    QUEUE_PATTERN,
    TAGS_MAX,
    TIME,
    UNIQUE_KEY_CHARS_MAX,
    Args,
    EventName,
    JobId,
    Kind,
    Lsn,
    QueueName,
    Seconds,
    Tag,
    Time,
    UserMeta,
    about,
)
from beaver_actors.codec.wire_queue_objects import RulesObject
from beaver_actors.core.answers import BecauseReason, RefusalCode, WaitReason
from beaver_actors.core.job import (
    ON_CONFLICT,
    ON_PARENT_FAILURE,
    UNIQUE_UNTIL,
    EndReason,
    JobState,
    OnParentFailure,
    UniqueUntil,
)
from beaver_actors.core.operation import OperationState, OperationWord


class Polynomial(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="polynomial"
):
    """Wait n**exponent seconds + base, with jitter up to 10 s * (n + 1) more; n = 0 for the first retry."""

    exponent: Annotated[int | float, about("From 0 to 10.")] = 4
    base: Annotated[Seconds, about(DURATION)] = 15
    cap: Annotated[Seconds, about(f"No wait is longer. {DURATION}")] = "7d"
    jitter: bool = True


class Exponential(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="exponential"
):
    """Wait initial * factor**n, at most cap; with jitter evenly drawn between nothing and that."""

    initial: Annotated[Seconds, about(DURATION)] = 1
    factor: Annotated[int | float, about("From 1 to 100.")] = 2
    cap: Annotated[Seconds, about(f"No wait is longer. {DURATION}")] = "10m"
    jitter: bool = True


class Fixed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="fixed"):
    """Wait the same each time."""

    delay: Annotated[Seconds, about(DURATION)]


class Listed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag="list"):
    """Wait these in turn; the last one repeats."""

    delays: Annotated[tuple[Seconds, ...], about("Durations.", minItems=1, maxItems=DELAYS_MAX)]


BackoffRule: TypeAlias = Polynomial | Exponential | Fixed | Listed


class NewJobObject(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A job to be enqueued. What is left out follows the kind's own definition, if the server knows it, then
    the server's settings. Null means the same as leaving the field out, except for `timeout`."""

    kind: Kind
    args: Annotated[
        Raw | UnsetType, about("Named arguments for the handler: an object; {} if left out.", type="object")
    ] = UNSET
    id: Annotated[
        str | None,
        about(
            "Chosen by the client, which makes repeating the request harmless; the server makes a UUIDv7 if "
            "there is none.",
            pattern=ID_PATTERN,
        ),
    ] = None
    queue: Annotated[str | None, about('"default" if nothing says otherwise.', pattern=QUEUE_PATTERN)] = None
    priority: Annotated[
        int | None,
        about("Larger runs first; 0 if nothing says otherwise.", minimum=-PRIORITY_MAX, maximum=PRIORITY_MAX),
    ] = None
    run_at: Annotated[
        str | None, about("RFC 3339. Not before this time; a time in the past means now.", **TIME)
    ] = None
    delay: Annotated[Seconds | None, about(f"Not before this much later. {DURATION}")] = None
    max_attempts: Annotated[
        int | None, about("Runs in all; 25 if nothing says otherwise.", minimum=1, maximum=ATTEMPTS_MAX)
    ] = None
    timeout: Annotated[
        Seconds | UnsetType | None,
        about(
            "The longest one attempt may run; null for no limit; 30 minutes if nothing says otherwise. "
            + DURATION
        ),
    ] = UNSET
    backoff: Annotated[
        BackoffRule | None, about("The wait between failed attempts; polynomial if nothing says otherwise.")
    ] = None
    expires_at: Annotated[
        str | None, about("RFC 3339. A job that still waits then is dead, reason `expired`.", **TIME)
    ] = None
    unique_key: Annotated[
        str | None,
        about("At most one job holds a key at a time.", minLength=1, maxLength=UNIQUE_KEY_CHARS_MAX),
    ] = None
    unique_until: Annotated[
        str | None,
        about(
            "With unique_key: held until the job is finished (the default), until its first attempt has "
            "started, or for a window of time whatever becomes of it.",
            enum=list(UNIQUE_UNTIL),
        ),
    ] = None
    unique_for: Annotated[
        Seconds | None,
        about(f"With unique_key: held at most so long from now; a window needs one. {DURATION}"),
    ] = None
    on_conflict: Annotated[
        str | None,
        about(
            "With unique_key, if another job holds it: reject refuses all jobs of the message with "
            "not_unique (the default), return_existing answers with the id of that job, replace cancels that "
            "job if it still waits, and else rejects.",
            enum=list(ON_CONFLICT),
        ),
    ] = None
    depends_on: Annotated[
        tuple[JobId, ...] | None,
        about(
            "Its parents: jobs of this message or before. It is blocked until all of them have ended.",
            maxItems=PARENTS_MAX,
        ),
    ] = None
    on_parent_failure: Annotated[
        str | None,
        about(
            "With depends_on, if a parent dies, is cancelled or is deleted: cancel this job too (the "
            "default), or continue as if it had completed.",
            enum=list(ON_PARENT_FAILURE),
        ),
    ] = None
    retention: Annotated[
        Seconds | None,
        about(f"How long the finished job is kept; the server's rule if nothing says otherwise. {DURATION}"),
    ] = None
    concurrency_key: Annotated[
        str | None,
        about(
            "Jobs of one key take turns with those of others in their queue, and share the limits that the "
            "queue sets for each key.",
            minLength=1,
            maxLength=CONCURRENCY_KEY_CHARS_MAX,
        ),
    ] = None
    tags: Annotated[
        tuple[Tag, ...] | None,
        about("For filters.", maxItems=TAGS_MAX),
    ] = None
    meta: Annotated[
        Raw | UnsetType, about("Belongs to the user: an object of at most 16 KiB.", type="object")
    ] = UNSET


class EventFilter(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which events a subscriber wants: those that fit every field given."""

    kind: Annotated[str | None, about("Only jobs of this kind.", pattern=KIND_PATTERN)] = None
    queue: Annotated[str | None, about("Only this queue.", pattern=QUEUE_PATTERN)] = None
    job_ids: Annotated[
        tuple[JobId, ...] | None, about("Only these jobs.", minItems=1, maxItems=JOB_IDS_MAX)
    ] = None
    events: Annotated[tuple[EventName, ...] | None, about("Only these events.", minItems=1)] = None


class Receipt(Struct, kw_only=True):
    """A job that is accepted: now, or before (`duplicate`)."""

    id: Annotated[
        str,
        about(
            "The job's id; with on_conflict return_existing that of the job which holds the key.",
            pattern=ID_PATTERN,
        ),
    ]
    duplicate: bool
    lsn: Annotated[
        int | UnsetType,
        about(
            "The position of its job_enqueued, if some jobs of the message depend on others. Else new jobs "
            "have positions in a row, in their order, and that of the reply is the last."
        ),
    ] = UNSET


class ChangeObject(Struct, kw_only=True):
    """What a command did to one job or queue."""

    name: Annotated[str, about("The job's id, or the queue's name.")]
    changed: bool
    code: Annotated[RefusalCode | None, about("Why not, if it was not.")] = None
    state: Annotated[JobState | None, about("The job's state afterwards; null if it does not exist.")] = None


class ErrorObject(Struct, kw_only=True):
    """What went wrong in one attempt."""

    at: Time
    attempt: int
    type: str
    message: str
    traceback: str


class RelativeObject(Struct, kw_only=True):
    """A parent or a child of a job."""

    id: JobId
    kind: Annotated[str | None, about("Null, as the state, for a job that is gone.")]
    state: JobState | None


class JobObject(Struct, kw_only=True):
    """A job as it is shown. Durations are seconds."""

    id: JobId
    kind: Kind
    args: Args
    queue: QueueName
    priority: int
    state: JobState
    run_at: Time
    max_attempts: int
    timeout: int | float | None
    backoff: BackoffRule
    expires_at: Time | None
    retention: int | float | None
    unique_key: str | None = None
    unique_until: UniqueUntil | None = None
    unique_for: int | float | None = None
    depends_on: Annotated[list[JobId] | UnsetType, about("Its parents, if it has any.")] = UNSET
    on_parent_failure: Annotated[OnParentFailure | UnsetType, about("If it has parents.")] = UNSET
    parents: Annotated[
        list[RelativeObject] | UnsetType,
        about("In the reply to `get`, if it has any: the first thousand, in the order of depends_on."),
    ] = UNSET
    children: Annotated[
        list[RelativeObject] | UnsetType,
        about("In the reply to `get`, if it has any: the first thousand jobs that depend on it."),
    ] = UNSET
    children_count: Annotated[int | UnsetType, about("With children: how many there are in all.")] = UNSET
    concurrency_key: str | None = None
    tags: tuple[str, ...]
    meta: UserMeta
    created_at: Time
    started_at: Annotated[str | None, about("When the latest attempt started.", **TIME)]
    finished_at: Time | None
    attempt: Annotated[int, about("Starts so far.")]
    rescues: Annotated[int, about("Attempts that ended because a worker or the server died.")]
    fence: Annotated[int, about("The position of the latest lease; it only grows. 0 before the first.")]
    worker_id: str | None
    cancel_requested: bool
    reason: Annotated[
        EndReason | None,
        about("Why it is dead; or cancelled, if nobody asked for that."),
    ]
    waits_for: Annotated[WaitReason | None, about("Why it does not run now.")]
    progress: Annotated[Raw, about("What the handler last told; null for nothing.")]
    result: Annotated[Raw, about("What the handler returned; null for nothing.")]
    errors: list[ErrorObject]
    lsn: Annotated[int, about("The position of the latest event of this job.")]


class BecauseObject(Struct, kw_only=True):
    """One reason why a job does not run, or why it ended."""

    reason: BecauseReason
    text: Annotated[str, about("The same in half a sentence about the job.")]
    until: Annotated[
        str | None, about("When this ends by itself; null if it does not, or nobody knows.", **TIME)
    ]
    jobs: Annotated[tuple[str, ...], about("The jobs that it waits for, the first few of them.")]
    total: Annotated[int | None, about("How many there are; null if it waits for none.")]
    exact: Annotated[bool, about("False: there are more than `total`.")]
    names: Annotated[
        tuple[str, ...], about("What else it is about: queue, workers, or kinds that are served.")
    ]


class ExplanationObject(Struct, kw_only=True):
    """Why a job does not run, or why it ended."""

    job_id: JobId
    state: JobState
    text: Annotated[str, about("All of it in a sentence.")]
    because: Annotated[list[BecauseObject], about("The most stubborn reason first.")]


class WantedObject(Struct, kw_only=True):
    """Which jobs are meant: those that fit every condition that is not null."""

    state: JobState | None
    queue: str | None
    kind: str | None
    tag: str | None
    reason: str | None
    error_type: str | None
    created_after: Time | None
    created_before: Time | None
    finished_after: Time | None
    finished_before: Time | None


class OperationObject(Struct, kw_only=True):
    """An operation on many jobs."""

    id: JobId
    word: OperationWord
    wanted: WantedObject
    state: OperationState
    started_at: Time
    ended_at: Time | None
    looked_at: Annotated[int, about("Jobs that it has looked at.")]
    to_look_at: Annotated[int, about("Jobs that there were when it began; some may have gone since.")]
    changed: Annotated[int, about("Jobs that were put back, or deleted.")]
    refused: Annotated[int, about("Jobs that were not: their unique key is taken, or a parent has failed.")]


class QueueObject(Struct, kw_only=True):
    """One named queue."""

    paused: bool
    states: dict[JobState, int]
    oldest_pending_at: Annotated[
        str | None, about("Since when the job next in line may run; null if none waits.", **TIME)
    ]
    draining: Annotated[bool, about("It takes no new jobs until it is resumed.")] = False
    rules: RulesObject = msgspec.field(default_factory=RulesObject)
    declared: Annotated[
        tuple[str, ...] | UnsetType,
        about("The names of the rules that stand in the server's configuration, if any do."),
    ] = UNSET


class FleetObject(Struct, kw_only=True):
    """All workers on other machines."""

    workers: Annotated[int, about("Connected, and not suspect.")] = 0
    suspect: int = 0
    slots_free: Annotated[int, about("Jobs that the connected ones could take now.")] = 0
    in_flight: Annotated[int, about("Jobs that all of them hold.")] = 0


class StatusObject(Struct, kw_only=True):
    """The whole queue at one moment."""

    at: Time
    lsn: Lsn
    states: Annotated[dict[JobState, int], about("Jobs by state.")]
    queues: dict[str, QueueObject]
    totals: Annotated[dict[str, int], about("What has ever happened, by event; survives restarts.")]
    dead_reasons: Annotated[dict[str, int], about("Jobs that ever died, by reason.")]
    unknown_kinds: Annotated[dict[str, int], about("Pending jobs of kinds that no worker can run.")]
    storage_full: bool
    schedules: int = 0
    draining: bool
    version: str
    started_at: Annotated[str, about("When this server started.", **TIME)]
    workers: Annotated[int, about("Workers of the server itself, at work or ready.")]
    sessions: Annotated[int, about("Open connections.")]
    fleet: FleetObject = msgspec.field(default_factory=FleetObject)


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
