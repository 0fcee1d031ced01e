"""What simulations of the journal have been through: figures that add up over seeds, and their text."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from typing import Any, NamedTuple

from beaver_actors.journal.recovery import FORMAT
from beaver_actors.journal.reserve import RESERVE
from beaver_actors.journal.segments import LOG, SPARE
from beaver_actors.journal.snapshots import SNAPSHOTS, TEMPORARY

PLACES: dict[str, tuple[str, ...]] = {
    "segment": ("write_at", "datasync", "rename", "truncate", "preallocate", "unlink"),
    "spare": ("create", "preallocate", "datasync", "write_at", "unlink"),
    "rewritten": ("create", "preallocate", "datasync", "write_at", "unlink"),
    "snapshot": ("create", "write_at", "datasync", "rename", "unlink"),
    "format": ("create", "write_at", "datasync", "rename", "unlink"),
    "reserve": ("create", "preallocate", "truncate", "datasync", "unlink"),
    "directory": ("make_directory", "sync_directory"),
}
"""What the journal does to each kind of file."""
TAKE_ROOM = frozenset({"create", "write_at", "preallocate", "make_directory"})
"""Calls that a full disk refuses."""


class Moment(NamedTuple):
    """Where something went wrong."""

    what: str
    """`kill`, `power`, `child killed`, `EIO`, `ENOSPC` or `short write`."""
    call: str
    """The kind of call that was being made; empty: none, the process was idle."""
    file: str
    """Its kind: one of `PLACES`, or empty."""


@dataclass(slots=True)
class JournalReport:
    """The sum of some simulations."""

    seeds: int = 0
    lives: int = 0
    """Starts of the journal, finished or not."""
    images: int = 0
    """Starts on what a power cut might have left as well, apart from the lives."""
    crashes: Counter[Moment] = field(default_factory=Counter)
    """Deaths of the process, and with `power` of the machine."""
    faults: Counter[Moment] = field(default_factory=Counter)
    """Calls that failed or wrote less; and deaths of the process that folds snapshots."""
    verdicts: Counter[str] = field(default_factory=Counter)
    """What recovery found."""
    refusals: Counter[str] = field(default_factory=Counter)
    """What was rightly refused: appends and starts on a full disk, starts on damaged files."""
    rots: Counter[str] = field(default_factory=Counter)
    """Damage at rest, by kind, and what came of it."""
    facts: int = 0
    """Acknowledged."""
    disk_calls: int = 0
    """Those that change something."""
    trace: str = ""
    """A hash of every call, verdict and checksum in order: the same seed, the same trace."""

    def __add__(self, other: JournalReport) -> JournalReport:
        return JournalReport(
            self.seeds + other.seeds,
            self.lives + other.lives,
            self.images + other.images,
            self.crashes + other.crashes,
            self.faults + other.faults,
            self.verdicts + other.verdicts,
            self.refusals + other.refusals,
            self.rots + other.rots,
            self.facts + other.facts,
            self.disk_calls + other.disk_calls,
            blake2b((self.trace + other.trace).encode(), digest_size=16).hexdigest(),
        )

    def plain(self) -> dict[str, Any]:
        """Numbers by name, and dictionaries of such, as JSON can say them; and the trace."""
        return {
            "crashes": self.crashes.total(),
            "disks": self.seeds,
            "lives": self.lives,
            "other_remainders": self.images,
            "deaths": _by_kind(self.crashes),
            "faults": _by_kind(self.faults),
            "found": dict(self.verdicts),
            "refused": dict(self.refusals),
            "damaged": dict(self.rots),
            "facts": self.facts,
            "disk_calls": self.disk_calls,
            "trace": self.trace,
        }

    def lines(self) -> list[str]:
        """The figures as text."""
        by_kind: Counter[str] = Counter()
        for moment, count in (self.crashes + self.faults).items():
            by_kind[moment.what] += count
        return [
            f"{self.crashes.total()} crashes in {self.lives} lives of {self.seeds} disks "
            f"and {self.images} other remainders, "
            f"{self.facts} facts acknowledged, {self.disk_calls} disk calls, trace {self.trace}",
            *(
                f"{title}: {', '.join(f'{count} {name}' for name, count in counts.most_common())}"
                for title, counts in (
                    ("faults", by_kind),
                    ("found by recovery", self.verdicts),
                    ("refused", self.refusals),
                    ("damaged at rest", self.rots),
                )
            ),
        ]


def _by_kind(counts: Counter[Moment]) -> dict[str, int]:
    by_kind: Counter[str] = Counter()
    for moment, count in counts.items():
        by_kind[moment.what] += count
    return dict(by_kind)


@cache
def file_kind(name: str) -> str:
    """Which kind the journal's file of this name is."""
    if name.endswith(".wal"):
        return "segment"
    if name == SPARE:
        return "spare"
    if name.startswith(f"{LOG}/") and name.endswith(TEMPORARY):
        return "rewritten"
    if name.startswith(f"{SNAPSHOTS}/"):
        return "snapshot"
    if name.startswith(FORMAT):
        return "format"
    return "reserve" if name == RESERVE else "directory"
