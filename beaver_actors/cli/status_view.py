"""The status of the server and its queues, on one screen. Draws only; what users wrote is shown as plain
text, so that no job can colour or move the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from beaver_actors.cli.pulse import Pulse
from beaver_actors.cli.rules import rules_text
from beaver_actors.cli.tables import STYLES, plain_table, words
from beaver_actors.cli.text import clock_time, count, cut, duration, many, rate
from beaver_actors.client.views import Status
from beaver_actors.codec.wire_objects import QueueObject
from beaver_actors.codec.wire_times import parse_time_ms
from beaver_actors.core.job import JobState

ALWAYS_SHOWN = frozenset(JobState) - {JobState.BLOCKED}
RATES = ("enqueued", "started", "completed", "failed")


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
    states = _shown_states(status.states)
    parts: list[RenderableType] = [_headline(status, url), "", _states(status, states)]
    if pulse is not None:
        parts += ["", _rates(pulse)]
    if status.queues:
        parts += ["", queues_table(status.queues, parse_time_ms(status.at))]
    if warnings := list(_warnings(status)):
        parts += ["", *warnings]
    if trouble is not None:
        parts += ["", Text(trouble, style="bold yellow")]
    return Group(*parts)


def queues_table(queues: dict[str, QueueObject], now_ms: int) -> Table:
    """One row for each queue. `now_ms` by the server's clock, milliseconds UTC."""
    states = _shown_states(*(queue.states for queue in queues.values()))
    table = plain_table("queue")
    for state in states:
        table.add_column(words(state), justify="right")
    table.add_column("wait", justify="right", no_wrap=True)
    for name, queue in queues.items():
        label = Text(cut(name))
        if queue.paused:
            label.append(" paused", style="bold yellow")
        if queue.draining:
            label.append(" draining", style="bold yellow")
        if rules := rules_text(queue.rules):
            label.append(f"\n  {rules}", style="dim")
        if queue.declared:
            label.append(f"\n  in the configuration: {', '.join(queue.declared)}", style="dim")
        oldest = queue.oldest_pending_at
        waited = duration(max(0, now_ms - parse_time_ms(oldest))) if oldest is not None else "–"
        table.add_row(label, *(_number(queue.states.get(state, 0), state) for state in states), waited)
    return table


def _shown_states(*counts: Mapping[JobState, int]) -> Sequence[JobState]:
    """The states worth a column."""
    return [state for state in JobState if state in ALWAYS_SHOWN or any(count.get(state) for count in counts)]


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


def _states(status: Status, states: Sequence[JobState]) -> Table:
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="")
    numbers = []
    for state in states:
        table.add_column(Text(words(state), style=STYLES[state]), justify="right", no_wrap=True)
        number = status.states.get(state, 0)
        numbers.append(Text(count(number), style=f"bold {STYLES[state]}" if number else "bright_black"))
    table.add_row(*numbers)
    return table


def _rates(pulse: Pulse) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 3, 0, 0))
    for _ in RATES:
        table.add_column(no_wrap=True, min_width=18)
    table.add_row(
        *(Text.assemble((f"{name} ", ""), (rate(pulse.per_second(name)), "bold")) for name in RATES)
    )
    table.add_row(*(Text(pulse.bars(name)[-18:], style="bright_black") for name in RATES))
    return table


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


def _number(number: int, state: JobState) -> Text:
    return Text(count(number), style=STYLES[state] if number else "bright_black")
