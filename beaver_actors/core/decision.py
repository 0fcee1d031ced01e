"""What a decision is: the facts to fold and to write, and the answer that depends on them."""

from __future__ import annotations

from typing import NamedTuple

from beaver_actors.core.answers import Answer, RefusalCode, Refused
from beaver_actors.core.facts import Fact


class Decision(NamedTuple):
    """Facts to fold and to write, and the answer to give once they are on disk."""

    facts: list[Fact]
    answer: Answer


def refuse(code: RefusalCode, message: str, retry_after_ms: int | None = None) -> Decision:
    """Nothing changes, and the asker learns why."""
    return Decision([], Refused(code, message, retry_after_ms))
