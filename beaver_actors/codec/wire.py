"""The messages of the wire protocol, version 1: which there are, and the two replies that every request has.

The messages of one subject, one Struct each, are in the `wire_*_messages` beside it. They alone say which
fields there are and what type each has. Nothing here checks values (`wire_commands`), reads bytes
(`wire_decode`) or fills in answers (`wire_answers`). The client, the server and `docs/asyncapi.yaml` all use
these types.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias, get_args

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from beaver_actors.codec.wire_fields import Fence, Lsn, about
from beaver_actors.codec.wire_job_messages import (
    CancelRequest,
    DeleteRequest,
    EnqueueRequest,
    ExplainRequest,
    GetRequest,
    ListRequest,
    RetryRequest,
)
from beaver_actors.codec.wire_job_objects import ChangeObject
from beaver_actors.codec.wire_operation_messages import OperateRequest, OperationsRequest, StopRequest
from beaver_actors.codec.wire_operation_objects import OperationObject
from beaver_actors.codec.wire_queue_messages import (
    ConfigureRequest,
    DeleteQueueRequest,
    DrainRequest,
    MoveRequest,
    PauseRequest,
    ResumeRequest,
)
from beaver_actors.codec.wire_schedule_messages import (
    DeleteScheduleRequest,
    PauseScheduleRequest,
    ResumeScheduleRequest,
    SchedulesRequest,
    SetScheduleRequest,
    TriggerScheduleRequest,
)
from beaver_actors.codec.wire_watch_messages import (
    EventPush,
    EventsPush,
    GapPush,
    HistoryRequest,
    PastRequest,
    StatusPush,
    StatusRequest,
    SubscribeRequest,
    UnsubscribeRequest,
)
from beaver_actors.codec.wire_worker_messages import (
    DeregisterRequest,
    HeartbeatRequest,
    LeasePush,
    NoticePush,
    ReadyRequest,
    RegisterRequest,
    ReportRequest,
    WorkersRequest,
)
from beaver_actors.codec.wire_worker_objects import ReportReceipt, WorkerLimits
from beaver_actors.core.answers import RefusalCode

JSON_PROTOCOL = "beaver.v1+json"
"""WebSocket subprotocol: every message is one JSON object in a text message. Spoken if none is named."""
CBOR_PROTOCOL = "beaver.v1+cbor"
"""WebSocket subprotocol: every message is one CBOR map in a binary message."""

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
    """The request was done. Which fields there are depends on it; `wire_oks` says which."""

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


Push: TypeAlias = StatusPush | EventPush | EventsPush | GapPush
Reply: TypeAlias = Ok | Error | StatusPush | EventPush | EventsPush | GapPush | LeasePush | NoticePush

REQUESTS: tuple[type[msgspec.Struct], ...] = get_args(Request)
REPLIES: tuple[type[msgspec.Struct], ...] = get_args(Reply)
