"""The journal's settings name what is wrong with them."""

from __future__ import annotations

import pytest

from beaver_actors.journal.settings import JournalSettings


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"segment_bytes": 100}, "segment_bytes: expected at least 4096, got 100"),
        ({"segment_bytes": 9000, "reserve_bytes": 8999}, "reserve_bytes: expected at least 9000, got 8999"),
        ({"snapshots_kept": 1}, "snapshots_kept: expected at least 2, got 1"),
    ],
)
def test_a_value_out_of_range_is_named(values: dict[str, int], told: str) -> None:
    """By example."""
    with pytest.raises(ValueError, match=told):
        JournalSettings(**values)


def test_the_defaults_are_in_range() -> None:
    """By example."""
    assert JournalSettings().segment_bytes == 16 * 1024 * 1024
