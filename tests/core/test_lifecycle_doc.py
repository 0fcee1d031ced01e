"""The picture of the lifecycle in the documentation is the table that the core goes by."""

from __future__ import annotations

from beaver_actors.core.job import DEAD_REASONS, JobState
from scripts.lifecycle import FILE, text


def test_the_picture_is_drawn_from_the_table() -> None:
    """After a change of the table: python scripts/lifecycle.py --write."""
    assert FILE.read_text(encoding="utf-8") == text()


def test_the_page_explains_every_state_and_every_reason_to_give_up() -> None:
    """By name, in code letters."""
    page = FILE.read_text(encoding="utf-8")
    for word in (*JobState, *DEAD_REASONS):
        assert f"`{word}`" in page, word
