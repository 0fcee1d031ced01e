"""The reply `ok` of each request, spelled out.

`wire.Ok` is what one reads before knowing which request a reply belongs to; these are what it then turns out
to be. The schema in `docs/asyncapi.yaml` is made of them; a test holds a real server's replies against them.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from beaver_actors.codec.wire_event_objects import EventObject
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
from beaver_actors.codec.wire_job_objects import ChangeObject, ExplanationObject, JobObject, Receipt
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
from beaver_actors.codec.wire_schedule_objects import ScheduleObject
from beaver_actors.codec.wire_status_objects import StatusObject
from beaver_actors.codec.wire_watch_messages import (
    HistoryRequest,
    PastRequest,
    StatusRequest,
    SubscribeRequest,
    UnsubscribeRequest,
)
from beaver_actors.codec.wire_worker_messages import (
    DeregisterRequest,
    HeartbeatRequest,
    ReadyRequest,
    RegisterRequest,
    ReportRequest,
    WorkersRequest,
)
from beaver_actors.codec.wire_worker_objects import ReportReceipt, WorkerLimits, WorkerObject


class _Ok(Struct, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="ok"):
    re: Annotated[str, about("The `id` of the request.")]


class EnqueueOk(_Ok):
    """All jobs are accepted and on disk."""

    jobs: Annotated[list[Receipt], about("One for each job of the request, in order.")]
    lsn: Lsn


class GetOk(_Ok):
    """The job."""

    job: JobObject


class ExplainOk(_Ok):
    """Why the job does not run, or why it ended."""

    explanation: ExplanationObject


class ListOk(_Ok):
    """A page of jobs, newest first."""

    jobs: list[JobObject]
    next: Annotated[int | None, about("`after` for the next page; null at the end.")]


class StatusOk(_Ok):
    """The status."""

    status: StatusObject


class StatusSubscribeOk(_Ok):
    """The status will be pushed."""

    subscription: str


class EventsSubscribeOk(_Ok):
    """Events will be pushed, beginning with the one after `lsn`."""

    subscription: str
    lsn: Lsn


class UnsubscribeOk(_Ok):
    """Nothing more is pushed for it."""

    subscription: str


class ChangesOk(_Ok):
    """What was done, on disk."""

    changes: Annotated[list[ChangeObject], about("One for each name in the request, in order.")]
    lsn: Lsn


class OperationOk(_Ok):
    """The operation as it stands, on disk."""

    operation: OperationObject
    lsn: Lsn


class OperationsOk(_Ok):
    """Operations, newest first."""

    operations: list[OperationObject]


class HistoryOk(_Ok):
    """The life of a job."""

    events: list[EventObject]
    complete_from: Annotated[int, about("All events from this position on are there.")]


class PastStatusOk(_Ok):
    """The status as it was; what it says of the server itself means nothing."""

    status: StatusObject
    lsn: Lsn


class PastJobOk(_Ok):
    """The job as it was."""

    job: JobObject
    lsn: Lsn


class MovedOk(_Ok):
    """The jobs stand in the other queue, on disk."""

    moved: Annotated[int, about("How many.")]
    next: Annotated[int | None, about("`after` to move more; null at the end.")]
    lsn: Lsn


class HeartbeatOk(_Ok):
    """The leases named begin anew, but for those that are lost."""

    lost: Annotated[list[Fence], about("Leases that the worker named and does not hold.")]
    cancel: Annotated[list[Fence], about("Attempts that someone wants stopped.")]
    overdue: Annotated[
        list[Fence],
        about("Attempts whose timeout has passed; they will be taken from the worker at their deadline."),
    ]


class RegisterOk(HeartbeatOk):
    """The worker is registered on this connection."""

    lease: Annotated[int | float, about("Seconds for which it may be silent before its jobs go to others.")]
    heartbeat: Annotated[int | float, about("Seconds between two heartbeats, at most.")]
    limits: WorkerLimits


class DoneOk(_Ok):
    """It is done."""


class ReportOk(_Ok):
    """The reports are judged, and what was recorded is on disk."""

    reports: Annotated[list[ReportReceipt], about("One for each report, in order; none for progress.")]


class WorkersOk(_Ok):
    """The workers on other machines."""

    workers: list[WorkerObject]


class SchedulesOk(_Ok):
    """The schedules, by name."""

    schedules: list[ScheduleObject]


OKS: dict[type[Struct], tuple[type[Struct], ...]] = {
    EnqueueRequest: (EnqueueOk,),
    GetRequest: (GetOk,),
    ExplainRequest: (ExplainOk,),
    ListRequest: (ListOk,),
    StatusRequest: (StatusOk,),
    SubscribeRequest: (StatusSubscribeOk, EventsSubscribeOk),
    UnsubscribeRequest: (UnsubscribeOk,),
    CancelRequest: (ChangesOk,),
    RetryRequest: (ChangesOk,),
    DeleteRequest: (ChangesOk,),
    PauseRequest: (ChangesOk,),
    ResumeRequest: (ChangesOk,),
    OperateRequest: (OperationOk,),
    OperationsRequest: (OperationsOk,),
    StopRequest: (OperationOk,),
    HistoryRequest: (HistoryOk,),
    PastRequest: (PastStatusOk, PastJobOk),
    ConfigureRequest: (ChangesOk,),
    DrainRequest: (ChangesOk,),
    DeleteQueueRequest: (ChangesOk,),
    MoveRequest: (MovedOk,),
    RegisterRequest: (RegisterOk,),
    ReadyRequest: (DoneOk,),
    HeartbeatRequest: (HeartbeatOk,),
    ReportRequest: (ReportOk,),
    DeregisterRequest: (DoneOk,),
    WorkersRequest: (WorkersOk,),
    SetScheduleRequest: (ChangesOk,),
    DeleteScheduleRequest: (ChangesOk,),
    PauseScheduleRequest: (ChangesOk,),
    ResumeScheduleRequest: (ChangesOk,),
    TriggerScheduleRequest: (EnqueueOk,),
    SchedulesRequest: (SchedulesOk,),
}
"""What answers each request that was granted."""
