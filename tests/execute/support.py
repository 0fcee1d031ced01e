"""Attempts to run in tests: short to make, run by the real machinery."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from beaver_actors.core.outcome import Outcome
from beaver_actors.execute.app import App, Handler, JobFunction
from beaver_actors.execute.context import Attempt
from beaver_actors.execute.control import Control
from beaver_actors.execute.loading import with_demo
from beaver_actors.execute.outcomes import LIMITS, Limits
from beaver_actors.execute.process import ProcessPool
from beaver_actors.execute.progress import Thinner, Valve
from beaver_actors.execute.run import Shared, run_attempt


def ignore(progress: bytes) -> None:
    """For tests that do not look at progress."""


def attempt(kind: str = "job", number: int = 1, timeout_ms: int | None = None, /, **args: Any) -> Attempt:
    return Attempt("j1", kind, "default", json.dumps(args).encode(), number, 25, 1000 + number, timeout_ms)


def handler(function: Callable[..., Any] | JobFunction[..., ..., Any, Any], isolation: Any = None) -> Handler:
    if isinstance(function, JobFunction):
        return function.handler
    return App().job("job", isolation=isolation)(function).handler


async def run(
    function: Callable[..., Any] | JobFunction[..., ..., Any, Any],
    what: Attempt | None = None,
    *,
    control: Control | None = None,
    shared: Shared | None = None,
    report: Callable[[bytes], None] = ignore,
    thinner: Thinner | None = None,
) -> Outcome:
    """Run one attempt of a function."""
    return await run_attempt(
        what or attempt(),
        handler(function),
        control or Control(),
        shared or Shared(),
        Valve(report, thinner or Thinner()),
    )


class Processes:
    """A pool and the app it serves, as a test writes it."""

    def __init__(self, pool: ProcessPool) -> None:
        self.pool = pool

    async def run(
        self,
        what: Attempt,
        *,
        control: Control | None = None,
        report: Callable[[bytes], None] = ignore,
    ) -> Outcome:
        valve = Valve(report, Thinner())
        try:
            return await self.pool.run_attempt(what, control or Control(), valve)
        finally:
            valve.close()


@asynccontextmanager
async def processes(
    app: str | None = None, *, limits: Limits = LIMITS, **options: Any
) -> AsyncIterator[Processes]:
    """A running pool of worker processes; none is left afterwards."""
    pool = ProcessPool(app, limits=limits, **options)
    async with trio.open_nursery() as nursery:
        await nursery.start(pool.run)
        yield Processes(pool)
        nursery.cancel_scope.cancel()
    assert pool.processes == 0


def write_app(directory: Path, monkeypatch: pytest.MonkeyPatch, name: str, body: str) -> str:
    """Write a module with an app in the working directory. Returns its `module:attr`."""
    (directory / f"{name}.py").write_text(HEAD + body)
    monkeypatch.chdir(directory)
    return f"{name}:app"


HEAD = """\
import os, signal, subprocess, sys, threading, time
import trio
from beaver_actors.execute.app import App
from beaver_actors.execute.context import Context, Reject, Retry, Snooze

app = App()

"""


def demo(kind: str) -> JobFunction[..., ..., Any, Any]:
    """One of the demo kinds."""
    return with_demo(None).functions[kind]
