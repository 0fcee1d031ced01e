"""Times on the wire."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from beaver_actors.codec.wire_times import TIME_MS_MAX, parse_time_ms, time_text


@pytest.mark.parametrize(
    ("written", "meant_ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-09-01T08:00:00Z", 1_788_249_600_000),
        ("2026-09-01t08:00:00.123456789z", 1_788_249_600_123),
        ("2026-09-01 10:00:00.5+02:00", 1_788_249_600_500),
        ("1900-01-01T00:00:00Z", 0),
        ("9999-12-31T23:59:59.999Z", TIME_MS_MAX),
    ],
)
def test_a_time_is_rfc_3339(written: str, meant_ms: int) -> None:
    """Examples; before 1970 is as good as 1970."""
    assert parse_time_ms(written) == meant_ms


@pytest.mark.parametrize(
    "written",
    ["", "tomorrow", "2026-09-01", "2026-09-01T08:00:00", "2026-09-01T08:00Z", "2026-13-01T08:00:00Z",
     "2026-09-01T24:00:01Z", "2026-W01-1T08:00:00Z", "２026-09-01T08:00:00Z", "2026-09-01T08:00:00+25:00",
     "2026-09-01T08:00:00Z\n", "9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00Z"],
)  # fmt: skip
def test_what_is_no_time_is_refused(written: str) -> None:
    """Examples; the last second that can be written is the last that is taken."""
    with pytest.raises(ValueError, match="expected a time"):
        parse_time_ms(written)


@given(st.integers(0, TIME_MS_MAX))
def test_a_written_time_is_read_back(at_ms: int) -> None:
    """Round trip over all times, and against the standard library."""
    text = time_text(at_ms)
    assert parse_time_ms(text) == at_ms
    assert text == datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + (
        f".{at_ms % 1000:03}Z"
    )


@given(st.text())
def test_any_text_is_a_time_or_a_clear_error(text: str) -> None:
    """Fuzz: nothing but ValueError is raised."""
    told = ""
    try:
        parse_time_ms(text)
    except ValueError as error:
        told = str(error)
    assert not told or told.startswith("expected a time")
