"""Chance, for the length of pauses. The one place of the client that draws it, beside the making of ids."""

from __future__ import annotations

import secrets


def draw() -> float:
    """A number from [0, 1), from the system: many clients that were cut off together must not return in
    step."""
    return secrets.randbits(53) / 2**53
