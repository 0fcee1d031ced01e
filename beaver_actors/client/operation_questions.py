"""What a client can ask about operations on many jobs: `questions.py` says what a question is."""

from __future__ import annotations

from msgspec import UNSET

from beaver_actors.client.arguments import (
    checked_id,
)
from beaver_actors.client.errors import ProtocolError
from beaver_actors.client.job_questions import JobFilter, conditions
from beaver_actors.client.new_jobs import new_id
from beaver_actors.client.questions import Question
from beaver_actors.client.views import (
    OperationInfo,
)
from beaver_actors.codec.wire import Ok
from beaver_actors.codec.wire_operation_messages import OperateRequest, OperationsRequest, StopRequest
from beaver_actors.core.operation import OperationWord


def operate(word: OperationWord, operation_id: str | None, wanted: JobFilter) -> Question[OperationInfo]:
    """Retry or delete all jobs that fit. It is named here, so that asking twice starts it once."""
    operation_id = new_id() if operation_id is None else checked_id(operation_id, "operation_id")
    return Question(
        OperateRequest(id="", word=word, operation_id=operation_id, **conditions(wanted)), _operation
    )


def stop(operation_id: str) -> Question[OperationInfo]:
    """Go no further with an operation."""
    return Question(StopRequest(id="", operation_id=checked_id(operation_id, "operation_id")), _operation)


def operations(operation_id: str | None = None) -> Question[tuple[OperationInfo, ...]]:
    """Show operations, or one."""
    if operation_id is not None:
        checked_id(operation_id, "operation_id")

    def read(ok: Ok) -> tuple[OperationInfo, ...]:
        if ok.operations is UNSET or (operation_id is not None and len(ok.operations) != 1):
            raise ProtocolError("the server did not show the operations")
        return tuple(ok.operations)

    return Question(OperationsRequest(id="", operation_id=operation_id), read)


def look_seconds(waited: float) -> float:
    """How long to wait before an operation is looked at again, after so many seconds: it is over in a moment,
    or takes minutes."""
    return min(1.0, max(0.05, waited / 4))


def _operation(ok: Ok) -> OperationInfo:
    if ok.operation is UNSET:
        raise ProtocolError("the server did not show the operation")
    return ok.operation
