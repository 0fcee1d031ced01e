"""Tests of the demo kinds that every server has."""

from __future__ import annotations

import trio
import trio.testing

from beaver_actors.core.outcome import Failed, Rejected, Succeeded, TimedOut
from tests.execute.support import attempt, demo, run


async def test_echo_returns_its_arguments() -> None:
    """Whatever they are called."""
    assert await run(demo("demo.echo"), attempt(a=[1, {"b": None}], c="x")) == Succeeded(
        b'{"a":[1,{"b":null}],"c":"x"}'
    )
    assert await run(demo("demo.echo")) == Succeeded(b"{}")


async def test_sleep_sleeps_and_tells_how_far_it_is(autojump_clock: trio.testing.MockClock) -> None:
    """Ten steps; a short sleep is silent; it can be stopped."""
    heard: list[bytes] = []
    assert await run(demo("demo.sleep"), attempt(seconds=10), report=heard.append) == Succeeded(b"10.0")
    assert trio.current_time() == 10
    assert len(heard) == 9
    assert heard[4] == b'{"percent":50.0,"message":"slept 5 of 10 s"}'
    assert await run(demo("demo.sleep"), attempt(seconds=0.1), report=heard.append) == Succeeded(b"0.1")
    assert len(heard) == 9
    assert isinstance(await run(demo("demo.sleep"), attempt("demo.sleep", 1, 500, seconds=9)), TimedOut)
    assert isinstance(await run(demo("demo.sleep"), attempt(seconds=-1)), Rejected)


async def test_fail_fails_always_or_a_few_times() -> None:
    """By the number of the attempt."""
    outcome = await run(demo("demo.fail"), attempt(message="on purpose"))
    assert isinstance(outcome, Failed)
    assert (outcome.error.type, outcome.error.message) == ("RuntimeError", "on purpose")
    assert "demo.py" in outcome.error.traceback
    assert isinstance(await run(demo("demo.fail"), attempt("demo.fail", 2, times=2)), Failed)
    assert await run(demo("demo.fail"), attempt("demo.fail", 3, times=2)) == Succeeded(b"3")


def test_crash_runs_in_a_process() -> None:
    """It kills the process it runs in, which must not be the server."""
    assert demo("demo.crash").isolation == "process"
