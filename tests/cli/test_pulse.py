"""Rates out of totals that only grow."""

from __future__ import annotations

from beaver_actors.cli.pulse import WINDOW_MS, Pulse, sparkline


def test_one_moment_tells_no_rate() -> None:
    """By example."""
    pulse = Pulse()
    assert pulse.per_second("completed") == 0
    pulse.feel(1_000, {"completed": 50})
    assert pulse.per_second("completed") == 0
    assert pulse.bars("completed") == ""


def test_a_rate_is_taken_over_the_last_ten_seconds() -> None:
    """By example: what happened before the window does not count."""
    pulse = Pulse()
    pulse.feel(0, {"completed": 0})
    for second in range(1, 21):
        done = 1_000 if second <= 8 else 1_000 + (second - 8) * 5
        pulse.feel(second * 1_000, {"completed": done})
    assert WINDOW_MS == 10_000
    assert pulse.per_second("completed") == 5


def test_the_same_moment_twice_changes_nothing() -> None:
    """By example: a repeated status must not divide by zero."""
    pulse = Pulse()
    pulse.feel(1_000, {"completed": 1})
    pulse.feel(2_000, {"completed": 3})
    pulse.feel(2_000, {"completed": 3})
    assert pulse.per_second("completed") == 2


def test_totals_that_shrink_begin_a_new_story() -> None:
    """By example: another server behind the same address has another past."""
    pulse = Pulse()
    pulse.feel(1_000, {"completed": 1_000})
    pulse.feel(2_000, {"completed": 1_100})
    pulse.feel(3_000, {"completed": 4})
    assert pulse.per_second("completed") == 0
    pulse.feel(4_000, {"completed": 6})
    assert pulse.per_second("completed") == 2


def test_bars_stand_for_figures() -> None:
    """By example: only nothing at all has the lowest bar."""
    assert sparkline([]) == ""
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([0, 1, 500, 1_000]) == "▁▂▅█"
