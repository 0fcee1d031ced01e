"""Stacks of running threads, as text."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from beaver_actors.kernel.stacks import stack_of

WAIT_SECONDS = 30.0


class Sleeper:
    """A thread that waits, a few calls deep."""

    def __init__(self, depth: int) -> None:
        self.may_end = threading.Event()
        self.waiting = threading.Event()
        self.thread = threading.Thread(target=self.dive, args=(depth,))

    def dive(self, depth: int) -> None:
        if depth:
            self.dive(depth - 1)
        else:
            self.waiting.set()
            assert self.may_end.wait(WAIT_SECONDS)


@contextmanager
def sleeping(depth: int = 0) -> Iterator[int]:
    """The identifier of a thread that waits meanwhile."""
    sleeper = Sleeper(depth)
    sleeper.thread.start()
    assert sleeper.waiting.wait(WAIT_SECONDS)
    assert sleeper.thread.ident is not None
    try:
        yield sleeper.thread.ident
    finally:
        sleeper.may_end.set()
        sleeper.thread.join()


def test_a_stack_ends_with_the_innermost_call() -> None:
    """As in a traceback, without what lies below."""
    with sleeping() as thread:
        text = stack_of(thread, {"threading"}, 50)
        assert text == ""  # it waits in a function of that very module
        lines = stack_of(thread, {"nobody"}).splitlines()
    assert lines[0] == "Most recent call last:"
    places = [line for line in lines if line.startswith("  File")]
    assert places[-1].endswith("in wait")
    assert any(place.endswith("in dive") for place in places)


def test_what_called_the_modules_named_is_left_out() -> None:
    """The frames of this test's own module stand for a framework's."""
    with sleeping() as thread:
        text = stack_of(thread, {__name__})
    assert "in wait" in text
    assert "in dive" not in text
    assert "in run" not in text  # of the thread, which called us


def test_a_deep_stack_is_told_from_its_inner_end() -> None:
    """A recursion of a thousand calls makes no log line of a thousand lines."""
    with sleeping(500) as thread:
        text = stack_of(thread, set(), 5)
    assert text.count("  File") == 5
    assert "in wait" in text


def test_a_thread_that_has_ended_has_no_stack() -> None:
    """Its identifier may be asked for all the same."""
    with sleeping() as thread:
        pass
    assert stack_of(thread, set()) == ""
