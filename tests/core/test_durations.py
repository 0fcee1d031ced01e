"""Durations: what people may write, and what is refused with a reason."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from beaver_actors.core.durations import DURATION_MS_MAX, parse_duration_ms, seconds


@pytest.mark.parametrize(
    ("written", "meant_ms"),
    [
        (0, 0), (1, 1_000), (0.25, 250), (1e-3, 1), ("250ms", 250), ("30s", 30_000), ("5m", 300_000),
        ("1h", 3_600_000), ("7d", 604_800_000), ("1.5h", 5_400_000), (" 2 s ", 2_000),
        ("36500d", DURATION_MS_MAX),
    ],
)  # fmt: skip
def test_a_duration_is_a_number_of_seconds_or_text_with_a_unit(written: object, meant_ms: int) -> None:
    """Examples of every form."""
    assert parse_duration_ms(written) == meant_ms


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("", 'got ""'),
        ("30", 'got "30"'),
        ("30 sec", 'got "30 sec"'),
        ("-1s", 'got "-1s"'),
        ("٣s", 'got "٣s"'),
        ("1e3s", 'got "1e3s"'),
        (True, "got True"),
        (None, "got null"),
        ([], "got []"),
        (-1, "expected a duration from 0 to 36500 days, got -1"),
        (-0.0001, "expected a duration from 0 to 36500 days, got -0.0001"),
        (float("nan"), "got nan"),
        (float("inf"), "got inf"),
        ("36501d", "expected a duration from 0 to 36500 days"),
        (10**30, "got a longer number"),
        ("x" * 100, "…"),
        (1e-5, "expected whole milliseconds, got 1e-05"),
    ],
)
def test_what_is_no_duration_is_refused_with_what_came(written: object, told: str) -> None:
    """Examples of every mistake; the text of the error is short whatever came."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the text is what is checked
        parse_duration_ms(written)
    assert told in str(caught.value)
    assert len(str(caught.value)) < 160


@given(st.integers(0, DURATION_MS_MAX))
def test_what_is_shown_in_seconds_is_read_back(duration_ms: int) -> None:
    """Round trip over all durations."""
    assert parse_duration_ms(seconds(duration_ms)) == duration_ms


@given(st.text() | st.floats() | st.integers() | st.none())
def test_any_value_is_a_duration_or_a_clear_error(value: object) -> None:
    """Fuzz: nothing but ValueError is raised."""
    try:
        told: int | str = parse_duration_ms(value)
    except ValueError as error:
        told = str(error)
    assert told.startswith("expected ") if isinstance(told, str) else 0 <= told <= DURATION_MS_MAX


def test_a_number_too_long_to_be_written_is_refused_too() -> None:
    """Python refuses to turn 5,000 digits into text; the error message must not try."""
    with pytest.raises(ValueError, match="got a longer number"):
        parse_duration_ms(10**5000)
