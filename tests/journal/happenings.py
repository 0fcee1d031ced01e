"""The facts that the tests of the journal share."""

from __future__ import annotations

from beaver_actors.testing.journal_facts import (
    NOON_MS as NOON_MS,
    TERMS as TERMS,
    essence as essence,
    happen as happen,
    state_after as state_after,
)
