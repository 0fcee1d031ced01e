"""Drains that meet something unusual: a handler that will not go, a lease under way, a node just started."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from beaver_actors.core.answers import LeasedJob
from beaver_actors.core.invariants import check
from beaver_actors.core.job import JobState
from beaver_actors.core.outcome import Outcome, Succeeded
from tests.actors.world import running


async def test_a_drain_waits_for_a_handler_that_will_not_go_and_tells_of_it(
    autojump_clock: MockClock,
) -> None:
    """P3: what it returns in the end is its result, although it was told to stop long before."""

    async def work(job: LeasedJob) -> Outcome:
        with trio.CancelScope(shield=True):
            await trio.sleep(60)
        return Succeeded(b"7")

    async with running(work, grace=10) as world:
        await world.enqueue("a")
        await world.until("a", JobState.IN_FLIGHT)
        began = trio.current_time()
    assert trio.current_time() - began == pytest.approx(60, abs=0.1)
    assert world.watcher.lingering_count == 1
    assert world.state.jobs["a"].state is JobState.COMPLETED


async def test_a_node_that_is_told_to_stop_before_it_has_begun_leaves_everything_as_it_was(
    autojump_clock: MockClock,
) -> None:
    """P3: the signal came during recovery. What was leased nevertheless has ended or gone back."""
    async with running(workers=4) as world:
        world.orders.drain.set()
        await world.enqueue(*(f"j{number}" for number in range(100)))
    check(world.state)
    states = {job.state for job in world.state.jobs.values()}
    assert states <= {JobState.PENDING, JobState.COMPLETED}
    assert world.state.totals.rescued == 0


async def test_a_drain_at_any_moment_hands_every_lease_back(autojump_clock: MockClock) -> None:
    """P3, P12: leases ahead, leases on their way, attempts under way; a drain after each of many delays."""

    async def work(job: LeasedJob) -> Outcome:
        await trio.sleep(0.003)
        return Succeeded()

    for step in range(60):
        async with running(work, workers=3, ahead_max=20, grace=0.002) as world:
            await world.enqueue(*(f"j{number}" for number in range(60)))
            await trio.sleep(step * 0.0017)
        check(world.state)
        assert not world.state.in_flight
        assert not world.board.fences
        assert world.state.totals.rescued == 0
        for job in world.state.jobs.values():
            assert job.attempt == (1 if job.state is JobState.COMPLETED else 0)
