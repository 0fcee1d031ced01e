"""The weather of one life of the journal: in which of its disk calls it dies, and which of them fail.

Drawn once, at the start of the life, so that a life is told by a few numbers. Many ends and troubles aim at
a kind of file or call rather than at a number of calls, or what is seldom done would seldom be hit. What a
fault does to the files is the disk's business.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from beaver_actors.testing.disk import ProcessDied, broken, no_space
from beaver_actors.testing.journal_report import PLACES, TAKE_ROOM, Moment, file_kind

_AIMS = [(call, file) for file, calls in PLACES.items() for call in calls]
_AIMS_OF_TROUBLE: dict[str, list[tuple[str | None, str | None]]] = {
    "EIO": [*_AIMS, ("datasync", None), ("write_at", None)],
    "ENOSPC": [*((call, file) for call, file in _AIMS if call in TAKE_ROOM), *[(None, None)] * 5],
    "short write": [*((call, file) for call, file in _AIMS if call == "write_at"), ("write_at", None)],
}
_TAKEN = (0, 1, 7, 47, 48, 60, 300, 511, 512, 513, 1024)
"""Bytes that a short write takes: at the edges of a frame's header and of sectors."""


class Weather:
    """What is asked before each disk call of one process.

    Args:
        random: draws all of it.
        calls_max: an end that goes by number comes before so many calls of this process.
        struck: told of each call that fails.
        died: called when the end has come, before `ProcessDied` is raised.
    """

    def __init__(
        self, random: Random, calls_max: int, struck: Callable[[Moment], None], died: Callable[[], None]
    ) -> None:
        self._struck = struck
        self._died = died
        self.last = Moment("", "", "")
        """The call that was being made."""
        self.trouble: str | None = None
        """`EIO`, `ENOSPC` or `short write`, or None for fair weather."""
        self.seems_full = False
        """A call has been told that there is no room, or has taken less than it was given."""
        self._taken = random.choice(_TAKEN)
        self._end_call: str | None = None
        self._end_file: str | None = None
        self._end_after = 0
        self._ends_half_way = False
        self._draw_end(random, calls_max)
        self._draw_trouble(random)

    def __call__(self, number: int, call: str, name: str) -> int | None:
        file = file_kind(name)
        self.last = Moment("", call, file)
        if self._end_call in (None, call) and self._end_file in (None, file):
            self._end_after -= 1
            if self._end_after < 0:
                if self._ends_half_way and call == "write_at":
                    # The kernel has taken a part; the process sees no more of it than its next call.
                    self._end_call = self._end_file = None
                    self._ends_half_way = False
                    self.seems_full = True
                    return self._taken
                self._died()
                raise ProcessDied
        if (
            self._trouble_call in (None, call)
            and self._trouble_file in (None, file)
            and self._may_strike(call)
        ):
            self._trouble_after -= 1
            if -self._trouble_times <= self._trouble_after < 0:
                return self._strike()
        return None

    def _may_strike(self, call: str) -> bool:
        return self.trouble == "EIO" or (self.trouble is not None and call in TAKE_ROOM)

    def _strike(self) -> int:
        assert self.trouble is not None
        self._struck(self.last._replace(what=self.trouble))
        if self.trouble == "EIO":
            raise broken()
        self.seems_full = True
        if self.trouble == "ENOSPC":
            raise no_space()
        return self._taken

    def _draw_end(self, random: Random, calls_max: int) -> None:
        self._ends_half_way = random.random() < 0.3
        way = random.random()
        if way < 0.4:
            self._end_after = random.randrange(calls_max)
            return
        self._end_after = _some(random)
        if way < 0.6:
            # Between the write of a commit and the end of its sync: where most hangs on what is left.
            self._end_call, self._end_file = "datasync", "segment"
        else:
            self._end_call, self._end_file = random.choice(_AIMS)

    def _draw_trouble(self, random: Random) -> None:
        self._trouble_call: str | None = None
        self._trouble_file: str | None = None
        if random.random() < 0.5:
            return
        trouble = self.trouble = random.choice(("EIO", "EIO", "ENOSPC", "short write"))
        self._trouble_call, self._trouble_file = random.choice(_AIMS_OF_TROUBLE[trouble])
        self._trouble_after = _some(random)
        self._trouble_times = random.choice((1, 1, 2, 4, 1_000_000))


def _some(random: Random) -> int:
    """Often none, sometimes many."""
    return random.choice((0, 0, 0, 1, 2, 4, 9))
