"""When work is done on the loop: while it is quick, and once in a while to see whether it is again."""

from __future__ import annotations

import pytest

from beaver_actors.kernel.pace import REST, REST_SECONDS_MAX, SLOW_SECONDS, Pace


class Work:
    """Work that takes as long as it is told, on a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pace = Pace(lambda: self.now)

    def take(self, seconds: float, error: Exception | None = None) -> None:
        with self.pace.measured():
            self.now += seconds
            if error is not None:
                raise error


def test_work_is_quick_until_it_was_slow() -> None:
    """P11: and is tried again later."""
    work = Work()
    for _ in range(5):
        assert work.pace.is_quick()
        work.take(SLOW_SECONDS / 2)
    work.take(0.125)
    work.now += 0.125 * REST - 0.001
    assert not work.pace.is_quick()
    work.now += 0.002
    assert work.pace.is_quick()


def test_slow_work_holds_the_loop_up_for_a_small_part_of_the_time() -> None:
    """P11: whatever the disk does."""
    work = Work()
    held_up = 0.0
    for number in range(100_000):
        if work.pace.is_quick():
            seconds = (number % 7) / 100
            work.take(seconds)
            held_up += seconds
        work.now += 0.01
    assert 0 < held_up <= work.now / REST


def test_no_rest_is_longer_than_a_minute() -> None:
    """P11, by example: a disk that stood still for a minute is tried again after one."""
    work = Work()
    work.take(60)
    work.now += REST_SECONDS_MAX
    assert work.pace.is_quick()


def test_work_that_fails_counts() -> None:
    """P8: the error goes on, and slow is slow."""
    work = Work()
    with pytest.raises(OSError, match="broken"):
        work.take(1, OSError("broken"))
    assert not work.pace.is_quick()
