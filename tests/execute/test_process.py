"""Tests of isolation "process": real worker processes, started, killed and left to die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from beaver_actors.core.job import JobError
from beaver_actors.core.outcome import (
    Crashed,
    Failed,
    Outcome,
    Rejected,
    Released,
    Snoozed,
    Stopped,
    Succeeded,
    TimedOut,
)
from beaver_actors.execute.control import Control
from beaver_actors.execute.outcomes import Limits
from tests.execute.hostile import HOSTILE
from tests.execute.support import attempt, processes, write_app

pytestmark = pytest.mark.process

APP = """
import fcntl

@app.job("pid", isolation="process")
def pid() -> int:
    return os.getpid()

@app.job("add", isolation="process")
def add(x: int, y: int = 1) -> int:
    return x + y

@app.job("async_add", isolation="process")
async def async_add(context: Context, x: int) -> int:
    await trio.sleep(0)
    return x + context.attempt

@app.job("snooze", isolation="process")
def snooze() -> None:
    raise Snooze("5s")

@app.job("fail", isolation="process")
def fail() -> None:
    raise ValueError("on purpose")

@app.job("noisy", isolation="process")
def noisy() -> str:
    print("to standard output")
    os.write(1, b"straight to descriptor 1\\n")
    subprocess.run(["echo", "from another program"])
    print("to standard error", file=sys.stderr)
    return sys.stdin.read()

@app.job("progress", isolation="process")
def progress(context: Context) -> None:
    for percent in range(101):
        context.progress(percent)

@app.job("segfault", isolation="process")
def segfault() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)

@app.job("exit", isolation="process")
def leave() -> None:
    os._exit(3)

@app.job("close", isolation="process")
def close() -> None:
    for descriptor in range(3, 30):
        try:
            if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
                os.close(descriptor)
        except OSError:
            pass
    threading.Event().wait()

@app.job("garble", isolation="process")
def garble() -> None:
    for descriptor in range(3, 30):
        try:
            os.write(descriptor, b"\\x00\\x00\\x00\\x05hello" * 10)
        except OSError:
            pass
    threading.Event().wait()

@app.job("stuck", isolation="process")
def stuck(context: Context) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    context.progress(data=[os.getpid(), child.pid])
    threading.Event().wait()

@app.job("async_stuck", isolation="process")
async def async_stuck(context: Context) -> None:
    context.progress(1)
    await trio.sleep_forever()

@app.job("polite", isolation="process")
def polite(context: Context) -> None:
    context.progress(1)
    while True:
        context.check_cancelled()

@app.job("finishes", isolation="process")
def finishes(context: Context) -> str:
    context.progress(1)
    while not context.cancelled:
        pass
    return "just about"

@app.job("large", isolation="process")
def large(size: int) -> str:
    return "x" * size

@app.job("leaves_child", isolation="process")
def leaves_child(context: Context) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    context.progress(data=[child.pid])
    os._exit(0)

@app.job("forked", isolation="process")
def forked(context: Context) -> None:
    pid = os.fork()
    if pid == 0:
        os.setsid()
        threading.Event().wait(600)
        os._exit(0)
    context.progress(data=[pid])
    os._exit(0)

@app.job("terminated", isolation="process")
def terminated() -> int:
    os.kill(os.getpid(), signal.SIGTERM)
    pid = os.fork()
    if pid == 0:
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(9)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    return write_app(tmp_path, monkeypatch, "process_tasks", APP)


class Watch:
    """Notes progress, and acts on the first word of it, when the handler is known to be running."""

    def __init__(self, act: Any = None) -> None:
        self.words: list[Any] = []
        self._act = act

    def __call__(self, progress: bytes) -> None:
        if not self.words and self._act is not None:
            self._act()
        self.words.append(msgspec.json.decode(progress))

    @property
    def pids(self) -> list[int]:
        pids: list[int] = self.words[0]["data"]
        return pids


async def until_gone(pid: int) -> None:
    """Wait until a process that is no child of ours has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        with trio.fail_after(20):
            await trio.lowlevel.wait_readable(descriptor)
    finally:
        os.close(descriptor)


async def test_a_plain_function_runs_in_another_process(app: str) -> None:
    """Arguments go there, the value comes back; the same process is used again."""
    async with processes(app) as workers:
        assert await workers.run(attempt("add", x=1)) == Succeeded(b"2")
        first = await workers.run(attempt("pid"))
        assert isinstance(first, Succeeded)
        assert first.result is not None
        assert int(first.result) != os.getpid()
        assert await workers.run(attempt("pid")) == first
        assert workers.pool.processes == 1


async def test_a_job_that_changes_the_directory_hides_the_app_from_no_later_process(
    app: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory is changed between the start of the pool and that of its first process."""
    async with processes(app) as workers:
        monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
        assert await workers.run(attempt("add", x=1)) == Succeeded(b"2")


async def test_an_async_function_runs_under_trio_there(app: str) -> None:
    """With its Context."""
    async with processes(app) as workers:
        assert await workers.run(attempt("async_add", 5, x=1)) == Succeeded(b"6")


async def test_errors_verdicts_and_bad_arguments_mean_the_same_there(app: str) -> None:
    """The outcome does not depend on where the function runs."""
    async with processes(app) as workers:
        assert await workers.run(attempt("snooze")) == Snoozed(5000)
        failed = await workers.run(attempt("fail"))
        assert isinstance(failed, Failed)
        assert (failed.error.type, failed.error.message) == ("ValueError", "on purpose")
        assert "process_tasks.py" in failed.error.traceback
        assert "beaver_actors" not in failed.error.traceback
        rejected = await workers.run(attempt("add", x="1"))
        assert rejected == Rejected(JobError("BadArguments", "argument 'x': expected int, got str"))


async def test_no_exception_there_gets_out_or_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hostile ones, one after another in the same process."""
    source = (
        (Path(__file__).parent / "hostile.py").read_text().replace("from __future__ import annotations", "")
    )
    body = "for function in HOSTILE:\n    app.job(function.__name__, isolation='process')(function)\n"
    spec = write_app(tmp_path, monkeypatch, "hostile_tasks", source + body)
    async with processes(spec) as workers:
        for fail in HOSTILE:
            assert isinstance(await workers.run(attempt(fail.__name__)), Failed), fail
        assert workers.pool.processes == 1


async def test_what_a_handler_prints_goes_to_standard_error(
    app: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """By every way of printing; and its standard input is empty."""
    async with processes(app) as workers:
        assert await workers.run(attempt("noisy")) == Succeeded(b'""')
    seen = capfd.readouterr()
    assert seen.out == ""
    for line in (
        "to standard output\n",
        "straight to descriptor 1\n",
        "from another program\n",
        "to standard error\n",
    ):
        assert line in seen.err


async def test_progress_comes_from_a_process(app: str) -> None:
    """The last word always, before the outcome."""
    watch = Watch()
    async with processes(app) as workers:
        assert await workers.run(attempt("progress"), report=watch) == Succeeded(None)
    assert watch.words[0] == {"percent": 0}
    assert watch.words[-1] == {"percent": 100}


async def test_a_process_that_dies_under_a_job_is_told_with_its_signal_or_status(app: str) -> None:
    """P12: each death is that job's alone; the next one gets a new process."""
    async with processes(app) as workers:
        killed = await workers.run(attempt("demo.crash"))
        assert killed == Crashed(
            JobError("WorkerDied", "the worker process of this job ended by SIGKILL", "")
        )
        segfault = await workers.run(attempt("segfault"))
        assert isinstance(segfault, Crashed)
        assert segfault.error.message == "the worker process of this job ended by SIGSEGV"
        assert "in segfault" in segfault.error.traceback
        left = await workers.run(attempt("exit"))
        assert isinstance(left, Crashed)
        assert left.error.message == "the worker process of this job ended by exit status 3"
        assert await workers.run(attempt("add", x=1)) == Succeeded(b"2")


async def test_a_process_that_falls_silent_or_talks_nonsense_is_killed(app: str) -> None:
    """P12: a handler that closes or writes to descriptors that are not its own."""
    async with processes(app) as workers:
        silent = await workers.run(attempt("close"))
        assert isinstance(silent, Crashed)
        assert "closed its connection to the server and was killed" in silent.error.message
        nonsense = await workers.run(attempt("garble"))
        assert isinstance(nonsense, Crashed)
        assert "said what is no message, and was killed" in nonsense.error.message
        assert await workers.run(attempt("add", x=1)) == Succeeded(b"2")


async def test_what_a_dead_process_had_started_ends_with_it(app: str) -> None:
    """The whole group is killed, so that nothing of a lost attempt runs beside the next one."""
    watch = Watch()
    async with processes(app) as workers:
        assert isinstance(await workers.run(attempt("leaves_child"), report=watch), Crashed)
        await until_gone(watch.pids[0])


async def test_a_descendant_that_keeps_the_pipe_open_does_not_hide_the_death(app: str) -> None:
    """It has left the group, so it lives on; the job is told all the same."""
    watch = Watch()
    async with processes(app) as workers:
        died = await workers.run(attempt("forked"), report=watch)
        assert isinstance(died, Crashed)
        assert "ended by exit status 0" in died.error.message
    os.kill(watch.pids[0], signal.SIGKILL)


async def test_a_handler_that_sees_its_time_out_has_timed_out(app: str) -> None:
    """Before anyone came to end it: it looks all the time, so it is the first to know."""
    async with processes(app) as workers:
        outcome = await workers.run(attempt("polite", 1, 300))
        assert isinstance(outcome, TimedOut)
        assert "in polite" in outcome.error.traceback


async def test_an_attempt_that_overruns_is_killed_with_everything_it_started(app: str) -> None:
    """Process and grandchild are gone when the outcome is told; it says where the handler was."""
    watch = Watch()
    async with processes(app, grace_seconds=0.1) as workers:
        outcome = await workers.run(attempt("stuck", 1, 2000), report=watch)
        assert isinstance(outcome, TimedOut)
        assert outcome.error.message == "the attempt ran longer than its timeout of 2 s"
        assert "in stuck" in outcome.error.traceback
        for pid in watch.pids:
            await until_gone(pid)
        assert await workers.run(attempt("add", x=1)) == Succeeded(b"2")


@pytest.mark.parametrize("kind", ["stuck", "async_stuck", "polite"])
@pytest.mark.parametrize(("end", "expected"), [(Control.cancel, Stopped()), (Control.release, Released())])
async def test_an_attempt_can_be_cancelled_and_taken_back(
    app: str, kind: str, end: Any, expected: Outcome
) -> None:
    """Handlers that do not listen are killed, those that do end by themselves."""
    control = Control()
    watch = Watch(lambda: end(control))
    async with processes(app, grace_seconds=0.1 if kind == "stuck" else 20) as workers:
        assert await workers.run(attempt(kind), control=control, report=watch) == expected
        assert await workers.run(attempt("add", x=1)) == Succeeded(b"2")
        assert workers.pool.processes == 1


async def test_a_value_returned_in_spite_of_being_cancelled_is_the_result(app: str) -> None:
    """As on the event loop: what is done is done."""
    control = Control()
    async with processes(app) as workers:
        outcome = await workers.run(attempt("finishes"), control=control, report=Watch(control.cancel))
        assert outcome == Succeeded(b'"just about"')


async def test_those_who_run_an_attempt_can_be_cancelled_themselves(app: str) -> None:
    """Then the process is killed at once."""
    watch = Watch()
    async with processes(app) as workers:
        with trio.CancelScope() as outside:
            watch = Watch(outside.cancel)
            await workers.run(attempt("stuck"), report=watch)
        assert outside.cancelled_caught
        for pid in watch.pids:
            await until_gone(pid)


async def test_a_pool_that_ends_takes_its_processes_along(app: str) -> None:
    """Busy ones are killed, and their attempts go back; nobody is blamed."""
    outcomes: list[Outcome] = []
    async with trio.open_nursery() as nursery, processes(app) as workers:
        running = trio.Event()
        watch = Watch(running.set)

        async def run() -> None:
            outcomes.append(await workers.run(attempt("stuck"), report=watch))

        nursery.start_soon(run)
        await running.wait()
    assert outcomes == [Released()]
    for pid in watch.pids:
        await until_gone(pid)


async def test_a_job_waits_for_a_process_and_goes_back_when_none_comes_free(app: str) -> None:
    """As long as it might have run; it has not begun, so no attempt is used."""
    async with processes(app, processes=1, grace_seconds=0.1) as workers:
        control, running = Control(), trio.Event()

        async def run() -> None:
            await workers.run(attempt("stuck"), control=control, report=Watch(running.set))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await running.wait()
            assert await workers.run(attempt("add", 1, 50, x=1)) == Released()
            control.cancel()
        assert await workers.run(attempt("add", x=1)) == Succeeded(b"2")


async def test_an_idle_process_is_ended(app: str) -> None:
    """In order, after the time it is given; the next job gets a new one."""
    async with processes(app, idle_seconds=0.01) as workers:
        first = await workers.run(attempt("pid"))
        with trio.fail_after(20):
            while workers.pool.processes:
                await trio.lowlevel.checkpoint()
        assert await workers.run(attempt("pid")) != first


@pytest.mark.parametrize(
    ("body", "message", "traceback"),
    [
        ("1 / 0\n", "importing module 'broken_tasks' failed", ""),
        (
            "print('last words', file=sys.stderr)\nos._exit(7)\n",
            "ended by exit status 7 before it was ready",
            "last words",
        ),
    ],
)
async def test_a_process_that_cannot_load_the_app_fails_the_attempt_clearly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, message: str, traceback: str
) -> None:
    """It is not the job's fault, so it is tried again like any failure; the reason is shown."""
    spec = write_app(tmp_path, monkeypatch, "broken_tasks", body)
    async with processes(spec) as workers:
        outcome = await workers.run(attempt("add", x=1))
    assert isinstance(outcome, Failed)
    assert outcome.error.type == "WorkerUnavailable"
    assert message in outcome.error.message
    assert traceback in outcome.error.traceback


async def test_a_process_that_does_not_come_up_in_time_fails_the_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import that hangs."""
    spec = write_app(tmp_path, monkeypatch, "hanging_tasks", "threading.Event().wait()\n")
    async with processes(spec, start_seconds=0.5) as workers:
        outcome = await workers.run(attempt("add", x=1))
    assert isinstance(outcome, Failed)
    assert outcome.error.message == "a worker process did not load the app within 0.5 s"


async def test_loading_the_app_does_not_count_against_the_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a job with a timeout shorter than the import would never run."""
    body = "time.sleep(1.2)\n\n@app.job('quick', isolation='process')\ndef quick() -> int:\n    return 1\n"
    spec = write_app(tmp_path, monkeypatch, "slow_tasks", body)
    async with processes(spec) as workers:
        assert await workers.run(attempt("quick", 1, 1000)) == Succeeded(b"1")


async def test_a_kind_that_the_process_does_not_know_fails_the_attempt(app: str) -> None:
    """As with an app that was put together by hand instead of by `module:attr`."""
    async with processes(None) as workers:
        outcome = await workers.run(attempt("add", x=1))
    assert isinstance(outcome, Failed)
    assert outcome.error.type == "WorkerUnavailable"
    assert "does not know the kind 'add'" in outcome.error.message


async def test_large_results_come_through_up_to_the_limit(app: str) -> None:
    """Beyond it the process itself refuses."""
    async with processes(app, limits=Limits(result_bytes=300_000)) as workers:
        fits = await workers.run(attempt("large", size=299_998))
        assert isinstance(fits, Succeeded)
        assert fits.result is not None
        assert len(fits.result) == 300_000
        too_large = await workers.run(attempt("large", size=299_999))
        assert isinstance(too_large, Rejected)
        assert "it has 300001 bytes as JSON; 300000 are allowed" in too_large.error.message


async def test_a_signal_to_the_whole_service_does_not_end_running_jobs(app: str) -> None:
    """The server says when they end; but processes that user code forks can be terminated as usual."""
    async with processes(app) as workers:
        assert await workers.run(attempt("terminated")) == Succeeded(str(-signal.SIGTERM).encode())


SERVER = """
import sys, trio
from beaver_actors.execute.control import Control
from beaver_actors.execute.process import ProcessPool
from beaver_actors.execute.progress import Thinner, Valve
from beaver_actors.execute.context import Attempt

async def main():
    pool = ProcessPool("process_tasks:app")
    def tell(progress):
        print(progress.decode(), flush=True)
    async with trio.open_nursery() as nursery:
        await nursery.start(pool.run)
        attempt = Attempt("j", "stuck", "default", b"{}", 1, 25, 1, None)
        await pool.run_attempt(attempt, Control(), Valve(tell, Thinner()))

trio.run(main)
"""


async def test_nothing_runs_on_when_the_server_is_killed(app: str, tmp_path: Path) -> None:
    """P2, P4: kill -9 of a real parent; its worker process and what that has started are gone soon after."""
    command = [sys.executable, "-c", SERVER]
    server = await trio.lowlevel.open_process(command, cwd=tmp_path, stdout=subprocess.PIPE)
    assert server.stdout is not None
    pids: list[int] = msgspec.json.decode(await server.stdout.receive_some())["data"]
    assert len(pids) == 2
    server.kill()
    await server.wait()
    await server.stdout.aclose()
    for pid in pids:
        await until_gone(pid)
