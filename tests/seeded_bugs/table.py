"""The table bug × layer × seconds: as lines while it grows, as lines of JSON, and as a page of documentation.

It runs nothing and judges nothing but what "caught" means: at least one layer went red.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tests.seeded_bugs.catalogue import Bug
from tests.seeded_bugs.layers import Layer, Verdict

GREEN, BLIND, NOT_RUN = "–", "·", ""


HOW = {
    "all": "each layer in turn; once one had noticed, only machines and simulations",
    "first": "each layer in turn, up to the first that noticed",
    "again": "what had noticed it in an earlier run, alone: one test, or one simulation",
}
"""How a row came to be."""


class Circumstances(NamedTuple):
    """What the figures of a row depend on."""

    date: str
    commit: str
    how: str = "all"
    """A word of `HOW`."""


class Row(NamedTuple):
    """What came of one bug."""

    bug: Bug
    verdicts: dict[str, Verdict | None]
    """By layer, in the order in which they ran; None for a layer that cannot see it."""
    seed: int
    made: Circumstances

    @property
    def caught(self) -> bool:
        return any(verdict is not None and verdict.red for verdict in self.verdicts.values())

    @property
    def first(self) -> tuple[str, Verdict] | None:
        """The first layer that went red, and what it said."""
        for name, verdict in self.verdicts.items():
            if verdict is not None and verdict.red:
                return name, verdict
        return None


def heading(layers: Sequence[Layer]) -> str:
    """The line above the lines."""
    return f"{'bug':45}" + "".join(f"{layer.title:>19}" for layer in layers)


def line(row: Row, layers: Sequence[Layer]) -> str:
    """One bug, for a terminal."""
    cells = "".join(f"{_cell(row, layer):>19}" for layer in layers)
    first = row.first
    return f"{row.bug.name:45.45}{cells}  {first[1].why if first else '' if row.caught else 'NOT CAUGHT'}"


def plain(row: Row) -> str:
    """One bug, as a line of JSON."""
    layers = {
        name: None if verdict is None else {**verdict._asdict(), "seconds": round(verdict.seconds, 1)}
        for name, verdict in row.verdicts.items()
    }
    told = {"kind": "seeded bug", "bug": row.bug.name, "promises": row.bug.promises, "caught": row.caught}
    return json.dumps({**told, "seed": row.seed, "how": row.made.how, "layers": layers})


def page(rows: Iterable[Row], layers: Sequence[Layer]) -> str:
    """The whole table, as Markdown: of these rows alone, which may be of several runs."""
    rows = sorted(rows, key=lambda row: row.bug.number)
    caught = sum(row.caught for row in rows)
    counts = {layer.name: sum(_red(row, layer) for row in rows) for layer in layers}
    ways = [
        f"`{how}` ({sum(row.made.how == how for row in rows)}): {text}"
        for how, text in HOW.items()
        if any(row.made.how == how for row in rows)
    ]
    parts = [
        "# Seeded bugs",
        "Would the tests notice? Each line is a deliberate fault, put into a copy of the tree; then tests "
        "are run on it up to their first failure. The patches are in `tests/seeded_bugs/`; what the layers "
        "are stands in [testing.md](testing.md).",
        f"**{caught} of {len(rows)} bugs caught.** Day and commit stand beside each bug, and how it was run: "
        f"{'; '.join(ways)}. What noticed was run on the tree as it is, too, and was silent there.",
        "Figures are seconds to the first failure, the start of Python and the collection of tests included, "
        f"on two cores shared with other work. `{GREEN}`: run, and nothing noticed. `{BLIND}`: not run, "
        "because the layer does not import what is broken. Empty: not run, because another layer had "
        "noticed, which says nothing about this one.",
        _markdown(
            ["", "bug", "breaks", *(layer.title for layer in layers)],
            [
                [f"{row.bug.number:02}", row.bug.words.replace("-", " "), ", ".join(row.bug.promises)]
                + [_cell(row, layer) for layer in layers]
                for row in rows
            ]
            + [["", "**caught**", ""] + [f"**{counts[one.name]}**" for one in layers]],
        ),
        "## What is wrong, and what noticed it first",
        _markdown(["", "what is wrong", "noticed by", "run"], [_story(row) for row in rows]),
    ]
    return "\n\n".join(parts) + "\n"


def _story(row: Row) -> list[str]:
    first = row.first
    noticed = "**nothing**" if first is None else _noticed(*first)
    made = row.made
    return [f"{row.bug.number:02}", row.bug.text, noticed, f"{made.how}, {made.date}, {made.commit}"]


def _noticed(layer: str, verdict: Verdict) -> str:
    if "::" not in verdict.why:
        return f"{layer}: {verdict.why[:160]}".replace("|", "\\|")
    file, _, test = verdict.why.partition("::")
    name, _, _ = test.partition(" ")
    return f"`{file}`: {name.partition('[')[0].removeprefix('test_').replace('_', ' ')}"


def _red(row: Row, layer: Layer) -> bool:
    verdict = row.verdicts.get(layer.name)
    return verdict is not None and verdict.red


def _cell(row: Row, layer: Layer) -> str:
    if layer.name not in row.verdicts:
        return NOT_RUN
    verdict = row.verdicts[layer.name]
    if verdict is None:
        return BLIND
    return f"{verdict.seconds:.1f}" if verdict.red else GREEN


def _markdown(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
