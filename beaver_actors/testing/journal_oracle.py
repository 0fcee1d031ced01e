"""What the journal's callers were told, and whether what a restart brings back agrees with it.

The whole promise in one place (P3): everything acknowledged is there, nothing is there that was not sent,
a commit is there as a whole or not at all, and what is there is what was sent.
"""

from __future__ import annotations

from collections.abc import Sequence

from beaver_actors.core.facts import Fact
from beaver_actors.core.fold import fold
from beaver_actors.core.invariants import check
from beaver_actors.core.state import State
from beaver_actors.journal.recovery import Recovered
from beaver_actors.testing.journal_facts import essence


class Told:
    """Kept on the other side of the journal."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        """Acknowledged; the first one has LSN 1."""
        self.undecided: Sequence[Fact] = ()
        """Sent, and neither acknowledged nor refused."""
        self.epoch = 0
        """Of the latest life that came to serve."""
        self.state = State()
        """After the acknowledged facts."""
        self._state_sent = self.state
        """After those that were sent."""

    @property
    def head(self) -> int:
        return len(self.facts)

    def send(self, facts: Sequence[Fact], state: State) -> None:
        """These are about to be appended, and bring this state."""
        assert not self.undecided, "one append at a time"
        self.undecided = facts
        self._state_sent = state

    def acknowledge(self, lsn: int) -> None:
        """The append has returned: they are on disk."""
        for fact in self.undecided:
            fold(self.state, fact)
        self.facts += self.undecided
        self.undecided = ()
        assert lsn == self.head, f"acknowledged LSN {lsn} after {self.head} facts"

    def refuse(self) -> None:
        """The append was refused: they are definitely not on disk, and will not come back."""
        self.undecided = ()

    def expect(self, recovered: Recovered) -> None:
        """Hold against it what a start has brought back, and take it for acknowledged: it is served now."""
        self.expect_possible(recovered)
        if recovered.state.lsn == self.head:
            self.undecided = ()
        self.acknowledge(recovered.state.lsn)
        self.epoch = recovered.journal.epoch

    def expect_possible(self, recovered: Recovered) -> None:
        """Hold against it what a start would have brought back, had the disk been left in this way."""
        head, sent = recovered.state.lsn, self.head + len(self.undecided)
        assert head in (self.head, sent), (
            f"recovered up to LSN {head}, but {self.head} facts were acknowledged and {sent} sent"
        )
        found = essence(recovered.state)
        wanted = essence(self.state if head == self.head else self._state_sent)
        assert found == wanted, f"recovered {found} instead of {wanted}"
        check(recovered.state)
        journal = recovered.journal
        assert journal.head == head, f"the journal's head is {journal.head}, the state's {head}"
        assert journal.epoch > self.epoch, f"epoch {journal.epoch} after {self.epoch}"

    def expect_history(self, found: Sequence[tuple[int, Fact]], from_lsn: int, limit: int) -> None:
        """Hold against it what was read back from the log."""
        wanted = list(enumerate(self.facts[from_lsn - 1 : from_lsn - 1 + limit], start=from_lsn))
        assert list(found) == wanted, f"read {found} from LSN {from_lsn} on instead of {wanted}"
