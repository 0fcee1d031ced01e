"""Django's tasks on beaver_actors, through Django's own interface: on a kit, and once on a real server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import django
import pytest
import trio

SITE = "examples.django_site.settings"
with pytest.MonkeyPatch.context() as _patch:
    # Django sets the time zone of the whole process; other tests have theirs back.
    _patch.setenv("TZ", "UTC")
    _patch.setenv("DJANGO_SETTINGS_MODULE", SITE)
    django.setup()
time.tzset()

from django.core.exceptions import ImproperlyConfigured  # noqa: E402  # needs Django set up
from django.test.utils import override_settings  # noqa: E402

from beaver_actors.client import BadRequest  # noqa: E402
from beaver_actors.contrib.django import BeaverBackend, JobEnded  # noqa: E402
from beaver_actors.contrib.django.tasks import (  # noqa: E402
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_enqueued,
    task_finished,
    task_started,
)
from beaver_actors.testing.kit import Kit, RealServer  # noqa: E402
from examples.django_site import tasks  # noqa: E402

WORKER = "beaver_actors.contrib.django.worker:app"
NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def time_zone_of_the_machine() -> Iterator[None]:
    """Changing Django's settings changes that of the process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        yield
    time.tzset()


@pytest.fixture
def kit() -> Iterator[Kit]:
    """A queue behind the site's backend."""
    kit = Kit(WORKER, now=NOON)
    backend = tasks.add.get_backend()
    backend.use(kit.client)
    yield kit
    backend.close()


def test_a_task_runs_and_its_result_is_found(kit: Kit) -> None:
    """From enqueue to return_value, and every field of the result on the way."""
    result = tasks.add.enqueue(2, y=3)
    assert (result.status, result.args, result.kwargs) == (TaskResultStatus.READY, [2], {"y": 3})
    assert (result.enqueued_at, result.started_at, result.attempts) == (NOON, None, 0)
    with pytest.raises(ValueError, match="has not finished"):
        _ = result.return_value
    kit.drain_queue()
    result.refresh()
    assert (result.status, result.return_value, result.is_finished) == (TaskResultStatus.SUCCESSFUL, 5, True)
    assert (result.started_at, result.finished_at, result.attempts) == (NOON, NOON, 1)
    assert tasks.add.get_result(result.id).return_value == 5
    assert result.task.func is tasks.add.func


def test_queue_priority_and_time_are_the_tasks_own(kit: Kit) -> None:
    """What the decorator says, what `using` says, and the order that follows."""
    tasks.add.enqueue(1)
    tasks.send.enqueue("ada@example.com")
    urgent = tasks.add.using(priority=50, run_after=NOON + timedelta(hours=1)).enqueue(2)
    plain, sent, last = kit.jobs()
    assert (plain.queue, plain.priority, plain.max_attempts, plain.retention) == ("default", 0, 1, 604_800)
    assert (sent.queue, sent.priority) == ("mail", 10)
    assert sent.tags == ("examples.django_site.tasks.send",)
    assert (last.priority, last.run_at) == (50, NOON + timedelta(hours=1))
    assert urgent.task.run_after == NOON + timedelta(hours=1)
    assert [ran.job_id for ran in kit.drain_queue()] == [sent.id, plain.id]
    kit.advance("1h")
    assert [ran.job_id for ran in kit.drain_queue()] == [urgent.id]


def test_a_failure_has_its_class_and_traceback(kit: Kit) -> None:
    """Of the task's own exception, and of what ends a job otherwise; Django's tasks are tried once."""
    failed = tasks.send.enqueue("nowhere")
    kit.drain_queue()
    failed.refresh()
    assert failed.status == TaskResultStatus.FAILED
    (error,) = failed.errors
    assert error.exception_class is tasks.NoSuchAddress
    assert "expected an address, got nowhere" in error.traceback
    with pytest.raises(ValueError, match="failed"):
        _ = failed.return_value
    wrong = tasks.add.enqueue("a", y=3)
    useless = tasks.useless.enqueue()
    kit.drain_queue()
    wrong.refresh()
    useless.refresh()
    assert wrong.errors[0].exception_class is TypeError
    assert useless.errors[0].exception_class is JobEnded
    assert "cannot be the job's result" in useless.errors[0].traceback


def test_coroutines_and_the_context_work(kit: Kit) -> None:
    """`async def` runs under asyncio, as Django means it; the context counts attempts."""
    waited, counted = tasks.wait.enqueue(0), tasks.attempts.enqueue()
    kit.drain_queue()
    assert tasks.wait.get_result(waited.id).return_value == "waited"
    assert tasks.attempts.get_result(counted.id).return_value == [1, counted.id]


def test_options_of_the_backend_are_for_all_its_jobs(kit: Kit) -> None:
    """More attempts with a back-off: between them the task is ready, and its errors tell of the one that
    failed."""
    backend = BeaverBackend(
        "default", {"OPTIONS": {"max_attempts": 2, "backoff": "1m", "timeout": "10s"}, "QUEUES": []}
    )
    backend.use(kit.client)
    result = backend.enqueue(tasks.send, ["nowhere"], {})
    kit.drain_queue()
    again = backend.get_result(result.id)
    assert (again.status, len(again.errors), again.backend) == (TaskResultStatus.READY, 1, "default")
    kit.settle()
    again = backend.get_result(result.id)
    assert (again.status, len(again.errors), again.attempts) == (TaskResultStatus.FAILED, 2, 2)
    (job,) = kit.jobs()
    assert job.timeout == 10


def test_from_asyncio(kit: Kit) -> None:
    """`aenqueue`, `aget_result`, `arefresh`, as an async view calls them."""

    async def view() -> Any:
        result = await tasks.add.aenqueue(2, 3)
        kit.drain_queue()
        await result.arefresh()
        assert (await tasks.add.aget_result(result.id)).return_value == 5
        return result.return_value

    assert asyncio.run(view()) == 5


def test_what_does_not_exist_is_told_so(kit: Kit) -> None:
    """An unknown id, an id that none can have, another program's job, a function that is gone, another
    task's."""
    other = kit.client.enqueue("demo.echo")
    gone = kit.client.enqueue(
        "django.task", {"task": "examples.django_site.tasks.gone", "args": [], "kwargs": {}}
    )
    for job_id in ("nobody", "no id", other.id, gone.id):
        with pytest.raises(TaskResultDoesNotExist):
            tasks.add.get_result(job_id)
    kit.drain_queue()
    assert (gone.status().reason, gone.status().errors[0].type) == ("rejected", "Reject")


def test_signals_are_sent(kit: Kit) -> None:
    """Django's three, with what is known at the time."""
    seen: list[tuple[str, str]] = []

    def receiver(name: str) -> Any:
        def receive(sender: Any, task_result: Any, **kwargs: Any) -> None:
            assert sender is BeaverBackend
            seen.append((name, task_result.status))

        return receive

    receivers = [receiver(name) for name in ("enqueued", "started", "finished")]
    signals = (task_enqueued, task_started, task_finished)
    for signal, one in zip(signals, receivers, strict=True):
        signal.connect(one)
    try:
        tasks.add.enqueue(1)
        kit.drain_queue()
        tasks.send.enqueue("nowhere")
        kit.drain_queue()
    finally:
        for signal, one in zip(signals, receivers, strict=True):
            signal.disconnect(one)
    assert seen == [
        ("enqueued", "READY"),
        ("started", "RUNNING"),
        ("finished", "SUCCESSFUL"),
        ("enqueued", "READY"),
        ("started", "RUNNING"),
        ("finished", "FAILED"),
    ]


@override_settings(USE_TZ=False, TIME_ZONE="Europe/Berlin")
def test_a_site_without_time_zones_gets_times_without_them(kit: Kit) -> None:
    """Local times in, local times out."""
    result = tasks.add.using(run_after=datetime(2027, 3, 1, 14)).enqueue(1)  # noqa: DTZ001  # that is the point
    assert kit.jobs()[0].run_at == NOON + timedelta(hours=1)
    assert result.task.run_after == datetime(2027, 3, 1, 14)  # noqa: DTZ001  # as above
    assert result.enqueued_at == datetime(2027, 3, 1, 13)  # noqa: DTZ001  # as above


def test_mistakes_in_the_settings_are_told() -> None:
    """Unknown options at once, impossible queues by `manage.py check`."""
    with pytest.raises(
        ImproperlyConfigured, match=r"TASKS\['x'\]: OPTIONS: expected none but .*, got retries"
    ):
        BeaverBackend("x", {"OPTIONS": {"retries": 3}})
    (error,) = BeaverBackend("x", {"QUEUES": ["a queue", "mail"]}).check()
    assert "queue 'a queue': expected" in error.msg
    assert tasks.add.get_backend().check() == []


def test_what_the_server_refuses_reaches_the_caller(kit: Kit) -> None:
    """Nothing is lost silently, and Django's own checks come first."""
    with pytest.raises(Exception, match=r"Queue 'elsewhere' is not valid for backend"):
        tasks.add.using(queue_name="elsewhere")
    with pytest.raises(TypeError, match="args: Encoding objects of type object"):
        tasks.add.enqueue(object())
    backend = BeaverBackend("x", {"OPTIONS": {"max_attempts": 0}})
    backend.use(kit.client)
    with pytest.raises(BadRequest, match="max_attempts"):
        backend.enqueue(tasks.add, [1], {})
    assert kit.jobs() == []


@pytest.mark.process
async def test_on_a_real_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a site runs: the server has the worker app, the site a connection; and the server is killed
    between."""
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", SITE)
    server = RealServer(tmp_path, WORKER)

    def site() -> None:
        server.start()
        backend = BeaverBackend("default", {"OPTIONS": {"url": server.url}, "QUEUES": []})
        slow = backend.enqueue(tasks.wait, [0.5], {})
        results = [backend.enqueue(tasks.add, [n], {}) for n in range(5)]
        server.crash()
        backend.client.wait_all([backend.client.job(result.id) for result in (slow, *results)], timeout=60)
        assert [backend.get_result(result.id).return_value for result in results] == list(range(5))
        assert backend.get_result(slow.id).return_value == "waited"
        backend.close()
        backend.close()

    try:
        await trio.to_thread.run_sync(site)
    finally:
        server.close()


def test_without_tasks_what_to_install_is_named() -> None:
    """The error of an old Django says what it needs."""
    missing = "import sys; sys.modules.update({'django.tasks': None, 'django_tasks': None}); "
    command = [sys.executable, "-c", f"{missing}import beaver_actors.contrib.django"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "pip install django-tasks" in done.stderr
