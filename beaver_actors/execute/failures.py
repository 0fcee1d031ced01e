"""Telling the hooks of an app of a failed attempt: in a thread of the server, wherever the handler ran."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Final

import trio

from beaver_actors.core.outcome import Crashed, Failed, Outcome, Rejected, TimedOut
from beaver_actors.execute.context import Attempt, Context
from beaver_actors.execute.hooks import Failure, OnFailure

FAILURE_SECONDS: Final = 10.0
"""For all that hears of one failure; the attempt keeps its worker for so long, and its outcome is recorded
afterwards. Longer work than a message to someone is a job of its own."""

log = logging.getLogger("beaver_actors.hooks")


def failure(outcome: Outcome) -> Failure | None:
    """The outcome as a failure, None if it is none."""
    match outcome:
        case Failed(error):
            return Failure("failed", error)
        case TimedOut(error):
            return Failure("timed_out", error)
        case Rejected(error):
            return Failure("rejected", error)
        case Crashed(error):
            return Failure("crashed", error)
        case _:
            return None


async def tell_failure(hooks: Sequence[OnFailure], attempt: Attempt, failed: Failure) -> None:
    """Tell hooks of a failure, in a thread, and wait for them, but not for ever."""
    with trio.move_on_after(FAILURE_SECONDS) as patience:
        await trio.to_thread.run_sync(  # noqa: TID251 user code, which no simulation runs
            partial(tell_at_once, hooks, attempt, failed), abandon_on_cancel=True
        )
    if patience.cancelled_caught:
        text = "hooks took longer than %g s with a failure of job %s, and are left to themselves"
        log.warning(text, FAILURE_SECONDS, attempt.job_id)


def tell_at_once(hooks: Sequence[OnFailure], attempt: Attempt, failed: Failure) -> None:
    """Tell hooks of a failure, one after the other. What they raise goes to the log and changes nothing."""
    context = Context(attempt, _Over())
    for hook in hooks:
        try:
            hook(context, failed)
        except BaseException:
            log.exception("a hook raised when it was told of a failure of job %s", attempt.job_id)


class _Over:
    """The link of an attempt that is over."""

    def report(self, progress: bytes) -> None:
        pass

    def stopping(self) -> bool:
        return True

    def seconds_left(self) -> float | None:
        return None
