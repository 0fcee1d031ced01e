"""What the server tells, as tables: the status, a list of jobs, one job, the queues. Draws only; what users
wrote is shown as plain text, so that no job can colour or move the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from beaver_actors.cli.pulse import Pulse
from beaver_actors.cli.text import (
    ago,
    clock_time,
    compact,
    count,
    cut,
    duration,
    jobs,
    printable,
    rate,
)
from beaver_actors.codec.wire_objects import JobObject, QueueObject, StatusObject
from beaver_actors.codec.wire_times import parse_time_ms
from beaver_actors.core.job import JobState

STYLES = {
    "scheduled": "blue",
    "pending": "yellow",
    "blocked": "magenta",
    "in_flight": "cyan",
    "completed": "green",
    "dead": "red",
    "cancelled": "bright_black",
}
ALWAYS_SHOWN = frozenset(JobState) - {JobState.BLOCKED}
RATES = ("enqueued", "started", "completed", "failed")
WAITS_FOR = {
    "run_at": "its time has not come",
    "retry": "the next attempt is due then",
    "queue_paused": "its queue is paused",
    "unknown_kind": "no worker can run this kind",
    "storage_full": "the disk is full: nothing new is started",
    "last_chance": "its workers died before: it runs alone, when nothing else does",
    "turn": "its turn has not come",
}


def status_view(
    status: StatusObject, url: str, *, pulse: Pulse | None = None, trouble: str | None = None
) -> RenderableType:
    """The whole queue on one screen.

    Args:
        status: what the server said last; its own clock is the only one that counts here.
        url: where it said so.
        pulse: rates, when there are any.
        trouble: why there is nothing newer.
    """
    states = [state for state in JobState if state in ALWAYS_SHOWN or status.states.get(state)]
    parts: list[RenderableType] = [_headline(status, url), "", _states(status, states)]
    if pulse is not None:
        parts += ["", _rates(pulse)]
    if status.queues:
        parts += ["", queues_table(status.queues, parse_time_ms(status.at), states)]
    if warnings := list(_warnings(status)):
        parts += ["", *warnings]
    if trouble is not None:
        parts += ["", Text(trouble, style="bold yellow")]
    return Group(*parts)


def queues_table(
    queues: dict[str, QueueObject], now_ms: int, states: Sequence[JobState] = tuple(JobState)
) -> Table:
    """One row for each queue. `now_ms` by the server's clock, milliseconds UTC."""
    table = _table("queue")
    for state in states:
        table.add_column(_words(state), justify="right")
    table.add_column("longest wait", justify="right")
    for name, queue in queues.items():
        label = Text(cut(name))
        if queue.paused:
            label.append(" paused", style="bold yellow")
        oldest = queue.oldest_pending_at
        waited = duration(max(0, now_ms - parse_time_ms(oldest))) if oldest is not None else "–"
        table.add_row(label, *(_number(queue.states.get(state, 0), state) for state in states), waited)
    return table


def jobs_table(shown: Iterable[JobObject], now_ms: int) -> Table:
    """One row for each job. `now_ms` is milliseconds UTC."""
    table = _table("id")
    for title in ("state", "kind", "queue"):
        table.add_column(title, no_wrap=True)
    table.add_column("attempt", justify="right", no_wrap=True)
    table.add_column("created", justify="right", no_wrap=True)
    table.add_column("args", no_wrap=True, overflow="ellipsis", ratio=1)
    for job in shown:
        table.add_row(
            Text(cut(job.id)),
            _state(job),
            Text(cut(job.kind)),
            Text(cut(job.queue)),
            f"{job.attempt}/{job.max_attempts + job.rescues}" if job.attempt else "–",
            ago(parse_time_ms(job.created_at), now_ms),
            Text(compact(_plain(job.args), 200)),
        )
    return table


def job_view(job: JobObject, now_ms: int) -> RenderableType:
    """Everything about one job, and what every attempt ended with. `now_ms` is milliseconds UTC."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(job, now_ms):
        table.add_row(name, value)
    parts: list[RenderableType] = [table]
    for error in job.errors:
        what = f"attempt {error.attempt} at {clock_time(parse_time_ms(error.at))}: {cut(error.type)}: "
        parts += ["", Text(what + printable(error.message), style="red")]
        if error.traceback.strip():
            parts.append(Text("\n".join(f"    {line}" for line in printable(error.traceback).splitlines())))
    return Group(*parts)


def _rows(job: JobObject, now_ms: int) -> Iterable[tuple[str, Text]]:
    def moment(at: str | None) -> Text:
        if at is None:
            return Text("–")
        return Text(f"{clock_time(parse_time_ms(at))}  ({ago(parse_time_ms(at), now_ms)})")

    def seconds(length: float | None, none: str) -> Text:
        return Text(none if length is None else duration(length * 1000))

    yield "id", Text(cut(job.id))
    state = _state(job)
    if job.cancel_requested and job.state is JobState.IN_FLIGHT:
        state.append(" – asked to stop", style="yellow")
    if job.waits_for is not None:
        state.append(f" – {WAITS_FOR.get(job.waits_for, job.waits_for)}", style="yellow")
    yield "state", state
    yield "kind", Text(cut(job.kind))
    yield "queue", Text(cut(job.queue))
    yield "args", Text(compact(_plain(job.args)))
    yield "priority", Text(str(job.priority))
    if job.tags:
        yield "tags", Text(cut(", ".join(job.tags)))
    if (meta := _plain(job.meta)) not in ({}, None):
        yield "meta", Text(compact(meta))
    yield "created", moment(job.created_at)
    yield "run at", moment(job.run_at)
    yield "started", moment(job.started_at)
    yield "finished", moment(job.finished_at)
    if job.expires_at is not None:
        yield "expires", moment(job.expires_at)
    rescued = f", {job.rescues} of them ended because a worker or the server died" if job.rescues else ""
    yield "attempts", Text(f"{job.attempt} (at most {job.max_attempts} may fail{rescued})")
    yield "timeout", seconds(job.timeout, "none")
    yield "backoff", Text(compact(msgspec.to_builtins(job.backoff)))
    yield "retention", seconds(job.retention, "the server's rule")
    if job.worker_id is not None:
        yield "worker", Text(cut(job.worker_id))
    if (progress := _plain(job.progress)) is not None:
        yield "progress", Text(compact(progress))
    if job.state is JobState.COMPLETED:
        yield "result", Text(compact(_plain(job.result)))
    yield "fence", Text(count(job.fence))
    yield "LSN", Text(count(job.lsn))


def _headline(status: StatusObject, url: str) -> Text:
    text = Text(f"beaver_actors {cut(status.version)}", style="bold")
    up = duration(max(0, parse_time_ms(status.at) - parse_time_ms(status.started_at)))
    for part in (
        cut(url),
        f"up {up}",
        f"LSN {count(status.lsn)}",
        _many(status.workers, "worker"),
        _many(status.sessions, "connection"),
    ):
        text.append("  ·  ", style="bright_black")
        text.append(part, style="not bold")
    return text


def _states(status: StatusObject, states: Sequence[JobState]) -> Table:
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="")
    numbers = []
    for state in states:
        table.add_column(Text(_words(state), style=STYLES[state]), justify="right", no_wrap=True)
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


def _warnings(status: StatusObject) -> Iterable[Text]:
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
        yield warning(
            f'{jobs(number)} of kind "{cut(kind)}" can be run by no worker (is its code in "run --app"?).'
        )
    if dead := status.states.get(JobState.DEAD, 0):
        reasons = ", ".join(f"{reason} {count(number)}" for reason, number in status.dead_reasons.items())
        ever = f" (ever died: {reasons})" if reasons else ""
        yield warning(f'{jobs(dead)} dead{ever}. See "jobs list --state dead" and "jobs retry".')


def _state(job: JobObject) -> Text:
    text = Text(_words(job.state), style=STYLES[job.state])
    if job.reason is not None:
        text.append(f": {_words(job.reason)}")
    return text


def _table(first: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bright_black")
    table.add_column(first, no_wrap=True)
    return table


def _number(number: int, state: JobState) -> Text:
    return Text(count(number), style=STYLES[state] if number else "bright_black")


def _many(number: int, noun: str) -> str:
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _plain(raw: msgspec.Raw) -> Any:
    return msgspec.json.decode(raw)
