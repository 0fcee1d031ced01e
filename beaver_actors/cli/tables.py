"""What all tables have in common: columns without lines, one colour for each state, names as words."""

from __future__ import annotations

from rich.table import Table

STYLES = {
    "scheduled": "blue",
    "pending": "yellow",
    "blocked": "magenta",
    "in_flight": "cyan",
    "completed": "green",
    "dead": "red",
    "cancelled": "bright_black",
}


def plain_table(first: str, min_width: int | None = None) -> Table:
    """A table without lines, whose first column is called so."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bright_black")
    table.add_column(first, no_wrap=True, min_width=min_width)
    return table


def words(name: str) -> str:
    """A name of the protocol as words: "in flight"."""
    return name.replace("_", " ")
