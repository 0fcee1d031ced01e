"""Requests to the commands that the job manager answers. Decides nothing: a request has one command."""

from __future__ import annotations

from typing import TypeAlias, assert_never

from beaver_actors.codec.ids import JobIds
from beaver_actors.codec.wire_checks import check_id, check_kind, check_queue, check_range, check_tag, refuse
from beaver_actors.codec.wire_decode import Limits
from beaver_actors.codec.wire_errors import WireError
from beaver_actors.codec.wire_fields import JOB_IDS_MAX, LSN_MAX, MOVED_MAX, PAGE_JOBS_MAX
from beaver_actors.codec.wire_job_messages import (
    CancelRequest,
    DeleteRequest,
    EnqueueRequest,
    ExplainRequest,
    GetRequest,
    ListRequest,
    RetryRequest,
)
from beaver_actors.codec.wire_jobs import Defaults, new_jobs
from beaver_actors.codec.wire_operation_messages import OperateRequest, OperationsRequest, StopRequest
from beaver_actors.codec.wire_operations import start_operation, wanted
from beaver_actors.codec.wire_queue_messages import (
    ConfigureRequest,
    DeleteQueueRequest,
    DrainRequest,
    MoveRequest,
    PauseRequest,
    ResumeRequest,
)
from beaver_actors.codec.wire_queues import configure
from beaver_actors.codec.wire_watch_messages import StatusRequest
from beaver_actors.core.commands import (
    Cancel,
    Command,
    Count,
    Delete,
    DeleteQueue,
    Drain,
    Enqueue,
    Explain,
    Get,
    List,
    ListOperations,
    Move,
    Pause,
    Resume,
    Retry,
    StopOperation,
)

CommandRequest: TypeAlias = (
    EnqueueRequest
    | GetRequest
    | ExplainRequest
    | ListRequest
    | StatusRequest
    | CancelRequest
    | RetryRequest
    | DeleteRequest
    | PauseRequest
    | ResumeRequest
    | OperateRequest
    | OperationsRequest
    | StopRequest
    | ConfigureRequest
    | DrainRequest
    | DeleteQueueRequest
    | MoveRequest
)
"""Requests that the job manager answers; the session itself answers the others."""


def to_command(request: CommandRequest, ids: JobIds, limits: Limits, defaults: Defaults) -> Command:
    """Turn a request into the command for the job manager.

    Args:
        request: as decoded.
        ids: makes ids for jobs that have none.
        limits: of the server.
        defaults: for jobs that do not say.

    Raises:
        WireError: a value is not allowed; carries the request's id.
    """
    try:
        return _command(request, ids, limits, defaults)
    except WireError as error:
        error.request_id = request.id
        raise


def _command(request: CommandRequest, ids: JobIds, limits: Limits, defaults: Defaults) -> Command:
    match request:
        case EnqueueRequest():
            return Enqueue(new_jobs(request.jobs, ids, limits, defaults))
        case GetRequest():
            return Get(check_id(request.job_id, "job_id"))
        case ExplainRequest():
            return Explain(check_id(request.job_id, "job_id"))
        case ListRequest():
            return _list(request)
        case StatusRequest():
            return Count()
        case CancelRequest():
            return Cancel(_job_ids(request.job_ids))
        case RetryRequest():
            return Retry(_job_ids(request.job_ids))
        case DeleteRequest():
            return Delete(_job_ids(request.job_ids))
        case PauseRequest():
            return Pause(check_queue(request.queue, "queue"))
        case ResumeRequest():
            return Resume(check_queue(request.queue, "queue"))
        case OperateRequest():
            return start_operation(request, ids)
        case OperationsRequest(operation_id=None):
            return ListOperations()
        case OperationsRequest(operation_id=operation_id):
            return ListOperations(check_id(operation_id or "", "operation_id"))
        case StopRequest():
            return StopOperation(check_id(request.operation_id, "operation_id"))
        case ConfigureRequest():
            return configure(check_queue(request.queue, "queue"), request.rules)
        case DrainRequest():
            return Drain(check_queue(request.queue, "queue"))
        case DeleteQueueRequest():
            return DeleteQueue(check_queue(request.queue, "queue"))
        case MoveRequest():
            return _move(request)
        case _:
            assert_never(request)


def _move(request: MoveRequest) -> Move:
    queue, to = check_queue(request.queue, "queue"), check_queue(request.to, "to")
    if request.kind is not None:
        check_kind(request.kind, "kind")
    if request.tag is not None:
        check_tag(request.tag, "tag")
    check_range(request.limit, "limit", 1, MOVED_MAX)
    if request.after is not None:
        check_range(request.after, "after", 0, LSN_MAX)
    return Move(queue, to, request.kind, request.tag, request.limit, request.after)


def _list(request: ListRequest) -> List:
    meant = wanted(request)
    check_range(request.limit, "limit", 1, PAGE_JOBS_MAX)
    if request.after is not None:
        check_range(request.after, "after", 0, LSN_MAX)
    return List(**meant._asdict(), limit=request.limit, after=request.after)


def _job_ids(job_ids: list[str]) -> tuple[str, ...]:
    if not 1 <= len(job_ids) <= JOB_IDS_MAX:
        refuse(f"job_ids: expected 1 to {JOB_IDS_MAX} ids, got {len(job_ids)}")
    return tuple(check_id(job_id, f"job_ids[{position}]") for position, job_id in enumerate(job_ids))
