"""Jobs as a list, and one job whole. Draws only; what users wrote is shown as plain text, so that no job can
colour or move the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import msgspec
from rich.console import Group, JustifyMethod, RenderableType
from rich.table import Table
from rich.text import Text

from beaver_actors.cli.tables import STYLES, words
from beaver_actors.cli.text import age, ago, clock_time, compact, count, cut, duration, many, printable, to_ms
from beaver_actors.client.views import Explanation, JobInfo, Relative
from beaver_actors.core.job import JobState

GAP = 2
"""Columns between two columns of a table."""
WIDE = 160
"""A terminal this wide shows kinds and queues whole, however long."""
RELATIVES_SHOWN = 20
"""Parents, and children, that are drawn."""
WAITS_FOR: dict[str, str] = {
    "run_at": "its time has not come",
    "retry": "the next attempt is due then",
    "unknown_kind": "no worker can run this kind",
    "unserved_queue": "no worker that can run this kind serves its queue",
    "queue_paused": "its queue is paused",
    "storage_full": "the disk is full: nothing new is started",
    "draining": "the server is stopping",
    "last_chance": "its workers died before: it waits until no other such job runs",
    "parents": "jobs that it depends on have yet to end",
    "turn": "its turn has not come",
}


def jobs_table(shown: Sequence[JobInfo], now_ms: int, width: int) -> Table:
    """One row for each job.

    Args:
        shown: the jobs.
        now_ms: milliseconds UTC.
        width: columns of the terminal. The last column gets what the others leave; ids are always whole.
    """
    narrow = width < WIDE
    table = Table(box=None, padding=(0, GAP, 0, 0), header_style="bright_black")
    columns: list[tuple[str, JustifyMethod, list[Text]]] = [
        ("id", "left", [Text(cut(job.id)) for job in shown]),
        ("state", "left", [Text(words(job.state), style=STYLES[job.state]) for job in shown]),
        ("age", "right", [Text(age(max(0, now_ms - to_ms(job.created_at)))) for job in shown]),
        ("runs", "right", [Text(str(job.attempt) if job.attempt else "–") for job in shown]),
        ("kind", "left", [Text(cut(job.kind, 20 if narrow else None)) for job in shown]),
        ("queue", "left", [Text(cut(job.queue, 12 if narrow else None)) for job in shown]),
    ]
    about = [_about(job) for job in shown]
    left = width
    for title, justify, cells in columns:
        widest = max([len(title), *(cell.cell_len for cell in cells)])
        table.add_column(title, justify=justify, no_wrap=True, min_width=widest)
        left -= widest + GAP
    # Cut here: rich would rather squeeze the other columns away than cut this one.
    for cell in about:
        cell.truncate(max(left, len("about")), overflow="ellipsis")
    table.add_column("about", no_wrap=True)
    for *row, last in zip(*(cells for _, _, cells in columns), about, strict=True):
        table.add_row(*row, last)
    return table


def job_view(job: JobInfo, now_ms: int) -> RenderableType:
    """Everything about one job, and what every attempt ended with. `now_ms` is milliseconds UTC."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _rows(job, now_ms):
        table.add_row(name, value)
    parts: list[RenderableType] = [table]
    if job.parents or job.children:
        parts += ["", family_tree(job)]
    for error in job.errors:
        what = f"attempt {error.attempt} at {clock_time(to_ms(error.at))}: {cut(error.type)}: "
        parts += ["", Text(what + printable(error.message), style="red")]
        if error.traceback.strip():
            parts.append(Text("\n".join(f"    {line}" for line in printable(error.traceback).splitlines())))
    return Group(*parts)


def explanation_lines(explanation: Explanation) -> Iterator[str]:
    """Why a job does not run, or why it ended: a line for each reason, and the jobs it waits for."""
    reasons = explanation.because
    yield f"{cut(explanation.job_id)} is {words(explanation.state)}" + (":" if reasons else "")
    for one in reasons:
        until = "" if one.until is None else f" ({clock_time(to_ms(one.until))})"
        yield f"  {cut(one.text)}{until}"
        more = (one.total or 0) - len(one.jobs)
        rest = "" if more <= 0 else f" and {'' if one.exact else 'more than '}{many(more, 'other')}"
        if one.jobs:
            yield f"    {', '.join(map(cut, one.jobs))}{rest}"


def family_tree(job: JobInfo) -> Text:
    """The job between its parents and its children, each with its state."""
    parents, children = job.parents[:RELATIVES_SHOWN], job.children[:RELATIVES_SHOWN]
    lines = [Text("graph", style="bold")]
    for place, parent in enumerate(parents):
        lines.append(_relative("┌" if place == 0 else "├", parent))
    if len(parents) < len(job.depends_on):
        lines.append(Text(f"  ├─ … and {count(len(job.depends_on) - len(parents))} more"))
    this = (
        Text("  ▶ " if parents else "  ● ").append(cut(job.id), style="bold").append("  ").append(_state(job))
    )
    lines.append(this.append("  (this job)", style="bright_black"))
    left = max(job.children_count, len(job.children)) - len(children)
    for place, child in enumerate(children):
        lines.append(_relative("└" if place == len(children) - 1 and not left else "├", child))
    if left:
        lines.append(Text(f"  └─ … and {count(left)} more"))
    return Text("\n").join(lines)


def _relative(corner: str, job: Relative) -> Text:
    text = Text(f"  {corner}─ ").append(cut(job.id)).append("  ")
    if job.state is None:
        return text.append("gone", style="bright_black")
    return text.append(words(job.state), style=STYLES[job.state]).append(f"  {cut(job.kind or '')}")


def _rows(job: JobInfo, now_ms: int) -> Iterable[tuple[str, Text]]:
    def moment(at: datetime | None) -> Text:
        return Text("–" if at is None else f"{clock_time(to_ms(at))}  ({ago(to_ms(at), now_ms)})")

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
    yield "args", Text(compact(job.args))
    yield "priority", Text(str(job.priority))
    if job.tags:
        yield "tags", Text(cut(", ".join(job.tags)))
    if job.meta:
        yield "meta", Text(compact(job.meta))
    yield "created", moment(job.created_at)
    yield "run at", moment(job.run_at)
    yield "started", moment(job.started_at)
    yield "finished", moment(job.finished_at)
    if job.expires_at is not None:
        yield "expires", moment(job.expires_at)
    if job.unique_key is not None:
        held = "" if job.unique_for is None else f", for at most {duration(job.unique_for * 1000)}"
        yield "unique", Text(f"{cut(job.unique_key)}  (until {job.unique_until}{held})")
    if job.depends_on:
        rule = "run all the same" if job.on_parent_failure == "continue" else "be cancelled too"
        yield "depends on", Text(f"{many(len(job.depends_on), 'job')}  (if one fails: {rule})")
    if job.concurrency_key is not None:
        yield "concurrency key", Text(cut(job.concurrency_key))
    rescued = f", {job.rescues} of them ended because a worker or the server died" if job.rescues else ""
    yield "attempts", Text(f"{job.attempt} (at most {job.max_attempts} may fail{rescued})")
    yield "timeout", seconds(job.timeout, "none")
    yield "backoff", Text(compact(msgspec.to_builtins(job.backoff)))
    yield "retention", seconds(job.retention, "the server's rule")
    if job.worker_id is not None:
        yield "worker", Text(cut(job.worker_id))
    if job.progress is not None:
        yield "progress", Text(compact(job.progress))
    if job.state is JobState.COMPLETED:
        yield "result", Text(compact(job.result))
    yield "fence", Text(count(job.fence))
    yield "LSN", Text(count(job.lsn))


def _about(job: JobInfo) -> Text:
    """What one wants to know first: why it is dead or waits, and what it was called with."""
    text = Text()
    if job.reason is not None:
        last = f": {job.errors[-1].type}: {job.errors[-1].message}" if job.errors else ""
        text.append(cut(f"{words(job.reason)}{last}  ", 100), style="red")
    elif job.waits_for not in (None, "turn", "run_at"):
        text.append(f"{WAITS_FOR.get(job.waits_for, job.waits_for)}  ", style="yellow")
    elif job.state is JobState.SCHEDULED:
        text.append(f"runs at {clock_time(to_ms(job.run_at))[:19]}  ", style="blue")
    return text.append(compact(job.args, 200)) if job.args else text


def _state(job: JobInfo) -> Text:
    text = Text(words(job.state), style=STYLES[job.state])
    if job.reason is not None:
        text.append(f": {words(job.reason)}")
    return text
