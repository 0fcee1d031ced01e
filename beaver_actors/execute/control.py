"""`Control`: the handle by which others end a running attempt, and what its outcome is when they have.

It knows nothing of how the handler runs; the same object serves the event loop, threads and processes.
"""

from __future__ import annotations

from math import inf
from typing import Literal

import trio

from beaver_actors.core.job import JobError
from beaver_actors.core.outcome import Outcome, Released, Stopped, TimedOut
from beaver_actors.execute.context import Attempt


class Control:
    """One per attempt. `scope` is its cancel scope, which `run_attempt` enters, once."""

    __slots__ = ("asked", "scope")

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.asked: Literal["cancel", "release"] | None = None

    def cancel(self) -> None:
        """Someone wants the job stopped: the outcome shall be `Stopped`, also after `release`."""
        self.asked = "cancel"
        self.scope.cancel()

    def release(self) -> None:
        """The node wants the job back, unfinished: the outcome shall be `Released`."""
        if self.asked is None:
            self.asked = "release"
            self.scope.cancel()

    def start_clock(self, attempt: Attempt) -> None:
        """The timeout counts from now on."""
        if attempt.timeout_ms is not None:
            self.scope.deadline = trio.current_time() + attempt.timeout_ms / 1000

    def stop_clock(self) -> None:
        """The timeout does not count for now."""
        self.scope.deadline = inf

    def outcome_unstarted(self) -> Outcome:
        """What it means that the attempt was ended before its handler had begun."""
        return Stopped() if self.asked == "cancel" else Released()

    def outcome(self, attempt: Attempt, where: str = "") -> Outcome:
        """What it means that the handler was ended, whatever it raised in the course of that.

        Args:
            attempt: for its timeout.
            where: traceback of the place at which it was ended.
        """
        if self.asked is not None:
            return self.outcome_unstarted()
        assert attempt.timeout_ms is not None, f"job {attempt.job_id}: ended by nobody, and without a timeout"
        message = f"the attempt ran longer than its timeout of {attempt.timeout_ms / 1000:g} s"
        return TimedOut(JobError("Timeout", message, where))
