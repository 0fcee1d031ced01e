"""When a schedule is due: intervals, the newest times of a stretch, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, strategies as st

from beaver_actors.almanac.timing import COUNTED_MAX, check_timing, due_times, next_times, times
from beaver_actors.core.job import Terms
from beaver_actors.core.schedule import Plan

NOON_MS = 1_800_000_000_000
DAY_MS = 86_400_000


def every(every_ms: int) -> Plan:
    return Plan(Terms("k"), every_ms=every_ms)


def cron(text: str, tz: str = "UTC") -> Plan:
    return Plan(Terms("k"), cron=text, tz=tz)


def test_an_interval_is_counted_from_1970() -> None:
    """P5: setting it again, on another server too, does not shift it."""
    assert next_times(every(7_000), 0, 3) == [7_000, 14_000, 21_000]
    assert next_times(every(7_000), 6_999, 1) == next_times(every(7_000), 0, 1) == [7_000]
    assert next_times(every(7_000), 7_000) == [14_000]


@given(
    st.sampled_from(
        [every(90_000), every(3_600_000), cron("*/5 * * * *"), cron("30 2 * * *", "Europe/Berlin")]
    ),
    st.integers(0, 40 * DAY_MS),
    st.integers(0, 3 * DAY_MS),
    st.integers(1, 9),
)
def test_the_newest_times_of_a_stretch_are_those_of_the_walk_over_it(
    plan: Plan, start_ms: int, length_ms: int, most: int
) -> None:
    """P6, by property: the newest so many, and how many before them."""
    after_ms, until_ms = NOON_MS + start_ms, NOON_MS + start_ms + length_ms
    walked = []
    for at_ms in times(plan, after_ms):
        if at_ms > until_ms:
            break
        walked.append(at_ms)
    due = due_times(plan, after_ms, until_ms, most)
    assert list(due.times_ms) == walked[-most:]
    counted = len(walked) if plan.every_ms is not None else min(len(walked), max(COUNTED_MAX, most))
    assert due.earlier == counted - len(walked[-most:])


def test_a_stretch_of_years_costs_no_more_than_one_of_days() -> None:
    """P11: the clock of a machine without a battery begins in 1970."""
    for plan in (every(1_000), cron("* * * * *", "America/New_York"), cron("0 0 29 2 *")):
        due = due_times(plan, 0, NOON_MS, 101)
        assert due.times_ms[-1] <= NOON_MS < next_times(plan, due.times_ms[-1])[0]
    assert due_times(every(1_000), 0, NOON_MS, 101).earlier == NOON_MS // 1_000 - 101
    assert due_times(cron("* * * * *"), 0, NOON_MS, 101).earlier == COUNTED_MAX - 101


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ((None, None, None), "cron: expected cron or every, got neither"),
        (("@daily", "5m", None), "cron: expected cron or every, got both"),
        ((7, None, None), "cron: expected text, got 7"),
        (("@daily", None, 7), "tz: expected text, got 7"),
        ((None, "5m", "UTC"), "tz: expected none with every, which counts from 1970 in UTC"),
        ((None, "soon", None), "every: expected"),
        ((None, 0.5, None), "every: expected 1 s to 366 d, got 0.5"),
        ((None, "400d", None), "every: expected 1 s to 366 d"),
        ((None, True, None), "every: expected"),
        (("@daily", None, "Mars/Olympus"), "tz: expected a time zone such as Europe/Berlin"),
        (("0 0 31 2 *", None, None), "cron: expected a time that comes"),
    ],
)
def test_a_timing_that_makes_no_sense_is_refused(given_: tuple[Any, Any, Any], message: str) -> None:
    """By example: the field, what was expected and what came."""
    with pytest.raises(ValueError, match=re.escape(message)):
        check_timing(*given_)


def test_a_timing_that_is_good_is_read() -> None:
    assert check_timing("@daily", None, None) == ("@daily", None, "UTC")
    assert check_timing("0 3 * * *", None, "Asia/Kathmandu") == ("0 3 * * *", None, "Asia/Kathmandu")
    assert check_timing(None, "90s", None) == (None, 90_000, "UTC")
