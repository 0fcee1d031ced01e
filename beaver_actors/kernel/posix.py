"""What a program asks of the system for its own process. No Trio: worker processes use it too."""

from __future__ import annotations

import os
import resource
import sys


def empty_input() -> None:
    """Make the standard input empty, for this process and for those it starts: whoever reads it finds the end
    at once instead of waiting for a terminal. Who needs what was there, keeps a copy of descriptor 0."""
    if sys.__stdin__ is None:
        return  # the process was started without one; descriptor 0 may be anything by now
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def allow_descriptors(needed: int) -> int | None:
    """See to it that this process may have so many files and connections open.

    The soft limit is raised as far as needed and no further: old code that uses `select` breaks on
    descriptors above 1023, and need not meet them.

    Returns:
        None if it may; otherwise the limit that stands, which is all that could be had.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if _reaches(soft, needed):
        return None
    wanted = needed if _reaches(hard, needed) else hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # a system may have limits of its own that it does not show here
        return soft
    return None if wanted == needed else wanted


def _reaches(limit: int, needed: int) -> bool:
    return limit == resource.RLIM_INFINITY or limit >= needed
