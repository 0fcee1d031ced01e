"""Tests of `Executor`: what the workers of a node see."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from beaver_actors.actors.worker import Execute
from beaver_actors.core.answers import LeasedJob
from beaver_actors.core.job import Terms
from beaver_actors.core.outcome import Crashed, Failed, Released, Stopped, Succeeded, TimedOut
from beaver_actors.execute.app import App
from beaver_actors.execute.context import Context
from beaver_actors.execute.control import Control
from beaver_actors.execute.executor import Executor
from tests.execute.support import ignore, write_app


def leased(kind: str, args: bytes = b"{}") -> LeasedJob:
    return LeasedJob("j1", 7, 1, Terms(kind), args)


def nothing(control: Control) -> None:
    """For tests that end no attempt early."""


async def test_without_an_app_the_demo_kinds_are_served() -> None:
    """Each of the three that need no process, through the worker's own type."""
    executor = Executor()
    execute: Execute = executor
    assert executor.kinds == {"demo.echo", "demo.sleep", "demo.fail", "demo.crash"}
    assert execute is executor
    assert await executor(leased("demo.echo", b'{"x":1}'), nothing, ignore) == Succeeded(b'{"x":1}')
    assert isinstance(await executor(leased("demo.fail"), nothing, ignore), Failed)


async def test_a_kind_that_is_not_served_goes_back() -> None:
    """It is not leased to such a worker in the first place; if it is, it is not harmed."""
    assert await Executor()(leased("unknown"), nothing, ignore) == Released()


async def test_the_attempt_can_be_ended_from_the_moment_it_begins() -> None:
    """The control is handed over before any user code runs."""
    ran: list[object] = []
    app = App()

    @app.job("mine")
    async def mine() -> None:
        ran.append(1)

    executor = Executor(app)
    assert await executor(leased("mine"), Control.cancel, ignore) == Stopped()
    assert ran == []
    assert await executor(leased("mine"), nothing, ignore) == Succeeded(None)
    assert ran == [1]


async def test_jobs_on_the_loop_are_known_while_they_run() -> None:
    """Kind and id, for whoever finds the loop blocked; those in threads are not to blame, and not told."""
    seen: list[list[str]] = []
    app = App()

    @app.job("mine")
    async def mine() -> None:
        seen.append(executor.jobs_on_loop())

    @app.job("elsewhere")
    def elsewhere() -> None:
        seen.append(executor.jobs_on_loop())

    executor = Executor(app)
    for kind in ("mine", "elsewhere"):
        assert await executor(leased(kind), nothing, ignore) == Succeeded(None)
    assert seen == [["mine j1"], []]
    assert executor.jobs_on_loop() == []


async def test_everything_works_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    """An app from `module:attr` with a job of each isolation, and the demo kinds beside it."""
    body = """
@app.job("on_loop")
async def on_loop(context: Context) -> int:
    context.progress(message="a")
    return context.fence

@app.job("in_thread")
def in_thread(context: Context) -> int:
    context.progress(message="b")
    return context.fence

@app.job("in_process", isolation="process")
def in_process(context: Context) -> int:
    context.progress(message="c")
    return context.fence
"""
    executor = Executor(write_app(tmp_path, monkeypatch, "executor_tasks", body))
    await nursery.start(executor.run)
    words: list[bytes] = []
    for kind in ("on_loop", "in_thread", "in_process"):
        assert await executor(leased(kind), nothing, words.append) == Succeeded(b"7")
    assert words == [b'{"message":"a"}', b'{"message":"b"}', b'{"message":"c"}']
    assert executor.load == (0, 0, 1)  # the process waits for more work
    assert isinstance(await executor(leased("demo.crash"), nothing, ignore), Crashed)
    nursery.cancel_scope.cancel()


async def sleeper(seconds: float) -> str:
    """For a stage: waits, and can be ended from outside."""
    await trio.sleep(seconds)
    return "slept"


def unheard(fence: int, control: Control) -> None:
    """For tests that end no attempt early."""


def unseen(job: LeasedJob, progress: bytes) -> None:
    """For tests that do not look at progress."""


def staged() -> tuple[App, Executor]:
    """An app whose handlers do all that a stage must bear."""
    app = App()  # time limits are the server's default, half an hour
    app.job("sleeper")(sleeper)

    @app.job("open")
    async def leave_open() -> None:
        trio.CancelScope().__enter__()

    @app.job("quick")
    async def quick(context: Context) -> float | None:
        return context.seconds_left

    return app, Executor(app)


async def test_attempts_on_a_stage_follow_one_another(autojump_clock: trio.testing.MockClock) -> None:
    """One scope for all of them: each has its own time limit, and one that has ended leaves none behind."""
    _, executor = staged()
    with executor.stage() as stage:
        for _ in range(3):
            assert await stage(leased("sleeper", b'{"seconds":1700}'), unheard, unseen) == Succeeded(
                b'"slept"'
            )
        await trio.sleep(10_000)
        assert await stage(leased("quick"), unheard, unseen) == Succeeded(b"1800.0")
        assert not stage.spent


async def test_an_attempt_that_is_ended_on_a_stage_leaves_it_spent(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """By its timeout or by a cancel; who comes too late ends nobody."""
    _, executor = staged()
    with executor.stage() as stage:
        assert isinstance(await stage(leased("sleeper", b'{"seconds":2000}'), unheard, unseen), TimedOut)
        assert stage.spent
    controls: list[Control] = []
    with executor.stage() as stage:
        assert await stage(
            leased("sleeper", b'{"seconds":1}'), lambda _, control: controls.append(control), unseen
        ) == Succeeded(b'"slept"')
        controls[0].cancel()
        controls[0].release()
        assert not stage.spent
        assert (
            await stage(leased("sleeper", b'{"seconds":1}'), lambda _, control: control.cancel(), unseen)
            == Stopped()
        )
        assert stage.spent


async def test_a_scope_left_open_on_a_stage_harms_no_other_job(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Its own attempt has failed, and the stage is spent: the next one is whole."""
    _, executor = staged()
    with executor.stage() as stage:
        outcome = await stage(leased("open"), unheard, unseen)
        assert isinstance(outcome, Failed)
        assert "left a cancel scope or a nursery open" in outcome.error.message
        assert stage.spent
    with executor.stage() as stage:
        assert await stage(leased("sleeper", b'{"seconds":1}'), unheard, unseen) == Succeeded(b'"slept"')


async def test_a_worker_that_is_cancelled_leaves_its_stage(autojump_clock: trio.testing.MockClock) -> None:
    """Then there is no outcome."""
    _, executor = staged()
    with trio.move_on_after(1) as outside:
        with executor.stage() as stage:
            await stage(leased("sleeper", b'{"seconds":4}'), unheard, unseen)
        raise AssertionError("an outcome although cancelled")
    assert outside.cancelled_caught
