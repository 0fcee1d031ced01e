"""What simulations of the node did, in figures that can be added up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(slots=True)
class Report:
    """What simulations did; reports can be added up."""

    scenarios: int = 0
    lives: int = 0
    """Recoveries, in a new process or in the same."""
    deaths: Counter[str] = field(default_factory=Counter)
    """Of processes, by how."""
    faults: Counter[str] = field(default_factory=Counter)
    """By kind."""
    remote: Counter[str] = field(default_factory=Counter)
    """What workers on other machines did."""
    jobs: int = 0
    answers: int = 0
    facts: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    """Of jobs: the final state, or the reason why it is dead."""
    snapshots: int = 0
    disk_calls: int = 0
    steps: int = 0
    """Of the scheduler."""
    simulated_seconds: float = 0.0
    """Simulated time."""

    @property
    def crashes(self) -> int:
        """Processes that did not end by themselves."""
        return self.deaths["kill"] + self.deaths["power"]

    def plain(self) -> dict[str, Any]:
        """Numbers by name, and dictionaries of such, as JSON can say them."""
        values: dict[str, Any] = {"crashes": self.crashes}
        for each in fields(self):
            value = getattr(self, each.name)
            values[each.name] = dict(value) if isinstance(value, Counter) else value
        return values

    def add(self, other: Report) -> None:
        """Take in another report."""
        for each in fields(self):
            mine, more = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, Counter):
                mine.update(more)
            else:
                setattr(self, each.name, mine + more)
