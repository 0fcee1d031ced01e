"""The app that runs Django's tasks: `DJANGO_SETTINGS_MODULE=site.settings beaver run --app
beaver_actors.contrib.django.worker:app`.

Each task runs in a thread, as a request does. Importing this sets Django up.
"""

from __future__ import annotations

import traceback
from typing import Any

import django
from django.utils.module_loading import import_string

from beaver_actors.execute.app import App
from beaver_actors.execute.context import Context, Reject

django.setup()

from django.db import close_old_connections  # noqa: E402  # needs Django set up, as do those below

from beaver_actors.contrib.django.backend import BeaverBackend  # noqa: E402
from beaver_actors.contrib.django.results import KIND, change, error_of, now  # noqa: E402
from beaver_actors.contrib.django.tasks import (  # noqa: E402
    TaskContext,
    TaskResult,
    TaskResultStatus,
    task_finished,
    task_started,
)

app = App("django")


@app.job(KIND)
def run_task(context: Context, task: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Run one attempt of a task, with Django's signals around it."""
    try:
        found = import_string(task)
    except ImportError as error:
        raise Reject(f"the task {task} is not there: {error}") from error
    close_old_connections()
    result = _result(context, found, args, kwargs)
    task_started.send(BeaverBackend, task_result=result)
    try:
        given = [TaskContext(task_result=result), *args] if found.takes_context else args
        returned = found.call(*given, **kwargs)
    except BaseException as error:
        told = error_of(error, "".join(traceback.format_exception(error)))
        change(result, status=TaskResultStatus.FAILED, finished_at=now(), errors=[told])
        task_finished.send(BeaverBackend, task_result=result)
        raise
    else:
        change(result, status=TaskResultStatus.SUCCESSFUL, finished_at=now(), _return_value=returned)
        task_finished.send(BeaverBackend, task_result=result)
        return returned
    finally:
        close_old_connections()


def _result(context: Context, task: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """The task as it is seen while it runs."""
    began = now()
    return TaskResult(
        task=task,
        id=context.job_id,
        status=TaskResultStatus.RUNNING,
        enqueued_at=None,
        started_at=began,
        finished_at=None,
        last_attempted_at=began,
        args=args,
        kwargs=kwargs,
        backend=task.backend,
        errors=[],
        worker_ids=["beaver"] * context.attempt,
    )
