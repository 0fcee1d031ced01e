"""Runs attempts in a test kit: the handler, its hooks and its arguments as in production, in the caller's
thread.

Plain functions are called; an `async def` gets a Trio of its own, whose clock jumps over what it sleeps,
unless the caller is on Trio and runs it there. Worker processes are not used: a test wants to see what its
handler did.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import trio
import trio.testing

from beaver_actors.core.answers import LeasedJob
from beaver_actors.core.outcome import Outcome
from beaver_actors.execute.app import Handler
from beaver_actors.execute.calling import call_plain
from beaver_actors.execute.context import Attempt
from beaver_actors.execute.control import Control
from beaver_actors.execute.executor import attempt_of
from beaver_actors.execute.failures import failure, tell_at_once
from beaver_actors.execute.outcomes import LIMITS
from beaver_actors.execute.progress import Thinner, Valve
from beaver_actors.execute.run import run_on_loop
from beaver_actors.testing.kit.clients import in_event_loop

IDLE_SECONDS: Final = 0.05
"""When a handler has waited for so long, and nothing has come, its clock jumps to the end of its next sleep.
Longer than a reply from this machine takes, which the clock must not overtake."""


@dataclass(slots=True, eq=False)
class Running:
    """One attempt at work.

    Args:
        lease: the right to run it.
        handler: the function.
        now_ms: the kit's clock.
        report: takes progress.
    """

    lease: LeasedJob
    handler: Handler
    now_ms: Callable[[], int]
    report: Callable[[bytes], None]
    attempt: Attempt = field(init=False)
    cancelled: bool = False
    slept_ms: int = 0
    """By how much the handler's own clock has jumped."""
    _control: Control | None = None
    _began_ms: int = 0

    def __post_init__(self) -> None:
        self.attempt = attempt_of(self.lease)
        self._began_ms = self.now_ms()

    def run(self) -> Outcome:
        """Run the handler to its end, and tell the hooks if it failed."""
        return self._told(self.work())

    def work(self) -> Outcome:
        """Run the handler to its end."""
        if not self.handler.asynchronous:
            return call_plain(self.handler, self.attempt, self, LIMITS)
        if not in_event_loop():
            return self._run_on_trio()
        # Two event loops cannot share a thread; the caller waits all the same.
        outcomes: list[Outcome] = []
        trace = sys.gettrace()

        def work() -> None:
            sys.settrace(trace)
            outcomes.append(self._run_on_trio())

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return outcomes[0]

    async def run_here(self) -> Outcome:
        """The same on the caller's Trio, with its clock."""
        if not self.handler.asynchronous:
            return self.run()
        return self._told(await self._run_on_loop())

    def cancel(self) -> None:
        """Someone wants the job stopped."""
        self.cancelled = True
        if self._control is not None:
            self._control.cancel()

    def stopping(self) -> bool:
        """For the handler's context."""
        left = self.seconds_left()
        return self.cancelled or (left is not None and left <= 0)

    def seconds_left(self) -> float | None:
        """For the handler's context."""
        timeout_ms = self.attempt.timeout_ms
        return None if timeout_ms is None else (self._began_ms + timeout_ms - self.now_ms()) / 1000

    def _run_on_trio(self) -> Outcome:
        async def main() -> Outcome:
            outcome = await self._run_on_loop()
            self.slept_ms = round(trio.current_time() * 1000)
            return outcome

        return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=IDLE_SECONDS))

    async def _run_on_loop(self) -> Outcome:
        self._control = Control()
        if self.cancelled:
            self._control.cancel()
        progress = Valve(self.report, Thinner())
        try:
            return await run_on_loop(self.attempt, self.handler, self._control, LIMITS, progress)
        finally:
            progress.close()

    def _told(self, outcome: Outcome) -> Outcome:
        hooks = self.handler.hooks.on_failure
        if hooks and (failed := failure(outcome)) is not None:
            tell_at_once(hooks, self.attempt, failed)
        return outcome
