"""What processes do that work beside a running server: they give way to it, and die with it."""

from __future__ import annotations

import gc
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

NICENESS = 10  # half-way down: the server's loop goes first wherever both want the processor
ORPHANED = 3  # exit code
TURN_SECONDS = 0.001
"""How long is worked, and how long rested after it. A longer turn would be ended by nothing but the kernel's
tick, up to 4 ms later; and who has slept for longer is let onto a processor before those who have not."""
RESTS_MAX = 5_000
"""Of one piece of work. What takes longer is wanted sooner: the log grows meanwhile."""


def give_way() -> None:
    """Leave processor and memory to the server, and end when it ends: standard input is watched, which it
    holds open as long as it lives."""
    Thread(target=_die_with_parent, name="parent watch", daemon=True).start()
    os.nice(NICENESS)
    gc.disable()  # a state is a million objects without cycles, and the process is short-lived


def _die_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(ORPHANED)


@contextmanager
def resting() -> Iterator[None]:
    """Within, the main thread rests as long as it works, in turns of a millisecond, for five seconds in all.

    A server's loop and its clients work for a fraction of a millisecond at a time. Being `nice` does not help
    them much: whoever computes without a pause is on a processor whenever they want it. Uses SIGALRM.
    """
    left = RESTS_MAX

    def rest(*_: object) -> None:
        nonlocal left
        time.sleep(TURN_SECONDS)
        left -= 1
        if left > 0:
            signal.setitimer(signal.ITIMER_REAL, TURN_SECONDS)

    before = signal.signal(signal.SIGALRM, rest)
    signal.setitimer(signal.ITIMER_REAL, TURN_SECONDS)
    try:
        yield
    finally:
        left = 0
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
