"""What a measurement says: figures with their spread, and how each stands to its target."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple


class Target(NamedTuple):
    """A figure against what was asked of it."""

    kind: str
    """`must` or `wish`."""
    text: str
    """What was asked, such as `≥ 0.7 × echo`."""
    measured: float
    """On the scale of the text: a ratio where the text names one."""
    met: bool


class Figure(NamedTuple):
    """One line of the table."""

    name: str
    title: str
    unit: str
    values: tuple[float, ...]
    """One for each round."""
    targets: tuple[Target, ...] = ()
    note: str = ""

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return float(statistics.median(self.values))

    def as_json(self) -> dict[str, Any]:
        """For the file of results."""
        return {
            "name": self.name,
            "title": self.title,
            "unit": self.unit,
            "median": round(self.median, 4),
            "values": [round(value, 4) for value in self.values],
            "targets": [target._asdict() for target in self.targets],
            "note": self.note,
        }


def figure_from_json(given: dict[str, Any]) -> Figure:
    """The reverse of `Figure.as_json`."""
    targets = tuple(Target(**target) for target in given["targets"])
    return Figure(
        given["name"], given["title"], given["unit"], tuple(given["values"]), targets, given["note"]
    )


def at_least(kind: str, text: str, values: Sequence[float] | float, limit: float) -> Target:
    """The target of a figure that should be large; `text` begins behind the `≥`."""
    measured = _middle(values)
    return Target(kind, f"≥ {text}", measured, measured >= limit)


def at_most(kind: str, text: str, values: Sequence[float] | float, limit: float) -> Target:
    """The target of a figure that should be small; `text` begins behind the `≤`."""
    measured = _middle(values)
    return Target(kind, f"≤ {text}", measured, measured <= limit)


def ratios(values: Sequence[float], others: Sequence[float]) -> list[float]:
    """What was measured side by side, round by round: the disk and the neighbours change between rounds."""
    return [value / other for value, other in zip(values, others, strict=True)]


def _middle(values: Sequence[float] | float) -> float:
    return float(values if isinstance(values, int | float) else statistics.median(values))


def number(value: float) -> str:
    """A figure with three digits or so."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def spread(figure: Figure) -> str:
    """The smallest and the largest round."""
    if len(figure.values) < 2:
        return ""
    return f"{number(min(figure.values))} – {number(max(figure.values))}"


def judged(figure: Figure) -> str:
    """Its targets and whether they are met."""
    return "; ".join(
        f"{target.kind} {target.text}: {number(target.measured)} {'met' if target.met else '**not met**'}"
        for target in figure.targets
    )


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table."""
    lines = ["| what | median | min – max | asked for, and what it was | |", "|---|---:|---:|---|---|"]
    lines += [
        f"| {figure.title} | {number(figure.median)} {figure.unit} | {spread(figure)} "
        f"| {judged(figure)} | {figure.note} |"
        for figure in figures
    ]
    return "\n".join(lines)
