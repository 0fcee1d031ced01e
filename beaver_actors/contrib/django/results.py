"""Jobs as Django shows them: what a server tells of a job, as a `TaskResult`. It asks nobody."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.utils import timezone
from django.utils.module_loading import import_string

from beaver_actors.client import AttemptFailure, JobInfo, JobState
from beaver_actors.contrib.django.tasks import (
    TaskError,
    TaskResult,
    TaskResultDoesNotExist,
    TaskResultStatus,
)

KIND: Final = "django.task"
"""The kind of all jobs that are Django tasks; which task, they say in their arguments."""

STATUS: Final = {
    JobState.SCHEDULED: TaskResultStatus.READY,
    JobState.PENDING: TaskResultStatus.READY,
    JobState.BLOCKED: TaskResultStatus.READY,
    JobState.IN_FLIGHT: TaskResultStatus.RUNNING,
    JobState.COMPLETED: TaskResultStatus.SUCCESSFUL,
    JobState.DEAD: TaskResultStatus.FAILED,
    JobState.CANCELLED: TaskResultStatus.FAILED,
}
"""Django has no word for waiting for another attempt; the errors so far tell of it."""


class JobEnded(Exception):
    """The `exception_class` of errors that no code of the task raised: it ran too long, its worker died, its
    arguments or its result did not fit. The traceback says which."""


def task_result(info: JobInfo, alias: str) -> Any:
    """A job as a `TaskResult`.

    Args:
        info: as the server shows it.
        alias: of the backend.

    Raises:
        TaskResultDoesNotExist: it is no Django task, or its function is not there any more.
    """
    if info.kind != KIND:
        raise TaskResultDoesNotExist(info.id)
    try:
        task = import_string(info.args["task"])
    except ImportError as error:
        raise TaskResultDoesNotExist(info.id) from error
    run_after = info.run_at if info.run_at > info.created_at and not info.errors else None
    result = TaskResult(
        task=task.using(
            priority=info.priority, queue_name=info.queue, run_after=_time(run_after), backend=alias
        ),
        id=info.id,
        status=STATUS[info.state],
        enqueued_at=_time(info.created_at),
        started_at=_time(info.started_at),
        finished_at=_time(info.finished_at),
        last_attempted_at=_time(info.started_at),
        args=info.args["args"],
        kwargs=info.args["kwargs"],
        backend=alias,
        errors=[_error(error) for error in info.errors],
        # The server remembers the worker of the latest attempt, and Django counts attempts by this list.
        worker_ids=[info.worker_id or ""] * info.attempt,
    )
    object.__setattr__(result, "_return_value", info.result)
    return result


def change(result: Any, **fields: Any) -> None:
    """Set fields of a `TaskResult`, which is frozen for all but its backend."""
    for name, value in fields.items():
        object.__setattr__(result, name, value)


def now() -> datetime:
    """The time, as Django's settings have times."""
    return timezone.now()  # type: ignore[no-any-return]  # Django has no types


def error_of(error: BaseException, traceback: str) -> Any:
    """An exception as a `TaskError`."""
    kind = type(error)
    return TaskError(exception_class_path=f"{kind.__module__}.{kind.__qualname__}", traceback=traceback)


def _error(failure: AttemptFailure) -> Any:
    path = _class_path(failure) or f"{JobEnded.__module__}.{JobEnded.__qualname__}"
    return TaskError(
        exception_class_path=path, traceback=failure.traceback or f"{failure.type}: {failure.message}"
    )


def _class_path(failure: AttemptFailure) -> str | None:
    """Where the exception's class is; the server has its name, and the last line of the traceback its
    module."""
    for line in reversed(failure.traceback.splitlines()):
        if found := re.match(r"((?:\w+\.)*)(\w+)(?::|$)", line):
            module, name = found.groups()
            if name == failure.type:
                path = (module or "builtins.") + name
                return path if _is_exception(path) else None
    return None


def _is_exception(path: str) -> bool:
    try:
        found = import_string(path)
    except ImportError:
        return False
    return isinstance(found, type) and issubclass(found, BaseException)


def _time(moment: datetime | None) -> datetime | None:
    if moment is None or settings.USE_TZ:
        return moment
    return timezone.make_naive(moment)  # type: ignore[no-any-return]  # as above
