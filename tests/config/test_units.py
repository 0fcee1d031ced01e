"""Sizes, and durations written back."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from beaver_actors.config import format_duration, format_size, parse_size
from beaver_actors.core.durations import DURATION_MS_MAX, parse_duration_ms

WRONG_TEXTS = ("", "16", "16M", "MiB", "-1MiB", "1 000B", "1e3B", "0.1B", "٣B", "9999999TiB", "1MiB\n")


@pytest.mark.parametrize(
    ("written", "size_bytes"),
    [
        (0, 0),
        (512, 512),
        ("512B", 512),
        ("1kB", 1000),
        ("8MB", 8_000_000),
        ("16MiB", 16 * 2**20),
        ("16mib", 16 * 2**20),
        (" 1.5 GiB ", 3 * 2**29),
        ("1TiB", 2**40),
    ],
)
def test_a_size_may_be_a_number_of_bytes_or_text_with_a_unit(written: object, size_bytes: int) -> None:
    """By examples: powers of 1000 and of 1024 are told apart."""
    assert parse_size(written) == size_bytes


@pytest.mark.parametrize(
    "written",
    [*WRONG_TEXTS, -1, 2**63, 1.5, True, None, [1], float("nan")],
)
def test_a_size_that_makes_no_sense_is_refused_with_what_came(written: object) -> None:
    """By examples: nothing is guessed, and the message says what was expected."""
    with pytest.raises(ValueError, match=r"^expected .*, got "):
        parse_size(written)


@given(st.integers(0, 2**63 - 1))
def test_a_size_written_back_reads_the_same(size_bytes: int) -> None:
    """Round trip over all sizes, as far as fifteen digits name them."""
    text = format_size(size_bytes)
    if len(text) <= 16:
        assert parse_size(text) == size_bytes


@given(st.integers(0, DURATION_MS_MAX))
def test_a_duration_written_back_reads_the_same(duration_ms: int) -> None:
    """Round trip over all durations."""
    assert parse_duration_ms(format_duration(duration_ms)) == duration_ms


def test_defaults_are_written_as_people_write_them() -> None:
    """By examples: the largest unit that leaves a whole number."""
    assert [format_duration(ms) for ms in (0, 250, 30_000, 90_000, 1_800_000, 86_400_000)] == [
        "0s",
        "250ms",
        "30s",
        "90s",
        "30m",
        "1d",
    ]
    assert [format_size(size) for size in (0, 1000, 1024, 3 * 2**29)] == ["0B", "1000B", "1KiB", "1536MiB"]
