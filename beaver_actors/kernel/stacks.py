"""Where a thread is at the moment, as text: for errors and log lines about code that does not come back."""

from __future__ import annotations

import sys
from collections.abc import Collection
from itertools import islice, takewhile
from traceback import StackSummary, walk_stack

FRAMES_MAX = 50
"""The innermost ones: a runaway recursion has a thousand alike."""


def stack_of(thread: int, below: Collection[str], frames_max: int = FRAMES_MAX) -> str:
    """Tell what a thread is doing.

    Args:
        thread: its identifier, as `threading.get_ident` gives it.
        below: modules whose frames, and all that called them, tell nothing and are left out.
        frames_max: how many frames are told at most.

    Returns:
        The calls as in a traceback, the most recent one last; empty if the thread has ended, or is in one of
        those modules itself.
    """
    frame = sys._current_frames().get(thread)
    if frame is None:
        return ""
    told = takewhile(lambda step: step[0].f_globals.get("__name__") not in below, walk_stack(frame))
    summary = StackSummary.extract(islice(told, frames_max))
    summary.reverse()
    return "Most recent call last:\n" + "".join(summary.format()) if summary else ""
