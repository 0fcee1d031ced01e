"""The clock: follows Trio, never runs backwards."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from beaver_actors.kernel.clock import Chance, Clock


async def test_the_clock_follows_trio_to_the_millisecond(autojump_clock: MockClock) -> None:
    clock = Clock(start_ms=1_000_000)
    for step in range(1, 2000):
        await trio.sleep(0.001)
        assert clock.now_ms() == 1_000_000 + step


async def test_a_deadline_is_met_exactly_when_the_clock_reads_its_time(autojump_clock: MockClock) -> None:
    clock = Clock(start_ms=5_000)
    await trio.sleep_until(clock.deadline(7_345))
    assert clock.now_ms() == 7_345


async def test_time_on_record_never_runs_backwards() -> None:
    """P3: a wall clock set back by an hour delays, and reorders nothing."""
    clock = Clock(start_ms=1_000, not_before_ms=3_601_000)
    assert clock.now_ms() >= 3_601_000
    assert clock.behind_ms == 3_600_000


def test_chance_with_a_seed_repeats_itself() -> None:
    one, two = Chance(7), Chance(7)
    assert [one.bits(64), one.dice()] == [two.bits(64), two.dice()]
    assert 0 <= Chance().dice() < 1
