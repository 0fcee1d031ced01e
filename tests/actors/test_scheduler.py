"""Schedules in a running node: they fire by the wall clock, once, and nothing is lost for want of room."""

from __future__ import annotations

from typing import Any

import trio
from trio.testing import MockClock

from beaver_actors.core.answers import Changed, LeasedJob, Schedules, ScheduleView
from beaver_actors.core.commands import ListSchedules, PauseSchedule, Policy, SetSchedule
from beaver_actors.core.facts import JobCancelled, ScheduleFired
from beaver_actors.core.job import Terms
from beaver_actors.core.outcome import Outcome
from beaver_actors.core.schedule import Plan
from tests.actors.world import World, running

START_MS = 1_000_000
"""What the clock of a world shows first."""


async def have(world: World, name: str = "s", *, wall_ms: int = START_MS, **plan: Any) -> None:
    wanted = Plan(Terms("work"), **({"every_ms": 10_000} | plan))
    assert isinstance(await world.ask(SetSchedule(name, wanted, wall_ms)), Changed)


async def shown(world: World, name: str = "s") -> ScheduleView:
    answer = await world.ask(ListSchedules(name))
    assert isinstance(answer, Schedules)
    return answer.schedules[0]


def fires(world: World) -> list[tuple[int | None, str | None]]:
    """For each fire the seconds after the start that it was for, and the reason if it brought no job."""
    return [
        (None if fact.nominal_ms is None else (fact.nominal_ms - START_MS) // 1000, fact.reason)
        for fact in world.log.facts
        if isinstance(fact, ScheduleFired)
    ]


async def test_a_schedule_fires_at_its_times(autojump_clock: MockClock) -> None:
    """P3: each time once, and its job runs."""
    async with running() as world:
        await have(world)
        await trio.sleep(35)
        assert fires(world) == [(10, None), (20, None), (30, None)]
        assert len(world.began) == 3


async def test_a_schedule_that_is_set_is_heeded_at_once(autojump_clock: MockClock) -> None:
    """P3: nobody waits for the next look at the clock, and a paused one is left alone."""
    async with running() as world:
        await trio.sleep(100)
        await have(world, wall_ms=START_MS + 100_000, every_ms=1_000)
        await trio.sleep(1.5)
        assert fires(world) == [(101, None)]
        await world.ask(PauseSchedule("s"))
        await trio.sleep(60)
        assert len(fires(world)) == 1


async def test_the_job_before_is_stopped_if_the_schedule_says_so(autojump_clock: MockClock) -> None:
    """P3: as by anyone's cancel: its handler stops, and the next one has the place."""
    running_now: set[str] = set()
    most = 0

    async def work(job: LeasedJob) -> Outcome:
        nonlocal most
        running_now.add(job.job_id)
        most = max(most, len(running_now))
        try:
            await trio.sleep_forever()
        finally:
            running_now.remove(job.job_id)
        raise AssertionError("unreachable")

    async with running(work) as world:
        await have(world, overlap="cancel_old")
        await trio.sleep(45)
        assert fires(world) == [(10, None), (20, None), (30, None), (40, None)]
        cancelled = [fact for fact in world.log.facts if isinstance(fact, JobCancelled)]
        assert len(cancelled) == 3
        assert len(running_now) == 1
    assert most <= 2


async def test_a_machine_that_was_suspended_makes_up_for_what_it_missed(autojump_clock: MockClock) -> None:
    """P6: the wall clock is an hour on at once, as after downtime; one job, and a word about the others."""
    async with running() as world:
        await have(world, every_ms=600_000)
        await have(world, "none", every_ms=600_000, catch_up="none")
        await trio.sleep(1)
        world.wall_ahead_ms = 3_661_000
        await trio.sleep(2)
        one, none = await shown(world), await shown(world, "none")
        assert (one.fired, one.skipped) == (1, 5)
        assert (none.fired, none.skipped) == (0, 6)
        assert one.through_ms == none.through_ms == 4_200_000


async def test_a_clock_that_is_set_back_repeats_nothing(autojump_clock: MockClock) -> None:
    """P5: times up to the last one on record are dealt with."""
    async with running() as world:
        await have(world)
        await trio.sleep(25)
        world.wall_ahead_ms = -20_000
        await trio.sleep(20)
        assert fires(world) == [(10, None), (20, None)]
        await trio.sleep(10)
        assert fires(world) == [(10, None), (20, None), (30, None)]


async def test_what_finds_no_room_is_brought_again(autojump_clock: MockClock) -> None:
    """P7, P11: told, tried every second, and dealt with once there is room."""
    async with running(policy=Policy(served_kinds=frozenset({"work"}))) as world:
        await have(world)
        world.full = True
        await trio.sleep(12)
        assert fires(world) == []
        assert world.watcher.fires_refused
        world.full = False
        await trio.sleep(3)
        assert fires(world) == [(10, None)]


async def test_who_has_waited_longest_for_room_comes_first(autojump_clock: MockClock) -> None:
    """P11: where there is room for one job at a time, no schedule waits for ever behind another."""
    async with running(policy=Policy(served_kinds=frozenset({"work"}))) as world:
        await have(world, "a", every_ms=20_000)
        await have(world, "b", every_ms=5_000)
        world.full = True
        await trio.sleep(22)
        assert fires(world) == []
        world.full = False
        await trio.sleep(2)
        brought = [
            fact.schedule for fact in world.log.facts if isinstance(fact, ScheduleFired) and fact.job_id
        ]
        assert brought == ["b", "a"]
