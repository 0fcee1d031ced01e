"""Carrying out what was decided: its facts are folded, and what follows from them for jobs that waited is
decided and folded too. All of it is one atomic batch of the log.
"""

from __future__ import annotations

from beaver_actors.core.facts import Fact
from beaver_actors.core.families import SETTLED_MAX, settle
from beaver_actors.core.fold import fold_all
from beaver_actors.core.state import State


def carry_out(state: State, facts: list[Fact], now_ms: int) -> list[Fact]:
    """Fold these facts. Returns them with those that followed: children of jobs that ended become free to
    run or are cancelled, through the whole chain, at most `SETTLED_MAX` of them; ticks do the rest.

    Raises:
        AssertionError: as `fold`.
    """
    fold_all(state, facts)
    families = state.families
    if families is None or not families.ripe:
        return facts
    everything = list(facts)
    left = SETTLED_MAX
    while left and (more := list(settle(families, state.jobs, now_ms, left))):
        fold_all(state, more)
        everything += more
        left -= len(more)
    return everything


def is_settled(state: State) -> bool:
    """Whether nothing is left for a tick to settle."""
    return state.families is None or not state.families.ripe
