"""One event as one line, the same in the live stream and in the log. It knows an event's fields, not their
order in time or where they come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from beaver_actors.cli.exits import Exit, Failure
from beaver_actors.cli.text import clock_time, compact, cut, duration, to_ms
from beaver_actors.client.views import Event, Gap
from beaver_actors.codec.wire_operation_objects import WantedObject
from beaver_actors.core.facts import EVENT_NAMES

COLOURS = {
    "job_enqueued": "yellow",
    "job_started": "cyan",
    "job_completed": "green",
    "job_failed": "magenta",
    "job_rescued": "magenta",
    "job_died": "red",
}
NAME_WIDTH = max(map(len, EVENT_NAMES.values()))
VALUE_WIDTH = 200
"""A result may be a megabyte; who wants all of it asks for JSON."""


def event_line(event: Event) -> str:
    """The event with its position, the local time, whom it is about, and what else it says."""
    name = click.style(event.event.ljust(NAME_WIDTH), fg=COLOURS.get(event.event))
    at = click.style(clock_time(to_ms(event.at)), fg="bright_black")
    whom = event.job_id or event.schedule
    about = "" if whom is None else f"  {cut(whom)}"
    return f"{event.lsn:>9}  {at}  {name}{about}" + "".join(f"  {detail}" for detail in _details(event))


def gap_line(gap: Gap) -> str:
    """The events that are gone for good, in their place."""
    gone = f"LSN {gap.from_lsn:,} to {gap.to_lsn:,} are gone: a snapshot stands for them"
    return click.style(f"{'–':>9}  {gone}", fg="yellow")


def check_event_names(names: Sequence[str]) -> None:
    """Refuse a name that no event has.

    Raises:
        Failure: says which there are.
    """
    known = sorted(EVENT_NAMES.values())
    if unknown := [name for name in names if name not in known]:
        advice = f"There are {', '.join(known)}."
        raise Failure(Exit.USAGE, f'--event: no event is called "{unknown[0]}"', advice)


def _details(event: Event) -> Iterator[str]:
    if event.kind is not None:
        yield click.style(cut(event.kind), bold=True)
    if event.queue not in (None, "default"):
        yield f"queue={cut(event.queue)}"
    if event.priority not in (None, 0):
        yield f"priority={event.priority}"
    if event.tags is not None:
        yield f"tags={cut(','.join(event.tags))}"
    for name, moment in (("run_at", event.run_at), ("expires_at", event.expires_at)):
        if moment not in (None, event.at):
            yield f"{name}={clock_time(to_ms(moment))}"
    if event.unique_key is not None:
        yield f"unique={cut(event.unique_key)}"
    if event.depends_on:
        yield f"depends_on={cut(','.join(event.depends_on))}"
    if event.blocked:
        yield "blocked"
    if event.cron is not None:
        yield f"cron={cut(event.cron)}" + (f" {cut(event.tz)}" if event.tz else "")
    if event.every is not None:
        yield f"every={duration(event.every * 1000)}"
    if event.paused:
        yield "paused"
    if event.nominal_at is not None:
        yield f"for={clock_time(to_ms(event.nominal_at))}"
    if event.fired_job_id is not None:
        yield f"job={cut(event.fired_job_id)}"
    if event.times is not None:
        yield f"times={event.times}"
    if event.concurrency_key is not None:
        yield f"key={cut(event.concurrency_key)}"
    if event.rules is not None:
        from beaver_actors.cli.rules import rules_text

        yield rules_text(event.rules) or "no rules"
    if event.worker_id is not None:
        yield f"worker={cut(event.worker_id)}"
    if event.operation is not None:
        yield cut(event.operation)
        yield from _operation_details(event)
    if event.error is not None:
        yield cut(f"{event.error.type}: {event.error.message}", VALUE_WIDTH)
    if event.reason is not None:
        yield f"reason={cut(event.reason)}"
    for value in (event.args or None, event.progress, event.result):
        if value is not None:
            yield compact(value, VALUE_WIDTH)


def _operation_details(event: Event) -> Iterator[str]:
    if event.wanted is not None:
        yield f"{event.word}: {conditions(event.wanted)}"
    if event.looked_at is not None:
        yield f"looked_at={event.looked_at}  changed={event.changed}  refused={event.refused}"
    if event.how is not None:
        yield event.how


def conditions(wanted: WantedObject) -> str:
    """Which jobs an operation is about, as one would type it."""
    named = ((name, getattr(wanted, name)) for name in wanted.__struct_fields__)
    return cut(" ".join(f"{name}={value}" for name, value in named if value is not None))
