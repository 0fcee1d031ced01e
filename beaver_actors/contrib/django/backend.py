"""`BeaverBackend`: enqueues Django's tasks on a beaver_actors server, and looks their results up there."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.utils import timezone

from beaver_actors.client import DEFAULT_URL, BadRequest, NotFound, sync
from beaver_actors.codec.wire_fields import QUEUE_PATTERN, TAG_CHARS_MAX
from beaver_actors.contrib.django.results import KIND, task_result
from beaver_actors.contrib.django.tasks import (
    BaseTaskBackend,
    Task,
    TaskResultDoesNotExist,
    task_enqueued,
)

CONNECTION_OPTIONS: Final = frozenset({"url", "token", "timeout_seconds", "patience"})
JOB_OPTIONS: Final = frozenset({"max_attempts", "timeout", "backoff", "retention"})


class BeaverBackend(BaseTaskBackend):  # type: ignore[misc]  # Django has no types
    """A backend for the setting `TASKS`.

    `OPTIONS` may have `url` (ws://127.0.0.1:7440), `token`, `timeout_seconds` for one question to the server
    (30), `patience` for refusals that pass (0), and for jobs `max_attempts` (1: Django's own backends try
    once), `timeout`, `backoff` and `retention`, as `client.new_job` takes them.

    One connection serves all threads of a process. It is made when it is first needed, so a server that forks
    its workers needs no care. When the server is away, `enqueue` waits for it as long as `timeout_seconds`
    says.
    """

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        super().__init__(alias, params)
        unknown = set(self.options) - CONNECTION_OPTIONS - JOB_OPTIONS
        if unknown:
            known = ", ".join(sorted(CONNECTION_OPTIONS | JOB_OPTIONS))
            raise ImproperlyConfigured(
                f"TASKS[{alias!r}]: OPTIONS: expected none but {known}, got {', '.join(sorted(unknown))}"
            )
        self._job_options = {"max_attempts": 1} | {
            name: value for name, value in self.options.items() if name in JOB_OPTIONS
        }
        self._lock = threading.Lock()
        self._client: sync.Client | None = None
        self._process_id = 0

    @property
    def client(self) -> sync.Client:
        """The connection of this process. Raises ConnectFailed."""
        with self._lock:
            if self._client is None or self._process_id != os.getpid():
                self._client = sync.connect(
                    self.options.get("url", DEFAULT_URL),
                    token=self.options.get("token"),
                    timeout=self.options.get("timeout_seconds", 30.0),
                    patience=self.options.get("patience", 0.0),
                )
                self._process_id = os.getpid()
            return self._client

    def use(self, client: sync.Client) -> None:
        """Ask this client from now on, in this process: that of a testing kit, say. `close` ends it."""
        with self._lock:
            self._client, self._process_id = client, os.getpid()

    def close(self) -> None:
        """Hang up. The next question connects again."""
        with self._lock:
            if self._client is not None and self._process_id == os.getpid():
                self._client.close()
            self._client = None

    def enqueue(self, task: Task, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Hand in a task; when this returns, it is on the server's disk (P1).

        Raises:
            TypeError, ValueError: JSON cannot carry an argument.
            ClientError: the server refused it, or cannot be reached.
        """
        self.validate_task(task)
        path = f"{task.func.__module__}.{task.func.__qualname__}"
        run_after = task.run_after
        if run_after is not None and timezone.is_naive(run_after):
            run_after = timezone.make_aware(run_after)
        job = self.client.enqueue(
            KIND,
            {"task": path, "args": list(args), "kwargs": dict(kwargs)},
            queue=task.queue_name,
            priority=task.priority,
            run_at=run_after,
            tags=[path[-TAG_CHARS_MAX:]],
            **self._job_options,
        )
        result = task_result(job.status(), self.alias)
        task_enqueued.send(type(self), task_result=result)
        return result

    def get_result(self, result_id: str) -> Any:
        """Look a task up.

        Raises:
            TaskResultDoesNotExist: there is none, or not any more, or its function is gone.
        """
        try:
            info = self.client.get(result_id)
        except (NotFound, BadRequest) as error:
            raise TaskResultDoesNotExist(result_id) from error
        return task_result(info, self.alias)

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """What `manage.py check` says: names of queues that a server does not take."""
        expected = "expected 1 to 128 letters, digits or any of _.:-"
        return [
            checks.Error(f"TASKS[{self.alias!r}]: queue {queue!r}: {expected}")
            for queue in sorted(self.queues)
            if not re.fullmatch(QUEUE_PATTERN, queue)
        ]
