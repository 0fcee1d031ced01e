"""Hooks of an app: around every attempt, wherever it runs, and told of every failure."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from beaver_actors.core.answers import LeasedJob
from beaver_actors.core.job import Terms
from beaver_actors.core.outcome import Crashed, Failed, Outcome, Rejected, Snoozed, Succeeded, TimedOut
from beaver_actors.execute import failures
from beaver_actors.execute.app import App, AppError
from beaver_actors.execute.context import Context, Reject, Retry
from beaver_actors.execute.executor import Executor
from beaver_actors.execute.hooks import Failure
from tests.execute.support import ignore, write_app

PAGE = """
from contextlib import contextmanager
import json

@app.around_job
@contextmanager
def outer(context):
    note("outer in", context.job_id)
    try:
        yield
    except BaseException as error:
        note("outer saw", type(error).__name__)
        if context.args["what"] == "translate":
            raise Retry("7s", "translated") from error
        if context.args["what"] == "swallow":
            return
        raise
    finally:
        note("outer out")
    if context.args["what"] == "fail after":
        raise LookupError("after")

@app.around_job
@contextmanager
def inner(context):
    note("inner in")
    if context.args["what"] == "fail before":
        raise LookupError("before")
    yield
    note("inner out")

def note(*words):
    with open("notes", "a") as notes:
        notes.write(" ".join(words) + "\\n")

@app.on_failure
def told(context, failure):
    note("told", failure.how, failure.error.type, str(context.attempt))

def body(context, what):
    note("handler")
    if what in ("raise", "translate", "swallow"):
        raise ValueError("no luck")
    if what == "snooze":
        raise Snooze(5)
    if what == "reject":
        raise Reject("never")
    if what == "die":
        os._exit(9)
    return what

@app.job("async")
async def on_loop(context: Context, what: str):
    if what == "sleep":
        await trio.sleep(60)
    return body(context, what)

@app.job("thread")
def in_thread(context: Context, what: str):
    if what == "sleep":
        time.sleep(1)
    return body(context, what)

@app.job("process", isolation="process")
def in_process(context: Context, what: str):
    if what == "sleep":
        time.sleep(60)
    return body(context, what)

@app.job("process.async", isolation="process")
async def on_loop_in_process(context: Context, what: str):
    return body(context, what)
"""
EVERYWHERE = pytest.mark.parametrize(
    "kind",
    [
        "async",
        "thread",
        pytest.param("process", marks=pytest.mark.process),
        pytest.param("process.async", marks=pytest.mark.process),
    ],
)
IN, OUT = ["outer in j1", "inner in", "handler"], ["outer out"]


class Bench:
    """An executor that serves the app above, and what its hooks have noted."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.spec = write_app(directory, monkeypatch, f"hooked_{directory.name}", PAGE)
        self._notes = directory / "notes"

    async def run(self, kind: str, what: str, timeout_ms: int | None = None) -> Outcome:
        args = f'{{"what":"{what}"}}'.encode()
        return await attempt(Executor(self.spec), kind, args, Terms(kind, timeout_ms=timeout_ms))

    @property
    def notes(self) -> list[str]:
        return self._notes.read_text().splitlines()


async def attempt(executor: Executor, kind: str, args: bytes = b"{}", terms: Terms | None = None) -> Outcome:
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: executor.run(task_status=task_status))
        lease = LeasedJob("j1", 7, 2, terms or Terms(kind), args)
        outcome = await executor(lease, lambda control: None, ignore)
        nursery.cancel_scope.cancel()
    return outcome


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


@EVERYWHERE
async def test_hooks_surround_the_handler_the_first_outermost(bench: Bench, kind: str) -> None:
    """By what each notes; nobody is told of a failure, as there is none."""
    assert await bench.run(kind, "return") == Succeeded(b'"return"')
    assert bench.notes == [*IN, "inner out", *OUT]


@EVERYWHERE
async def test_a_hook_sees_what_the_handler_raises(bench: Bench, kind: str) -> None:
    """And the failure is told as without it: class, message, a traceback that begins with the user's code."""
    outcome = await bench.run(kind, "raise")
    assert isinstance(outcome, Failed)
    assert (outcome.error.type, outcome.error.message) == ("ValueError", "no luck")
    assert bench.spec.partition(":")[0] in outcome.error.traceback.splitlines()[1]
    assert bench.notes == [*IN, "outer saw ValueError", *OUT, "told failed ValueError 2"]


@EVERYWHERE
@pytest.mark.parametrize("what", ["fail before", "fail after"])
async def test_a_hook_that_raises_fails_the_attempt(bench: Bench, kind: str, what: str) -> None:
    """It counts as raised by the handler; the hooks around it see it. Before the handler, that never runs."""
    outcome = await bench.run(kind, what)
    assert isinstance(outcome, Failed)
    assert (outcome.error.type, outcome.error.message) == ("LookupError", what.split()[1])
    assert ("handler" in bench.notes) == (what == "fail after")
    assert bench.notes[-1] == "told failed LookupError 2"


@EVERYWHERE
async def test_a_hook_may_raise_in_place_of_the_handler(bench: Bench, kind: str) -> None:
    """By one that turns an exception into a retry at a time of its choice."""
    outcome = await bench.run(kind, "translate")
    assert isinstance(outcome, Failed)
    assert (outcome.retry_in_ms, outcome.error.message) == (7_000, "translated")


@EVERYWHERE
async def test_a_hook_cannot_make_a_success_of_a_failure(bench: Bench, kind: str) -> None:
    """P4: an exception that a hook swallows still fails the attempt."""
    outcome = await bench.run(kind, "swallow")
    assert isinstance(outcome, Failed)
    assert outcome.error.type == "ValueError"


@EVERYWHERE
async def test_verdicts_pass_through(bench: Bench, kind: str) -> None:
    """A snooze is no failure and nobody is told; a rejection is one."""
    assert await bench.run(kind, "snooze") == Snoozed(5_000)
    assert not [note for note in bench.notes if note.startswith("told")]
    assert isinstance(await bench.run(kind, "reject"), Rejected)
    assert bench.notes[-1] == "told rejected Reject 2"


@pytest.mark.parametrize("kind", ["async", "thread", pytest.param("process", marks=pytest.mark.process)])
async def test_failures_that_the_handler_does_not_see_are_told_too(bench: Bench, kind: str) -> None:
    """Time-outs: in the server, as the handler may be in no state to tell."""
    assert isinstance(await bench.run(kind, "sleep", timeout_ms=100), TimedOut)
    assert bench.notes[-1] == "told timed_out Timeout 2"


@pytest.mark.process
async def test_the_death_of_a_process_is_told(bench: Bench) -> None:
    """P12: the server lives on, and so do its hooks."""
    assert isinstance(await bench.run("process", "die"), Crashed)
    assert bench.notes[-1] == "told crashed WorkerDied 2"


async def test_hooks_are_called_on_a_workers_stage_too(bench: Bench) -> None:
    """Where a worker runs its attempts, one after the other, those on the loop in one scope."""
    executor = Executor(bench.spec)
    with executor.stage() as stage:
        for what, outcome in (("return", Succeeded), ("raise", Failed), ("return", Succeeded)):
            args = f'{{"what":"{what}"}}'.encode()
            lease = LeasedJob("j1", 7, 2, Terms("async"), args)
            assert isinstance(
                await stage(lease, lambda fence, control: None, lambda job, progress: None), outcome
            )
    whole = [*IN, "inner out", *OUT]
    failed = [*IN, "outer saw ValueError", *OUT, "told failed ValueError 2"]
    assert bench.notes == [*whole, *failed, *whole]


@pytest.mark.parametrize("kind", ["async", "thread"])
async def test_context_variables_of_a_hook_reach_the_handler(kind: str) -> None:
    """As a tracer needs it."""
    app, variable = App(), contextvars.ContextVar("variable", default="unset")

    @app.around_job
    @contextmanager
    def setting(context: Context) -> Iterator[None]:
        token = variable.set(context.kind)
        yield
        variable.reset(token)

    @app.job("async")
    async def on_loop() -> str:
        await trio.lowlevel.checkpoint()
        return variable.get()

    @app.job("thread")
    def in_thread() -> str:
        return variable.get()

    assert await attempt(Executor(app), kind) == Succeeded(f'"{kind}"'.encode())
    assert variable.get() == "unset"


async def test_a_hook_that_raises_about_a_failure_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The next one is told all the same, the outcome is the handler's, and the log has the rest."""
    app, told = App(), list[Failure]()

    @app.on_failure
    def broken(context: Context, failure: Failure) -> None:
        raise SystemExit

    @app.on_failure
    def sound(context: Context, failure: Failure) -> None:
        assert threading.current_thread() is not threading.main_thread()
        assert context.cancelled
        told.append(failure)

    @app.job("work")
    async def work() -> None:
        raise ValueError("no luck")

    outcome = await attempt(Executor(app), "work")
    assert isinstance(outcome, Failed)
    assert [(failure.how, failure.error) for failure in told] == [("failed", outcome.error)]
    assert "a hook raised when it was told of a failure of job j1" in caplog.text


async def test_a_hook_that_never_ends_is_left_to_itself(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P11: the worker takes the next job after a while. By a hook that waits for the end of the test."""
    monkeypatch.setattr(failures, "FAILURE_SECONDS", 0.05)
    app, over = App(), threading.Event()
    app.on_failure(lambda context, failure: over.wait())

    @app.job("work")
    async def work() -> None:
        raise Retry

    with caplog.at_level(logging.WARNING):
        assert isinstance(await attempt(Executor(app), "work"), Failed)
    over.set()
    assert "hooks took longer than 0.05 s with a failure of job j1" in caplog.text


async def test_hooks_are_for_the_jobs_of_their_own_app() -> None:
    """Also for jobs defined before the hook; not for those of an included app, and not for the demo."""
    whole, part, seen = App("whole"), App("part"), list[str]()

    @whole.job("whole")
    async def first() -> None:
        pass

    @part.job("part")
    async def second() -> None:
        raise Reject

    whole.include(part)

    @whole.around_job
    @contextmanager
    def watching(context: Context) -> Iterator[None]:
        seen.append(context.kind)
        yield

    for kind in ("whole", "part", "demo.echo"):
        await attempt(Executor(whole), kind)
    assert seen == ["whole"]


async def coroutine(context: Context) -> None:
    pass


def generator(context: Context) -> Iterator[None]:
    yield


@pytest.mark.parametrize(
    ("hook", "words"),
    [
        (coroutine, "around_job: expected a plain function, got an async one"),
        (generator, r"test_hooks.generator is a generator; put @contextlib.contextmanager above it"),
        (7, "around_job: expected a function, got 7"),
    ],
)
def test_what_can_be_no_hook_is_refused_at_once(hook: Any, words: str) -> None:
    """Not when the first job comes."""
    with pytest.raises(AppError, match=words):
        App().around_job(hook)


def no_context_manager(context: Context) -> AbstractContextManager[object]:
    return None  # type: ignore[return-value]  # that is the point


async def test_a_hook_that_gives_no_context_manager_fails_the_attempt() -> None:
    """Its error says what is missing."""
    app = App()
    app.around_job(no_context_manager)

    @app.job("work")
    async def work() -> None:
        pass

    outcome = await attempt(Executor(app), "work")
    assert isinstance(outcome, Failed)
    assert "context manager protocol" in outcome.error.message


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("meta", "traceparent"),
    [
        (b"", None),
        (f'{{"traceparent":"{TRACE}"}}'.encode(), TRACE),
        (b'{"traceparent":"nonsense"}', None),
        (b'{"traceparent":7}', None),
    ],
)
async def test_meta_and_the_trace_reach_the_handler(meta: bytes, traceparent: str | None) -> None:
    """What was sent with the job; a trace only if it is one."""
    app = App()

    @app.job("work")
    async def work(context: Context) -> list[object]:
        return [context.meta, context.traceparent]

    outcome = await attempt(Executor(app), "work", terms=Terms("work", meta=meta))
    shown = b"null" if traceparent is None else f'"{traceparent}"'.encode()
    assert outcome == Succeeded(b"[" + (meta or b"{}") + b"," + shown + b"]")
