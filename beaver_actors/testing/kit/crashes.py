"""Killing a handler at a chosen line: for a test that wants to know whether a job may safely run twice.

A step is a line of code in the handler's own file, the handler and what it calls there. Before the chosen one
the attempt dies: either by an exception that no handler catches by accident, or really, in a forked process
that is killed with SIGKILL.
"""

from __future__ import annotations

import inspect
import linecache
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple, NoReturn


class Killed(BaseException):
    """The attempt dies here."""


class Crash(NamedTuple):
    """A crash that a job has been through."""

    step: int
    """How many lines it came to, the one before which it died included."""
    where: str
    """That line; or that everything was done and nothing of it recorded."""
    job_id: str

    def __str__(self) -> str:
        return f"crash {self.step}, {self.where}, of job {self.job_id}"


class Killer:
    """Counts steps, and kills at one of them.

    Args:
        function: the handler; steps are lines of its file.
        step: at which step to kill, from 1.
        kill: how.
    """

    def __init__(self, function: Callable[..., Any], step: int, kill: Callable[[str], NoReturn]) -> None:
        self._file = inspect.unwrap(function).__code__.co_filename
        self._left = step
        self._kill = kill
        self._entered: set[tuple[FrameType, int]] = set()
        self.where = ""
        """Where it was killed; empty if it did not come so far."""

    def watch(self, work: Callable[[], object]) -> None:
        """Do the work, in this thread, under watch."""
        before = sys.gettrace()
        sys.settrace(self._called)
        try:
            work()
        except Killed:
            pass
        finally:
            sys.settrace(before)
            self._entered.clear()  # frames keep what stood in them alive

    def _called(self, frame: FrameType, event: str, argument: object) -> Any:
        return self._stepped if frame.f_code.co_filename == self._file and not self.where else None

    def _stepped(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line" and not self.where:
            line = linecache.getline(self._file, frame.f_lineno).strip()
            if self._is_step(frame, line):
                self._left -= 1
            if not self._left:
                self.where = f"before line {frame.f_lineno}, `{line}`"
                self._kill(self.where)
        return self._stepped

    def _is_step(self, frame: FrameType, line: str) -> bool:
        """The interpreter comes back to a `with` as the block ends. An exception just there would keep the
        block from being left at all, which neither a bug nor a kill does."""
        if not line.startswith(("with ", "async with ")):
            return True
        place = (frame, frame.f_lineno)
        returns = place in self._entered
        self._entered.add(place)
        return not returns


def die_by_exception(where: str) -> NoReturn:
    """Unwind the attempt: what stands in `finally` and `with` still happens."""
    raise Killed


def killed_in_a_fork(function: Callable[..., Any], step: int, work: Callable[[], object]) -> str:
    """Do the work in a forked process, which is killed at a step, or when the work is done.

    Returns:
        Where it was killed; empty if it was done.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reading)

            def die(where: str) -> NoReturn:
                os.write(writing, where.encode())
                os.kill(os.getpid(), signal.SIGKILL)
                raise AssertionError("SIGKILL was survived")

            Killer(function, step, die).watch(work)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(writing)
    with open(reading, "rb") as pipe:
        where = pipe.read().decode()
    os.waitpid(child, 0)
    return where
