"""The numbers that can stand on disk. What lies beyond was never written by this program, however sound its
checksum is, and could not be shown, counted on or written again. It reads nothing; the codecs ask it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, TypeAlias

from msgspec import Meta

from beaver_actors.codec.wire_fields import ATTEMPTS_MAX, LSN_MAX as LSN_MAX, PRIORITY_MAX
from beaver_actors.codec.wire_times import TIME_MS_MAX as TIME_MS_MAX
from beaver_actors.core.durations import DURATION_MS_MAX
from beaver_actors.core.facts import FACTS, Fact
from beaver_actors.core.job import Terms

EPOCH_MAX = LSN_MAX
"""Half of what the field holds: every start counts on by one, and repair by one more."""

Time: TypeAlias = Annotated[int, Meta(ge=0, le=TIME_MS_MAX)]
Lsn: TypeAlias = Annotated[int, Meta(ge=0, le=LSN_MAX)]

_COUNTS = frozenset({"fence", "cursor", "looked_at", "changed", "refused"})
"""Positions and counts, which no fact can have more of than there are facts."""

_NUMBERS: Mapping[type[Fact], tuple[tuple[int, int], ...]] = {
    fact: tuple(
        (place, TIME_MS_MAX if name.endswith("_ms") else LSN_MAX)
        for place, name in enumerate(fact._fields)
        if name.endswith("_ms") or name in _COUNTS
    )
    for fact in FACTS
}
"""For each class of facts, the places of its numbers, and the most that may stand there."""


def beyond(facts: Sequence[Fact]) -> tuple[int, str] | None:
    """The position of the first fact, among facts of one class, with a number out of range, and the name of
    that field; None if there is none."""
    for place, most in _NUMBERS[type(facts[0])]:
        for position, fact in enumerate(facts):
            number = fact[place]
            if number is not None and not 0 <= number <= most:  # type: ignore[operator]  # see _NUMBERS
                return position, fact._fields[place]
    return None


def beyond_in_terms(terms: Terms) -> str | None:
    """The name of a field of these terms that no job can have; None if there is none."""
    return next((name for name, holds in _TERMS.items() if not holds(terms)), None)


_TERMS: Mapping[str, Callable[[Terms], bool]] = {
    "priority": lambda terms: abs(terms.priority) <= PRIORITY_MAX,
    "max_attempts": lambda terms: 1 <= terms.max_attempts <= ATTEMPTS_MAX,
    "timeout_ms": lambda terms: terms.timeout_ms is None or _is_duration(terms.timeout_ms),
    "retention_ms": lambda terms: terms.retention_ms is None or _is_duration(terms.retention_ms),
    "backoff.base_ms": lambda terms: _is_duration(terms.backoff.base_ms),
    "backoff.cap_ms": lambda terms: _is_duration(terms.backoff.cap_ms),
    "backoff.factor": lambda terms: math.isfinite(terms.backoff.factor) and terms.backoff.factor >= 0,
    "backoff.delays_ms": lambda terms: all(map(_is_duration, terms.backoff.delays_ms)),
}


def _is_duration(duration_ms: int) -> bool:
    return 0 <= duration_ms <= DURATION_MS_MAX
