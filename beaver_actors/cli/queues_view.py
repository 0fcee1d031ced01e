"""The table of queues. Where the screen is narrow it leaves out columns and says which; what is said about
one queue stands below its line and takes no column's room."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from beaver_actors.cli.rules import rules_text
from beaver_actors.cli.tables import STYLES, words
from beaver_actors.cli.text import count, cut, duration
from beaver_actors.codec.wire_status_objects import QueueObject
from beaver_actors.codec.wire_times import parse_time_ms
from beaver_actors.core.job import JobState

ALWAYS_SHOWN = frozenset(JobState) - {JobState.BLOCKED}
KEPT_LONGEST = ("pending", "in flight", "dead", "wait", "scheduled", "blocked", "completed", "cancelled")
"""Columns by what they tell of a queue that needs attention; the last is the first to go."""
NAME_WIDTH_MIN = 12
"""A longer name is cut to a quarter of the screen, but not below this, before a column goes for it."""
GAP = 2


class _Column(NamedTuple):
    name: str
    cells: Sequence[Text]

    @property
    def width(self) -> int:
        return max(len(self.name), *(len(cell) for cell in self.cells))

    @property
    def says_something(self) -> bool:
        return any(cell.plain not in ("0", "–") for cell in self.cells)


def shown_states(*counts: Mapping[JobState, int]) -> Sequence[JobState]:
    """The states worth a column."""
    return [state for state in JobState if state in ALWAYS_SHOWN or any(count.get(state) for count in counts)]


def number_text(number: int, state: JobState) -> Text:
    """A number of jobs in the colour of their state."""
    return Text(count(number), style=STYLES[state] if number else "bright_black")


class QueuesTable:
    """One line for each queue, with its rules below it.

    Args:
        queues: by name; at least one.
        now_ms: by the server's clock, milliseconds UTC.
    """

    def __init__(self, queues: Mapping[str, QueueObject], now_ms: int) -> None:
        self._queues = queues
        self._columns = [
            _Column(
                words(state),
                [number_text(queue.states.get(state, 0), state) for queue in queues.values()],
            )
            for state in shown_states(*(queue.states for queue in queues.values()))
        ]
        self._columns.append(_Column("wait", [_wait(queue, now_ms) for queue in queues.values()]))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it as wide as there is room."""
        longest = max(len("queue"), *(len(name) + len(_flags(one)) for name, one in self._queues.items()))
        name_width = min(longest, max(NAME_WIDTH_MIN, options.max_width // 4))
        columns = _fitting(self._columns, options.max_width - name_width - GAP)
        name_width = min(longest, max(1, options.max_width - GAP - sum(one.width + GAP for one in columns)))
        table = Table(box=None, padding=(0, GAP, 0, 0), header_style="bright_black")
        table.add_column("queue", no_wrap=True, width=name_width)
        for column in columns:
            table.add_column(column.name, justify="right", no_wrap=True, width=column.width)
        for place, (name, queue) in enumerate(self._queues.items()):
            table.add_row(_label(name, queue, name_width), *(column.cells[place] for column in columns))
        head, *lines = console.render_lines(table, options, pad=False)
        yield from (*head, Segment.line())
        for queue, row in zip(self._queues.values(), lines, strict=True):
            yield from (*row, Segment.line())
            for note in _notes(queue):
                yield Padding(Text(note, style="dim"), (0, 0, 0, 2))
        if left_out := [column.name for column in self._columns if column not in columns]:
            yield Text(f"… no room for: {', '.join(left_out)}", style="bright_black")


def _fitting(columns: Sequence[_Column], width: int) -> Sequence[_Column]:
    """As many columns as there is room for, one in any case; those that say nothing go first."""
    kept = sorted(columns, key=lambda one: (not one.says_something, KEPT_LONGEST.index(one.name)))
    while len(kept) > 1 and sum(one.width + GAP for one in kept) > width:
        kept.pop()
    return [one for one in columns if one in kept]


def _label(name: str, queue: QueueObject, width: int) -> Text:
    flags = _flags(queue)
    return Text(cut(name, max(1, width - len(flags)))).append(flags, style="bold yellow")


def _flags(queue: QueueObject) -> str:
    return (" paused" if queue.paused else "") + (" draining" if queue.draining else "")


def _wait(queue: QueueObject, now_ms: int) -> Text:
    oldest = queue.oldest_pending_at
    return Text("–" if oldest is None else duration(max(0, now_ms - parse_time_ms(oldest))))


def _notes(queue: QueueObject) -> Iterator[str]:
    """What is said about a queue beside its numbers."""
    if rules := rules_text(queue.rules):
        yield rules
    if queue.declared:
        yield f"in the configuration: {', '.join(queue.declared)}"
