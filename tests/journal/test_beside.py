"""Resting, in a process of its own: this one's alarm clock belongs to the test runner."""

from __future__ import annotations

import subprocess
import sys

import pytest

WORK = """
import signal, time
from beaver_actors.journal import beside

rests, beside.RESTS_MAX = [], {rests_max}
slept = time.sleep
beside.time.sleep = lambda seconds: (rests.append(seconds), slept(seconds))
try:
    with beside.resting():
        while len(rests) < {wanted}:
            pass
        {then}
except ZeroDivisionError:
    pass
print(len(rests), set(rests), signal.getitimer(signal.ITIMER_REAL), signal.getsignal(signal.SIGALRM).name)
"""


@pytest.mark.process
@pytest.mark.parametrize("then", ["pass", "1 / 0"])
def test_whoever_works_rests_in_between_and_leaves_no_alarm_behind(then: str) -> None:
    """It never rests longer than a turn, and an error comes out as it is."""
    rests, *rest = work(rests_max=5_000, wanted=20, then=then)
    assert int(rests) >= 20
    assert rest == ["{0.001}", "(0.0,", "0.0)", "SIG_DFL"]


@pytest.mark.process
def test_there_is_an_end_to_the_rests() -> None:
    """What takes long must not take for ever: the timer is not set again."""
    then = "assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)"
    assert work(rests_max=3, wanted=3, then=then)[0] == "3"


def work(**how: object) -> list[str]:
    """What the process prints."""
    command = [sys.executable, "-c", WORK.format(**how)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()
