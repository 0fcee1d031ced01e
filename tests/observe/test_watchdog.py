"""The watchdog, on a real loop that is really blocked, for as long as it takes to be noticed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import trio

from beaver_actors.observe.watchdog import BEATS, Watchdog

WAIT_SECONDS = 30.0
"""For what takes half a second."""


class Watched:
    """A loop under a watchdog, and how to block it.

    Args:
        caplog: to read what was told.
        jobs: that run on the loop.
        options: of the watchdog.
    """

    def __init__(self, caplog: pytest.LogCaptureFixture, *jobs: str, **options: float) -> None:
        self._caplog = caplog
        self.watchdog = Watchdog(lambda: jobs, patience=0.5, **options)
        self.stood_still: list[float] = []
        self._turned_again = trio.Event()
        self.watchdog.turned_again = self._note

    def _note(self, seconds: float) -> None:
        self.stood_still.append(seconds)
        self._turned_again.set()

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The fields of the lines that begin so."""
        return [vars(record)["fields"] for record in self._caplog.records if record.message.startswith(event)]

    def block(self, until: Callable[[], bool]) -> None:
        """Stand still until this holds, which is looked at whenever a beat is missing."""
        over = threading.Event()

        def look() -> None:
            if until():
                over.set()

        self.watchdog.while_blocked = look
        assert over.wait(WAIT_SECONDS), "the watchdog has noticed nothing"

    async def turn_again(self) -> None:
        with trio.fail_after(WAIT_SECONDS):
            await self._turned_again.wait()


async def test_a_blocked_loop_is_told_with_its_jobs_and_the_place(caplog: pytest.LogCaptureFixture) -> None:
    """By blocking it: while it lasts, which jobs run and where the loop stands; afterwards, for how long."""
    watched = Watched(caplog, "spin 01", "wait 02")
    async with trio.open_nursery() as nursery:
        await nursery.start(watched.watchdog.run)

        async def inconsiderate() -> None:
            watched.block(
                lambda: watched.watchdog.blocked and bool(watched.lines("the event loop is blocked"))
            )

        nursery.start_soon(inconsiderate)
        await watched.turn_again()
        assert not watched.watchdog.blocked
        nursery.cancel_scope.cancel()
    (told,) = watched.lines("the event loop is blocked")
    assert told["jobs"] == ["spin 01", "wait 02"]
    assert told["seconds"] >= 0.4
    assert "in inconsiderate" in told["stack"]
    assert "trio/_core/_run.py" not in told["stack"]
    assert "test_a_blocked_loop" not in told["stack"]  # the test's own stack lies below the loop's
    (afterwards,) = watched.lines("the event loop turns again")
    assert afterwards["seconds"] == round(watched.stood_still[0], 1) >= told["seconds"]


async def test_a_loop_that_stays_blocked_is_told_of_again_and_again(caplog: pytest.LogCaptureFixture) -> None:
    """By blocking it for some repeats."""
    watched = Watched(caplog, repeat=0.1)
    async with trio.open_nursery() as nursery:
        await nursery.start(watched.watchdog.run)
        watched.block(lambda: len(watched.lines("the event loop is blocked")) == 3)
        await watched.turn_again()
        nursery.cancel_scope.cancel()
    seconds = [line["seconds"] for line in watched.lines("the event loop is blocked")]
    assert seconds == sorted(seconds)
    assert len(watched.stood_still) == 1


async def test_of_many_jobs_only_some_are_named(caplog: pytest.LogCaptureFixture) -> None:
    """A line of a thousand jobs would help nobody."""
    watched = Watched(caplog, *(f"spin {number}" for number in range(1000)))
    async with trio.open_nursery() as nursery:
        await nursery.start(watched.watchdog.run)
        watched.block(lambda: bool(watched.lines("the event loop is blocked")))
        await watched.turn_again()
        nursery.cancel_scope.cancel()
    (told,) = watched.lines("the event loop is blocked")
    assert told["jobs"] == [*(f"spin {number}" for number in range(20)), "and 980 more"]


async def test_a_loop_that_turns_is_not_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """For longer than the watchdog's patience, in beats; its thread ends with its task."""
    watched = Watched(caplog)
    async with trio.open_nursery() as nursery:
        await nursery.start(watched.watchdog.run)
        (thread,) = [thread for thread in threading.enumerate() if thread.name == "watchdog"]
        while watched.watchdog.beats < 2 * BEATS:
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    await trio.to_thread.run_sync(thread.join, WAIT_SECONDS)
    assert not thread.is_alive()
    assert not watched.lines("the event loop")
