"""The status of the server and its queues, on one screen. Draws only; what users wrote is shown as plain
text, so that no job can colour or move the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.text import Text

from beaver_actors.cli.pulse import Pulse
from beaver_actors.cli.queues_view import QueuesTable, shown_states
from beaver_actors.cli.tables import STYLES, words
from beaver_actors.cli.text import clock_time, count, cut, duration, many, rate
from beaver_actors.client.views import Status
from beaver_actors.codec.wire_times import parse_time_ms
from beaver_actors.core.job import JobState

RATES = ("enqueued", "started", "completed", "failed")
BARS = 18
"""Characters of the picture below a rate."""


def status_view(
    status: Status, url: str, *, pulse: Pulse | None = None, trouble: str | None = None
) -> RenderableType:
    """The whole queue on one screen.

    Args:
        status: what the server said last; its own clock is the only one that counts here.
        url: where it said so.
        pulse: rates, when there are any.
        trouble: why there is nothing newer.
    """
    states = shown_states(status.states)
    parts: list[RenderableType] = [_headline(status, url), "", _states(status, states)]
    if pulse is not None:
        parts += ["", _rates(pulse)]
    if status.queues:
        parts += ["", QueuesTable(status.queues, parse_time_ms(status.at))]
    if warnings := list(_warnings(status)):
        parts += ["", *warnings]
    if trouble is not None:
        parts += ["", Text(trouble, style="bold yellow")]
    return Group(*parts)


def _headline(status: Status, url: str) -> Text:
    if not status.version:  # of the past, of whose server nothing is on record
        then = clock_time(parse_time_ms(status.at))
        return Text(f"{cut(url)}  ·  as it was at {then}, after LSN {count(status.lsn)}", style="bold")
    text = Text(f"beaver_actors {cut(status.version)}", style="bold")
    up = duration(max(0, parse_time_ms(status.at) - parse_time_ms(status.started_at)))
    fleet = status.fleet
    away = [f"{fleet.workers} elsewhere"] if fleet.workers else []
    away += [f"{fleet.suspect} suspect"] if fleet.suspect else []
    for part in (
        cut(url),
        f"up {up}",
        f"LSN {count(status.lsn)}",
        ", ".join([many(status.workers, "worker"), *away]),
        many(status.sessions, "connection"),
    ):
        text.append("  ·  ", style="bright_black")
        text.append(part, style="not bold")
    return text


def _states(status: Status, states: Sequence[JobState]) -> Columns:
    totals = []
    for state in states:
        number = status.states.get(state, 0)
        totals.append(
            Text.assemble(
                (words(state), STYLES[state]),
                "\n",
                (count(number), f"bold {STYLES[state]}" if number else "bright_black"),
                justify="right",
            )
        )
    return Columns(totals, padding=(0, 3, 0, 0))


def _rates(pulse: Pulse) -> Columns:
    figures = []
    for name in RATES:
        per_second = rate(pulse.per_second(name))
        room = " " * (BARS - len(name) - 1 - len(per_second))
        bars = (pulse.bars(name)[-BARS:], "bright_black")
        figures.append(Text.assemble(f"{name} ", (per_second, "bold"), room, "\n", bars))
    return Columns(figures, padding=(0, 3, 0, 0))


def _warnings(status: Status) -> Iterable[Text]:
    def warning(text: str, style: str = "yellow") -> Text:
        return Text(f"! {text}", style=style)

    if status.storage_full:
        yield warning(
            "The disk is full: new jobs are refused and none is started; outcomes are recorded. Make room.",
            "bold red",
        )
    if status.draining:
        yield warning("The server is stopping: it starts nothing new.")
    for kind, number in sorted(status.unknown_kinds.items()):
        stuck = f'{many(number, "job")} of kind "{cut(kind)}"'
        yield warning(f'{stuck} can be run by no worker (is its code in "run --app"?).')
    if dead := status.states.get(JobState.DEAD, 0):
        reasons = ", ".join(f"{reason} {count(number)}" for reason, number in status.dead_reasons.items())
        ever = f" (ever died: {reasons})" if reasons else ""
        label = "1 dead job" if dead == 1 else f"{count(dead)} dead jobs"
        yield warning(f'{label}{ever}: see "jobs list --state dead" and "jobs retry".')
