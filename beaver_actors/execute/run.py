"""Runs one attempt of one job, on the event loop or in a thread, and says how it ended.

Nothing that user code does gets past this file: an exception, whatever its class, is an outcome. Only Trio's
`Cancelled` leaves, and only when those who called have been cancelled. Processes are `process.py`'s.

When an attempt is ended from outside, a value that its handler returns nevertheless is its result, because
the work is done; whatever it raises counts as having been ended.
"""

from __future__ import annotations

import threading
import types
from collections import deque
from collections.abc import Generator
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, cast

import trio

from beaver_actors.core.job import JobError
from beaver_actors.core.outcome import Failed, Outcome
from beaver_actors.execute.app import Handler
from beaver_actors.execute.calling import call_plain
from beaver_actors.execute.context import Attempt, Context
from beaver_actors.execute.control import Control
from beaver_actors.execute.hooks import surrounded
from beaver_actors.execute.outcomes import (
    LIMITS,
    RUNNERS,
    Limits,
    cut,
    describe,
    raised,
    returned,
    with_children,
)
from beaver_actors.execute.progress import Valve
from beaver_actors.kernel.stacks import stack_of

if TYPE_CHECKING:
    from beaver_actors.execute.process import ProcessPool

THREADS = 40


class Shared:
    """What the attempts of one node have in common.

    Args:
        limits: how much of an outcome is kept.
        threads: handlers that may be in threads at the same time, abandoned ones included.
        processes: where handlers with isolation "process" run; None: they fail.
    """

    def __init__(
        self, limits: Limits = LIMITS, *, threads: int = THREADS, processes: ProcessPool | None = None
    ) -> None:
        self.limits = limits
        self.threads = trio.CapacityLimiter(threads)
        self.processes = processes
        self.threads_abandoned = 0
        """Threads whose handler runs on although its attempt is over."""


async def run_attempt(
    attempt: Attempt, handler: Handler, control: Control, shared: Shared, progress: Valve
) -> Outcome:
    """Run a handler to its end. Not a checkpoint by itself.

    Args:
        attempt: what is run.
        handler: the function to run it with.
        control: ends the attempt early; it may have been told so already.
        shared: limits, threads and processes.
        progress: takes what the handler reports; closed when this returns.

    Returns:
        How the attempt ended.

    Raises:
        trio.Cancelled: the caller is cancelled. The handler has ended, or its thread is abandoned, or its
            process killed; there is no outcome.
    """
    if control.asked is not None:
        return control.outcome_unstarted()
    try:
        if handler.isolation == "async":
            return await run_on_loop(attempt, handler, control, shared.limits, progress)
        if handler.isolation == "thread":
            return await _run_in_thread(attempt, handler, control, shared, progress)
        if shared.processes is not None:
            return await shared.processes.run_attempt(attempt, control, progress)
        return Failed(JobError("WorkerUnavailable", "this server runs no worker processes"))
    finally:
        progress.close()


async def run_on_loop(
    attempt: Attempt, handler: Handler, control: Control, limits: Limits, progress: Valve
) -> Outcome:
    """Run an `async def` here, in the caller's own task."""
    try:
        with control.scope:
            return await run_in_scope(attempt, handler, control, limits, progress)
    except BaseException as error:  # noqa: BLE001 the handler has broken Trio's bookkeeping
        # Unless it is those who called us that are cancelled: then this raises in turn.
        await trio.lowlevel.checkpoint_if_cancelled()
        return raised(error, limits)
    raise AssertionError("what ends an attempt does not leave its scope")


async def run_in_scope(
    attempt: Attempt, handler: Handler, control: Control, limits: Limits, progress: Valve
) -> Outcome:
    """Run an `async def` in a scope that the caller has entered, `control.scope`: the one path that has to be
    light. If that scope is cancelled afterwards, the attempt was ended from outside, and nothing else can be
    waited for in it."""
    try:
        control.set_clock(attempt)
        arguments = handler.decode(attempt.args)
        context = None
        if handler.hooks.around or handler.takes_context:
            context = Context(attempt, LoopLink(control, progress))
            called = _called(context, handler, arguments)
        else:
            called = handler.function(**arguments)
        steps = called if type(called) is types.CoroutineType else called.__await__()
        # Most handlers that are short never wait, and neither setting a deadline nor anything else that is
        # needed for waiting costs less than they do.
        try:
            wish = steps.send(None)
        except StopIteration as end:
            value = end.value
        else:
            control.heed_clock()
            value = await _go_on(steps, wish)
        return with_children(returned(value, limits, handler.function), context)
    except BaseException as error:  # noqa: BLE001 whatever user code raises is an outcome
        if not control.scope.cancel_called:
            await trio.lowlevel.checkpoint_if_cancelled()  # as above
            return raised(error, limits)
        return control.outcome(attempt, describe(error, limits).traceback)
    finally:
        control.end()


@types.coroutine
def _go_on(steps: Any, wish: object) -> Generator[object, object, object]:
    """Await what has taken its first step already, and wishes for this."""
    try:
        while True:
            try:
                answer = yield wish
            except BaseException as error:  # noqa: BLE001  # it is the handler's
                wish = steps.throw(error)
            else:
                wish = steps.send(answer)
    except StopIteration as end:
        value: object = end.value
        return value


def _called(context: Context, handler: Handler, arguments: dict[str, Any]) -> Any:
    if handler.hooks.around:
        return _surrounded(context, handler, arguments)
    return handler.function(context, **arguments)


async def _surrounded(context: Context, handler: Handler, arguments: dict[str, Any]) -> object:
    with surrounded(handler.hooks.around, context):
        if handler.takes_context:
            return await handler.function(context, **arguments)
        return await handler.function(**arguments)


async def _run_in_thread(
    attempt: Attempt, handler: Handler, control: Control, shared: Shared, progress: Valve
) -> Outcome:
    """Run a `def` in a thread. A thread cannot be stopped: when its attempt is ended it is left to itself,
    and keeps its place among `shared.threads` until it ends by itself."""
    slot = _Slot(attempt, control, shared)
    link = LoopLink(control, progress)
    where = ""

    def call() -> Outcome:
        slot.thread = threading.get_ident()
        return call_plain(handler, attempt, link, shared.limits)

    try:
        # Waiting for a thread may take as long as the attempt itself, then the job goes back unstarted.
        control.start_clock(attempt)
        with control.scope:
            try:
                return await trio.to_thread.run_sync(  # noqa: TID251 user code, which no simulation runs
                    call,
                    abandon_on_cancel=True,
                    # Trio asks for something that behaves like a CapacityLimiter; its type says less.
                    limiter=cast(trio.CapacityLimiter, slot),
                    thread_name=f"job {attempt.kind}",
                )
            except trio.Cancelled:
                where = slot.abandon()
                raise
    except RuntimeError as error:
        return Failed(JobError("WorkerUnavailable", f"no thread could be started: {error}"))
    finally:
        link.over = True
    return control.outcome(attempt, where) if slot.begun else control.outcome_unstarted()


class _Slot:
    """A place among the threads: what Trio takes for a CapacityLimiter, so that it tells when the thread
    begins and, long after the attempt perhaps, when it really ends."""

    def __init__(self, attempt: Attempt, control: Control, shared: Shared) -> None:
        self.begun = False
        self.thread: int | None = None
        self._attempt = attempt
        self._control = control
        self._shared = shared
        self._abandoned = False
        self._ended = False

    async def acquire_on_behalf_of(self, borrower: object) -> None:
        await self._shared.threads.acquire_on_behalf_of(borrower)
        self.begun = True
        self._control.start_clock(self._attempt)

    def release_on_behalf_of(self, borrower: object) -> None:
        self._shared.threads.release_on_behalf_of(borrower)
        self._ended = True
        if self._abandoned:
            self._shared.threads_abandoned -= 1

    def abandon(self) -> str:
        """The attempt is over. Returns where its thread is, as a traceback, unless that has ended too: it may
        do so after Trio has decided to cancel and before this task has learnt of it."""
        if not self.begun or self._ended:
            return ""
        self._abandoned = True
        self._shared.threads_abandoned += 1
        where = "" if self.thread is None else stack_of(self.thread, RUNNERS)
        return cut(where, self._shared.limits.traceback_chars)


class LoopLink:
    """The way from a `Context` to the attempt on the loop, from any thread."""

    __slots__ = ("_clock", "_control", "_latest", "_loop_thread", "_progress", "_token", "_under_way", "over")

    def __init__(self, control: Control, progress: Valve) -> None:
        self._control = control
        self._progress = progress
        self._clock = trio.lowlevel.current_clock()
        self._token = trio.lowlevel.current_trio_token()
        self._loop_thread = threading.get_ident()
        self._latest: deque[bytes] = deque(maxlen=1)
        self._under_way = False
        self.over = False

    def report(self, progress: bytes) -> None:
        if threading.get_ident() == self._loop_thread:
            self._progress.put(progress)
            return
        self._latest.append(progress)
        if not self._under_way:
            self._under_way = True
            # The run may be over while an abandoned thread goes on.
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._deliver)

    def stopping(self) -> bool:
        control = self._control
        return self.over or control.asked is not None or self._clock.current_time() >= control.deadline

    def seconds_left(self) -> float | None:
        deadline = self._control.deadline
        return None if deadline == inf else deadline - self._clock.current_time()

    def _deliver(self) -> None:
        # First the flag: a word that comes between the two lines costs an idle turn, and is not lost.
        self._under_way = False
        if self._latest:
            self._progress.put(self._latest.pop())
