"""Tests of `Executor`: what the workers of a node see."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from beaver_actors.actors.worker import Execute
from beaver_actors.core.answers import LeasedJob
from beaver_actors.core.job import Terms
from beaver_actors.core.outcome import Crashed, Failed, Released, Stopped, Succeeded
from beaver_actors.execute.app import App
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
    assert isinstance(await executor(leased("demo.crash"), nothing, ignore), Crashed)
    nursery.cancel_scope.cancel()
