"""What the client does with a refusal that may pass."""

from __future__ import annotations

from typing import Literal

import pytest

from beaver_actors.client.errors import Refused, refused
from beaver_actors.client.questions import RETRY_SECONDS, Patience


@pytest.mark.parametrize(
    ("told", "waits"),
    [
        (None, RETRY_SECONDS),
        (2.5, 2.5),
        (0, RETRY_SECONDS),
        (-5, RETRY_SECONDS),
        (10**400, 60),
        (1e300, 60),
    ],
)
def test_a_client_waits_as_long_as_it_is_told_within_its_patience(told: float | None, waits: float) -> None:
    """By example: a number that makes no sense is no wait at all, or a longer one than the caller has."""
    assert Patience(60).wait_seconds(refused("overloaded", "busy", told), dice=0.0) == waits


@pytest.mark.parametrize("code", ["draining", "queue_full"])
def test_nobody_waits_for_a_queue_that_somebody_must_open(code: Literal["draining", "queue_full"]) -> None:
    """By example: without a time to come back it lasts; with one, as of a server that stops, it passes."""
    with pytest.raises(Refused):
        Patience(60).wait_seconds(refused(code, "closed"), dice=0.0)
    assert Patience(60).wait_seconds(refused(code, "closed", 1), dice=0.0) == 1


def test_patience_is_used_up() -> None:
    """By example: what is left grows no longer, whatever the server says."""
    patience, busy = Patience(3), refused("overloaded", "busy", -100)
    assert [patience.wait_seconds(busy, dice=0.0) for _ in range(3)] == [1, 1, 1]
    with pytest.raises(Refused):
        patience.wait_seconds(busy, dice=0.0)
