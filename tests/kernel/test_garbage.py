"""The collector and a backlog that grows: what is frozen when, and when it is let go."""

from __future__ import annotations

import gc

import pytest

from beaver_actors.kernel.garbage import FREEZES_MAX, GROWTH, Gardener, tended


class Backlog:
    """So many jobs, and what the gardener did about them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.jobs = 0
        self.did: list[str] = []
        monkeypatch.setattr(gc, "freeze", lambda: self.did.append("freeze"))
        monkeypatch.setattr(gc, "unfreeze", lambda: self.did.append("unfreeze"))
        self.gardener = Gardener(lambda: self.jobs)

    def collected(self, generation: int, jobs: int) -> list[str]:
        """A collection has ended with so many jobs there; returns what followed."""
        self.jobs = jobs
        self.did.clear()
        self.gardener("start", {"generation": generation})
        self.gardener("stop", {"generation": generation})
        return list(self.did)


def test_what_has_grown_is_frozen_once_it_has_lasted(monkeypatch: pytest.MonkeyPatch) -> None:
    """P11: not after a collection of the youngest, and not before it has grown enough."""
    backlog = Backlog(monkeypatch)
    assert backlog.collected(1, GROWTH - 1) == []
    assert backlog.collected(0, GROWTH) == []
    assert backlog.collected(1, GROWTH) == ["freeze"]
    assert backlog.collected(1, 2 * GROWTH - 1) == []
    assert backlog.collected(1, GROWTH + 5) == []
    assert backlog.collected(1, 2 * GROWTH) == ["freeze"]


def test_a_small_backlog_lets_go_of_what_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """P11: a full collection then looks at all of it, before anything is frozen again."""
    backlog = Backlog(monkeypatch)
    assert backlog.collected(1, GROWTH) == ["freeze"]
    assert backlog.collected(1, 5) == ["unfreeze"]
    assert backlog.collected(1, 3 * GROWTH) == []
    assert backlog.collected(2, 3 * GROWTH) == ["freeze"]


def test_a_backlog_that_stays_large_is_looked_at_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """P11: cycles that were frozen alive do not pile up for ever."""
    backlog = Backlog(monkeypatch)
    for number in range(1, FREEZES_MAX + 1):
        assert backlog.collected(1, number * GROWTH) == ["freeze"]
    assert backlog.collected(1, FREEZES_MAX * GROWTH) == ["unfreeze"]


def test_the_collector_is_left_as_it_was() -> None:
    """P11: for a server within another program."""
    before = gc.get_threshold(), list(gc.callbacks)
    with tended(lambda: 0):
        assert gc.get_threshold() != before[0]
    assert (gc.get_threshold(), gc.callbacks) == before
