"""`Control`: the handle by which others end a running attempt, and what its outcome is when they have.

It knows nothing of how the handler runs; the same object serves the event loop, threads and processes.
"""

from __future__ import annotations

from math import inf
from typing import Literal

import trio

from beaver_actors.core.outcome import Outcome, Released, Stopped
from beaver_actors.execute.context import Attempt
from beaver_actors.execute.outcomes import timed_out


class Control:
    """One per attempt.

    Args:
        scope: the cancel scope that the attempt runs in, if it is not the attempt's own: it has been entered
            already, and others may follow in it.
    """

    __slots__ = ("asked", "deadline", "heeded", "over", "scope")

    def __init__(self, scope: trio.CancelScope | None = None) -> None:
        self.scope = trio.CancelScope() if scope is None else scope
        self.asked: Literal["cancel", "release"] | None = None
        self.deadline = inf
        """Trio's time at which the attempt is ended."""
        self.heeded = False
        """Whether anything has ever been done about that."""
        self.over = False
        """Whether the attempt has ended: then nobody can end it any more."""

    def cancel(self) -> None:
        """Someone wants the job stopped: the outcome shall be `Stopped`, also after `release`."""
        if not self.over:
            self.asked = "cancel"
            self.scope.cancel()

    def release(self) -> None:
        """The node wants the job back, unfinished: the outcome shall be `Released`."""
        if self.asked is None and not self.over:
            self.asked = "release"
            self.scope.cancel()

    def start_clock(self, attempt: Attempt) -> None:
        """The timeout counts from now on."""
        self.set_clock(attempt)
        self.heed_clock()

    def set_clock(self, attempt: Attempt) -> None:
        """The timeout counts from now on, and is kept from `heed_clock` on, which has its price."""
        if attempt.timeout_ms is not None:
            self.deadline = trio.current_time() + attempt.timeout_ms / 1000

    def heed_clock(self) -> None:
        """See to it that the attempt is ended when its time is over."""
        self.heeded = True
        self.scope.deadline = self.deadline

    def stop_clock(self) -> None:
        """The timeout does not count for now."""
        self.deadline = inf
        self.heed_clock()

    def end(self) -> None:
        """The attempt is over; its scope may be used for another."""
        self.over = True
        if self.heeded:
            self.stop_clock()

    @property
    def may_be_cancelled(self) -> bool:
        """Whether there was a reason why the scope could be; asking that itself costs more."""
        return self.heeded or self.asked is not None

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
        return timed_out(attempt, where)
