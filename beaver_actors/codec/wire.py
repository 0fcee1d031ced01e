"""The messages of the wire protocol, version 1: one Struct per message, requests and replies.

This file alone says which messages and fields there are and what type each has. It checks no values
(`wire_commands`), reads no bytes (`wire_decode`) and fills in no answers (`wire_answers`). The client, the
server and `docs/asyncapi.yaml` all use these types.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias, get_args

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from beaver_actors.codec.wire_fields import (
    BATCH_EVENTS_MAX,
    DURATION,
    ERROR_TYPE_CHARS_MAX,
    ID_PATTERN,
    KIND_PATTERN,
    MOVED_MAX,
    NEXT_MAX,
    PAGE_JOBS_MAX,
    PID_MAX,
    QUEUE_PATTERN,
    REPORTS_MAX,
    SCHEDULE_PATTERN,
    TAG_CHARS_MAX,
    TIME,
    WORKER_KINDS_MAX,
    WORKER_QUEUES_MAX,
    WORKER_TEXT_CHARS_MAX,
    Fence,
    Fences,
    JobId,
    JobIds,
    Kind,
    Lsn,
    QueueName,
    RequestId,
    ScheduleName,
    Seconds,
    Slots,
    WorkerId,
    about,
)
from beaver_actors.codec.wire_objects import (
    ChangeObject,
    EventFilter,
    EventObject,
    NewJobObject,
    OperationObject,
    StatusObject,
)
from beaver_actors.codec.wire_queue_objects import RulesFields
from beaver_actors.codec.wire_schedule_objects import NewScheduleObject
from beaver_actors.codec.wire_worker_objects import (
    LeasedJobObject,
    ProgressObject,
    ReportObject,
    ReportReceipt,
    WorkerLimits,
)
from beaver_actors.core.answers import RefusalCode
from beaver_actors.core.job import DeadReason, JobState
from beaver_actors.core.operation import OperationWord

JSON_PROTOCOL = "beaver.v1+json"
"""WebSocket subprotocol: every message is one JSON object in a text message. Spoken if none is named."""
CBOR_PROTOCOL = "beaver.v1+cbor"
"""WebSocket subprotocol: every message is one CBOR map in a binary message."""


class _Request(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="type"):
    id: RequestId


class EnqueueRequest(_Request, tag="enqueue"):
    """Accept all these jobs or none. Reply: `jobs`, a `Receipt` for each in order, and `lsn`; it is sent when
    they are on disk."""

    jobs: Annotated[list[NewJobObject], about("1 to 1000 jobs, or as the server is configured.", minItems=1)]


class GetRequest(_Request, tag="get"):
    """Show one job. Reply: `job`."""

    job_id: JobId


class ExplainRequest(_Request, tag="explain"):
    """Say why a job does not run, or why it ended. Reply: `explanation`."""

    job_id: JobId


class ListRequest(_Request, tag="list"):
    """Show jobs, newest first. Reply: `jobs`, and `next`, to be given as `after` for the next page; null at
    the end. A page may be short, even empty, and yet have a next one."""

    state: JobState | None = None
    queue: Annotated[str | None, about("Only this queue.", pattern=QUEUE_PATTERN)] = None
    kind: Annotated[str | None, about("Only this kind.", pattern=KIND_PATTERN)] = None
    tag: Annotated[str | None, about("Only jobs with this tag.", maxLength=TAG_CHARS_MAX)] = None
    reason: Annotated[DeadReason | None, about("Only jobs dead for this reason.")] = None
    limit: Annotated[int, about("Most jobs on the page.", minimum=1, maximum=PAGE_JOBS_MAX)] = 50
    after: Annotated[int | None, about("`next` of the page before.", minimum=0)] = None
    error_type: Annotated[
        str | None,
        about("Only jobs whose latest error is of this type.", minLength=1, maxLength=ERROR_TYPE_CHARS_MAX),
    ] = None
    created_after: Annotated[str | None, about("Not enqueued before this time.", **TIME)] = None
    created_before: Annotated[str | None, about("Enqueued before this time.", **TIME)] = None
    finished_after: Annotated[str | None, about("Finished, and not before this time.", **TIME)] = None
    finished_before: Annotated[str | None, about("Finished before this time.", **TIME)] = None


class StatusRequest(_Request, tag="status"):
    """Show the counts of the whole queue. Reply: `status`."""


class SubscribeRequest(_Request, tag="subscribe"):
    """Push status or events from now on. Reply: `subscription`, the id that the pushes carry, and for events
    `lsn`, the position after which they begin."""

    topic: Literal["status", "events"]
    interval: Annotated[
        Seconds | None, about(f"status: the time between two pushes, 0.1 s to 1 h; 1 s if none. {DURATION}")
    ] = None
    from_lsn: Annotated[
        int | None, about("events: the first position wanted; from now on if there is none.", minimum=0)
    ] = None
    filter: Annotated[EventFilter | None, about("events: which ones.")] = None
    batch: Annotated[
        int | None,
        about(
            "events: if given, pushes are `events` messages of up to so many events each, far cheaper under "
            "load; else each event is an `event` message.",
            minimum=1,
            maximum=BATCH_EVENTS_MAX,
        ),
    ] = None


class UnsubscribeRequest(_Request, tag="unsubscribe"):
    """End a subscription. After the reply nothing more is pushed for it."""

    subscription: str


class CancelRequest(_Request, tag="cancel"):
    """Stop these jobs; a running one is asked to stop. Reply: `changes` and `lsn`."""

    job_ids: JobIds


class RetryRequest(_Request, tag="retry"):
    """Put these dead or cancelled jobs back. Reply: `changes` and `lsn`."""

    job_ids: JobIds


class DeleteRequest(_Request, tag="delete"):
    """Forget these jobs, unless they are running. Reply: `changes` and `lsn`."""

    job_ids: JobIds


class PauseRequest(_Request, tag="pause"):
    """Start no more jobs of this queue. Reply: `changes` and `lsn`."""

    queue: QueueName


class ResumeRequest(_Request, tag="resume"):
    """Start jobs of this queue again. Reply: `changes` and `lsn`."""

    queue: QueueName


class OperateRequest(_Request, tag="operate"):
    """Retry or delete all jobs that fit every condition, some at a time, beside everything else. It goes on
    after a crash. Meant are jobs that fit now and do not change before it reaches them. Reply: `operation`
    and `lsn`."""

    word: OperationWord
    operation_id: Annotated[
        str | None,
        about("Chosen by the client, which makes repeating the request harmless.", pattern=ID_PATTERN),
    ] = None
    state: Annotated[JobState | None, about("Jobs in this state; dead if there is none.")] = None
    queue: Annotated[str | None, about("Only this queue.", pattern=QUEUE_PATTERN)] = None
    kind: Annotated[str | None, about("Only this kind.", pattern=KIND_PATTERN)] = None
    tag: Annotated[str | None, about("Only jobs with this tag.", maxLength=TAG_CHARS_MAX)] = None
    reason: Annotated[DeadReason | None, about("Only jobs dead for this reason.")] = None
    error_type: Annotated[
        str | None,
        about("Only jobs whose latest error is of this type.", minLength=1, maxLength=ERROR_TYPE_CHARS_MAX),
    ] = None
    created_after: Annotated[str | None, about("Not enqueued before this time.", **TIME)] = None
    created_before: Annotated[str | None, about("Enqueued before this time.", **TIME)] = None
    finished_after: Annotated[str | None, about("Finished, and not before this time.", **TIME)] = None
    finished_before: Annotated[str | None, about("Finished before this time.", **TIME)] = None


class OperationsRequest(_Request, tag="operations"):
    """Show the operations that run and the last hundred that have ended, newest first. Reply:
    `operations`."""

    operation_id: Annotated[str | None, about("Only this one.", pattern=ID_PATTERN)] = None


class StopRequest(_Request, tag="stop"):
    """Go no further with an operation; what is done is done. Reply: `operation` and `lsn`."""

    operation_id: Annotated[str, about("The operation's id.", pattern=ID_PATTERN)]


class HistoryRequest(_Request, tag="history"):
    """Show the whole life of a job, deleted or not, as far as the log is kept. Reply: `events`, oldest first,
    and `complete_from`, the position from which on they are all there."""

    job_id: JobId


class PastRequest(_Request, tag="past"):
    """Show the status as it was at a moment, or one job as it was. One of `lsn` and `at` is given. Reply:
    `status` or `job`, and `lsn`, the last position of that moment."""

    lsn: Annotated[int | None, about("After the event at this position.", minimum=0)] = None
    at: Annotated[str | None, about("At this time.", **TIME)] = None
    job_id: Annotated[str | None, about("This job; else the status.", pattern=ID_PATTERN)] = None


class ConfigureRequest(_Request, tag="configure"):
    """Set rules of this queue: null takes one away, what is left out stays as it is. Reply: `changes` and
    `lsn`."""

    queue: QueueName
    rules: RulesFields


class DrainRequest(_Request, tag="drain"):
    """Take no new jobs for this queue until it is resumed, and go on working. Reply: `changes` and `lsn`."""

    queue: QueueName


class DeleteQueueRequest(_Request, tag="delete_queue"):
    """Forget a queue that holds no jobs, with its rules. Reply: `changes` and `lsn`."""

    queue: QueueName


class MoveRequest(_Request, tag="move"):
    """Let waiting jobs of this queue stand in another from now on, a bounded number of them. Reply: `moved`,
    how many; `next`, to be given as `after` to move more, null at the end; and `lsn`."""

    queue: QueueName
    to: QueueName
    kind: Annotated[str | None, about("Only jobs of this kind.", pattern=KIND_PATTERN)] = None
    tag: Annotated[str | None, about("Only jobs with this tag.", maxLength=TAG_CHARS_MAX)] = None
    limit: Annotated[int, about("Most jobs moved.", minimum=1, maximum=MOVED_MAX)] = MOVED_MAX
    after: Annotated[int | None, about("`next` of the reply before.", minimum=0)] = None


class RegisterRequest(_Request, tag="register"):
    """From now on this connection is that of a worker. Reply: `lease`, `heartbeat`, `limits`, and what it
    must know of the leases it names: `lost`, `cancel`, `overdue`."""

    worker_id: WorkerId
    kinds: Annotated[list[Kind], about("The kinds that it can run.", minItems=1, maxItems=WORKER_KINDS_MAX)]
    queues: Annotated[
        dict[QueueName, int] | None,
        about(
            "The queues it serves, each with a weight: how often it gets a turn among those of one priority. "
            "All queues if there is none.",
            minProperties=1,
            maxProperties=WORKER_QUEUES_MAX,
        ),
    ] = None
    slots: Slots = 0
    fences: Annotated[
        Fences, about("After a reconnect: what it runs, and what it has reported without an answer.")
    ] = []
    host: Annotated[str, about("For people.", maxLength=WORKER_TEXT_CHARS_MAX)] = ""
    pid: Annotated[int, about("For people.", minimum=0, maximum=PID_MAX)] = 0
    version: Annotated[str, about("For people.", maxLength=WORKER_TEXT_CHARS_MAX)] = ""


class ReadyRequest(_Request, tag="ready"):
    """The worker can hold so many jobs at the same time from now on; 0: no more, for it drains. Jobs come as
    `lease` pushes while it holds fewer. Reply: nothing but `ok`."""

    slots: Slots


class HeartbeatRequest(_Request, tag="heartbeat"):
    """The worker lives; these leases begin anew. Reply: `lost`, `cancel`, `overdue`."""

    fences: Annotated[Fences, about("What it runs, and what it has reported without an answer.")]


class ReportRequest(_Request, tag="report"):
    """How attempts ended, and how far others are. Reply: `reports`, a `ReportReceipt` for each in order; it
    is sent when they are on disk. A stale lease is told there, and changes nothing (P4)."""

    reports: Annotated[list[ReportObject], about("Outcomes.", maxItems=REPORTS_MAX)] = []
    progress: Annotated[list[ProgressObject], about("Progress.", maxItems=REPORTS_MAX)] = []


class DeregisterRequest(_Request, tag="deregister"):
    """The worker ends, and runs nothing any more: what it still holds goes back, without using an attempt."""


class SetScheduleRequest(_Request, tag="set_schedule"):
    """Have this schedule from now on, or as this from now on. Reply: `changes` and `lsn`."""

    schedule: NewScheduleObject


class DeleteScheduleRequest(_Request, tag="delete_schedule"):
    """Forget this schedule; its jobs stay. Reply: `changes` and `lsn`."""

    name: ScheduleName


class PauseScheduleRequest(_Request, tag="pause_schedule"):
    """Let this schedule bring no more jobs. Reply: `changes` and `lsn`."""

    name: ScheduleName


class ResumeScheduleRequest(_Request, tag="resume_schedule"):
    """Let this schedule bring jobs again; what was due meanwhile is not made up for. Reply: `changes` and
    `lsn`."""

    name: ScheduleName


class TriggerScheduleRequest(_Request, tag="trigger_schedule"):
    """Bring a job of this schedule now, whether paused or not. Reply: `jobs`, one `Receipt`, and `lsn`."""

    name: ScheduleName
    job_id: Annotated[
        str | None,
        about("Chosen by the client, which makes repeating the request harmless.", pattern=ID_PATTERN),
    ] = None


class SchedulesRequest(_Request, tag="schedules"):
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


class WorkersRequest(_Request, tag="workers"):
    """Show the workers on other machines. Reply: `workers`."""


Request: TypeAlias = (
    EnqueueRequest
    | GetRequest
    | ExplainRequest
    | ListRequest
    | StatusRequest
    | SubscribeRequest
    | UnsubscribeRequest
    | CancelRequest
    | RetryRequest
    | DeleteRequest
    | PauseRequest
    | ResumeRequest
    | OperateRequest
    | OperationsRequest
    | StopRequest
    | HistoryRequest
    | PastRequest
    | ConfigureRequest
    | DrainRequest
    | DeleteQueueRequest
    | MoveRequest
    | RegisterRequest
    | ReadyRequest
    | HeartbeatRequest
    | ReportRequest
    | DeregisterRequest
    | WorkersRequest
    | SetScheduleRequest
    | DeleteScheduleRequest
    | PauseScheduleRequest
    | ResumeScheduleRequest
    | TriggerScheduleRequest
    | SchedulesRequest
)


class Ok(Struct, kw_only=True, omit_defaults=True, tag_field="type", tag="ok"):
    """The request was done. Which fields there are depends on it; `wire_reply` reads the unread ones."""

    re: str
    lsn: Lsn | UnsetType = UNSET
    jobs: Annotated[Raw | UnsetType, about("enqueue, trigger_schedule: `Receipt`s; list: `JobObject`s.")] = (
        UNSET
    )
    next: Annotated[
        int | UnsetType | None, about("list, move: `after` of the next request; null at the end.")
    ] = UNSET
    job: Annotated[Raw | UnsetType, about("get: a `JobObject`.")] = UNSET
    explanation: Annotated[Raw | UnsetType, about("explain: an `ExplanationObject`.")] = UNSET
    status: Annotated[Raw | UnsetType, about("status: a `StatusObject`.")] = UNSET
    changes: list[ChangeObject] | UnsetType = UNSET
    events: Annotated[Raw | UnsetType, about("history: `EventObject`s.")] = UNSET
    complete_from: Lsn | UnsetType = UNSET
    operation: OperationObject | UnsetType = UNSET
    operations: list[OperationObject] | UnsetType = UNSET
    moved: Annotated[int | UnsetType, about("move: how many jobs.")] = UNSET
    subscription: str | UnsetType = UNSET
    lease: Annotated[
        int | float | UnsetType, about("register: seconds for which the worker may be silent.")
    ] = UNSET
    heartbeat: Annotated[
        int | float | UnsetType, about("register: seconds between two heartbeats, at most.")
    ] = UNSET
    limits: WorkerLimits | UnsetType = UNSET
    lost: Annotated[list[Fence] | UnsetType, about("register, heartbeat: leases that it does not hold.")] = (
        UNSET
    )
    cancel: Annotated[
        list[Fence] | UnsetType, about("register, heartbeat: attempts that someone wants stopped.")
    ] = UNSET
    overdue: Annotated[
        list[Fence] | UnsetType, about("register, heartbeat: attempts whose timeout has passed.")
    ] = UNSET
    reports: list[ReportReceipt] | UnsetType = UNSET
    workers: Annotated[Raw | UnsetType, about("workers: `WorkerObject`s.")] = UNSET
    schedules: Annotated[Raw | UnsetType, about("schedules: `ScheduleObject`s.")] = UNSET


class Error(Struct, kw_only=True, tag_field="type", tag="error"):
    """The request was refused, and nothing has changed."""

    re: Annotated[str | None, about("Null if the request's id could not be read.")]
    code: RefusalCode
    message: str
    retry_after: Annotated[int | float | None, about("Seconds after which it is worth another try.")] = None


class StatusPush(Struct, kw_only=True, tag_field="type", tag="status"):
    """The status, pushed to a subscriber."""

    subscription: str
    status: StatusObject


class EventPush(EventObject, kw_only=True, omit_defaults=True, tag_field="type", tag="event"):
    """One event, pushed to a subscriber without `batch`."""

    subscription: str


class EventsPush(Struct, kw_only=True, tag_field="type", tag="events"):
    """Events in order, pushed to a subscriber with `batch`."""

    subscription: str
    events: list[EventObject]


class GapPush(Struct, kw_only=True, tag_field="type", tag="gap", rename={"from_lsn": "from", "to_lsn": "to"}):
    """The events from `from` through `to` are gone for good; the next push goes on after them (P10)."""

    subscription: str
    from_lsn: Lsn
    to_lsn: Lsn


class LeasePush(Struct, kw_only=True, tag_field="type", tag="lease"):
    """Jobs for a worker to run."""

    jobs: list[LeasedJobObject]


class NoticePush(Struct, kw_only=True, omit_defaults=True, tag_field="type", tag="notice"):
    """What a worker should know of its leases at once; replies to heartbeats repeat it."""

    lost: Annotated[list[Fence], about("These are no longer its: stop, and do not report.")] = []
    cancel: Annotated[list[Fence], about("Someone wants these stopped.")] = []
    overdue: Annotated[
        list[Fence], about("The timeout of these has passed; they will be taken from it.")
    ] = []


WorkerPush: TypeAlias = LeasePush | NoticePush
Push: TypeAlias = StatusPush | EventPush | EventsPush | GapPush
Reply: TypeAlias = Ok | Error | StatusPush | EventPush | EventsPush | GapPush | LeasePush | NoticePush

WorkerRequest: TypeAlias = (
    RegisterRequest | ReadyRequest | HeartbeatRequest | ReportRequest | DeregisterRequest
)
"""What only workers say, on a connection that is theirs."""

REQUESTS: tuple[type[msgspec.Struct], ...] = get_args(Request)
REPLIES: tuple[type[msgspec.Struct], ...] = get_args(Reply)
