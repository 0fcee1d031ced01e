"""How figures and times are written for people."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from beaver_actors.cli.text import ago, clock_time, compact, cut, duration, printable, rate, size, time_of_day


@pytest.mark.parametrize(
    ("duration_ms", "shown"),
    [
        (0, "0 ms"),
        (340, "340 ms"),
        (999.6, "1 s"),
        (2_500, "2.5 s"),
        (59_940, "59.9 s"),
        (59_990, "1 m"),
        (60_000, "1 m"),
        (200_000, "3 m 20 s"),
        (3_600_000, "1 h"),
        (90 * 60_000, "1 h 30 m"),
        (86_400_000 * 5 + 7_200_000 + 59_000, "5 d 2 h"),
    ],
)
def test_a_duration_is_written_in_its_two_largest_units(duration_ms: float, shown: str) -> None:
    """By example."""
    assert duration(duration_ms) == shown


@given(st.floats(min_value=0, max_value=1e13))
def test_every_duration_can_be_written(duration_ms: float) -> None:
    """By property: a number, a unit, and no minute of sixty seconds."""
    shown = duration(duration_ms)
    assert shown[0].isdigit()
    words = shown.split()
    assert ("60", "s") not in pairwise(words)
    assert ("60", "m") not in pairwise(words)


def test_a_moment_is_seen_from_now() -> None:
    """By example, in both directions."""
    assert ago(1_000_000, 1_200_000) == "3 m 20 s ago"
    assert ago(1_000_000, 998_000) == "in 2 s"
    assert ago(1_000_000, 1_000_400) == "now"
    assert ago(None, 0) == "–"


@pytest.mark.parametrize(
    ("size_bytes", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1_258_291, "1.2 MiB"),
        (2**50, "1,024 TiB"),
        (1023 * 1024, "0.999 MiB"),
    ],
)
def test_a_size_is_written_in_a_handy_unit(size_bytes: int, shown: str) -> None:
    """By example."""
    assert size(size_bytes) == shown


def test_a_rate_has_no_false_precision() -> None:
    """By example."""
    assert [rate(figure) for figure in (0, 0.25, 3.14159, 12.7, 1240.4)] == [
        "0/s",
        "0.25/s",
        "3.1/s",
        "13/s",
        "1,240/s",
    ]


def test_a_time_is_shown_by_the_wall_clock() -> None:
    """By example: whatever the zone of this machine, minutes and smaller are the same."""
    assert clock_time(1_795_470_720_250).endswith(":52:00.250")
    assert time_of_day(1_795_470_720_250) == clock_time(1_795_470_720_250)[11:]


@given(st.text())
def test_no_text_of_a_job_can_steer_the_terminal(text: str) -> None:
    """By property: neither an escape character nor a change of the direction of writing is let through."""
    for shown in (cut(text), printable(text), compact(text)):
        assert not set(shown) & set("\x1b\x07\x08\r\x7f\x9b\u202e\u2066")
    assert len(cut(text, 10)) <= 10


def test_a_value_is_shown_as_json() -> None:
    """By example: what is shown can be read back as long as it is not cut."""
    value = {"path": "a\nb", "n": [1, None, True], "name": "Žižka"}
    assert json.loads(compact(value)) == value
    assert compact(value, 12) == '{"path": "a…'
