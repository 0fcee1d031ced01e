"""`schedules`: what the server does by itself at given times, and when next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from beaver_actors.cli.changes import change_each
from beaver_actors.cli.console import json_document, json_lines, line, note, show
from beaver_actors.cli.enqueue import number_or_text, object_option
from beaver_actors.cli.options import ONE_PER_LINE, Target, debug_option, json_option, server_options
from beaver_actors.cli.talk import talk
from beaver_actors.core.job import ON_CONFLICT, UNIQUE_UNTIL
from beaver_actors.core.schedule import CATCH_UP, OVERLAP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from beaver_actors.client import Change, Client, Job, ScheduleInfo, Status
    from beaver_actors.codec.wire_schedule_objects import ScheduledJobShown

SHOWN_TIMES = 5
STAMP = "%Y-%m-%d %H:%M:%S %Z"


@click.group()
def schedules() -> None:
    """List, set and delete schedules, pause them, or have one run now."""


@schedules.command("list")
@server_options
@json_option(ONE_PER_LINE)
@debug_option
def list_schedules(server: Target, /, *, as_json: bool) -> None:
    """List the schedules with the time they last fired for and the next one."""

    async def ask(client: Client) -> tuple[Sequence[ScheduleInfo], Status]:
        return await client.schedules.list(), await client.status()

    found, status = talk(server, ask)
    if as_json:
        json_lines(found)
        return
    if not found:
        note('No schedules. Set one: beaver schedules set NAME KIND --cron "30 3 * * *" --tz Europe/Berlin')
        return
    from beaver_actors.codec.wire_times import parse_time_ms

    show(schedules_table(found, parse_time_ms(status.at)))


@schedules.command("show")
@click.argument("name")
@click.option(
    "--next",
    "count",
    type=click.IntRange(1, 100),
    default=SHOWN_TIMES,
    show_default=True,
    metavar="N",
    help="How many of the next times to show.",
)
@server_options
@json_option()
@debug_option
def show_schedule(server: Target, /, *, name: str, count: int, as_json: bool) -> None:
    """Show one schedule, and when it is due next, by its own clocks and in UTC."""

    async def ask(client: Client) -> ScheduleInfo:
        return await client.schedules.get(name, next=count)

    found = talk(server, ask)
    if as_json:
        json_document(found)
        return
    for row in described(found):
        line(row)


@schedules.command("set")
@click.argument("name")
@click.argument("kind")
@click.option(
    "--cron", metavar="EXPRESSION", help='Five fields in quotes, such as "30 3 * * *"; or @daily, …'
)
@click.option(
    "--tz", metavar="ZONE", help="With --cron: whose clocks, such as Europe/Berlin; UTC if not given."
)
@click.option("--every", metavar="DURATION", help="Instead of it an interval: seconds, or 30s, 5m, 1h, 7d.")
@click.option(
    "--catch-up", type=click.Choice(CATCH_UP), help='Of times that were missed; "one" if not given.'
)
@click.option(
    "--overlap", type=click.Choice(OVERLAP), help='While a job is not finished; "allow" if not given.'
)
@click.option("--paused/--not-paused", default=None, help="As it is if not given.")
@click.option("--args", "args", metavar="JSON", help="Named arguments for the handler: an object.")
@click.option("--queue", "-q", metavar="NAME", help='"default" if not given.')
@click.option("--priority", type=int, metavar="N", help="-100 to 100; larger runs first.")
@click.option("--timeout", metavar="DURATION", help='The longest one attempt may run; "none" for no limit.')
@click.option("--max-attempts", type=int, metavar="N", help="Runs in all.")
@click.option("--backoff", metavar="DURATION", help="The wait between attempts.")
@click.option("--retention", metavar="DURATION", help="How long a finished job is kept.")
@click.option("--expires-in", metavar="DURATION", help="How long after it came a job may wait.")
@click.option("--unique-key", metavar="KEY", help="Each job takes it; while it is held no job comes.")
@click.option(
    "--unique-until", type=click.Choice(UNIQUE_UNTIL), help='Until when it is held; "finished" if not given.'
)
@click.option("--unique-for", metavar="DURATION", help="It is held at most so long; a window needs this.")
@click.option(
    "--on-conflict",
    type=click.Choice(ON_CONFLICT),
    help='"replace": one that holds it and waits makes way.',
)
@click.option("--concurrency-key", metavar="KEY", help="Its jobs take turns by this key.")
@click.option(
    "--tag", "tags", multiple=True, metavar="TAG", help="A word to find its jobs by; may be repeated."
)
@click.option("--meta", metavar="JSON", help="Yours: an object of at most 16 KiB.")
@server_options
@json_option()
@debug_option
def set_schedule(server: Target, /, *, name: str, kind: str, as_json: bool, **options: Any) -> None:
    """Have a job of KIND at given times, or change the schedule NAME to this.

    \b
    beaver schedules set nightly report.nightly --cron "30 3 * * *" --tz Europe/Berlin --overlap skip
    beaver schedules set beat demo.echo --every 5m --args '{"n": 1}'
    """
    if (options["cron"] is None) == (options["every"] is None):
        raise click.UsageError("Expected either --cron or --every.")
    given = {key: value for key, value in options.items() if value not in (None, ())}
    args = object_option("args", given.pop("args")) if "args" in given else None
    if "meta" in given:
        given["meta"] = object_option("meta", given["meta"])
    for key in ("every", "timeout", "backoff", "retention", "expires_in", "unique_for"):
        if key in given and given[key] != "none":
            given[key] = number_or_text(given[key])

    async def ask(client: Client) -> tuple[Change, ScheduleInfo]:
        change = await client.schedules.set(name, kind, args, **given)
        return change, await client.schedules.get(name, next=SHOWN_TIMES)

    change, found = talk(server, ask)
    if as_json:
        json_document(found)
        return
    line(f"{name} set" if change.changed else f"{name} was so already")
    for row in upcoming(found):
        line(row)


@schedules.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@server_options
@json_option(ONE_PER_LINE)
@debug_option
def delete(server: Target, /, *, names: tuple[str, ...], as_json: bool) -> None:
    """Forget these schedules. Jobs that came of them stay."""
    change_each(server, names, lambda client, name: client.schedules.delete(name), "deleted", as_json=as_json)


@schedules.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@server_options
@json_option(ONE_PER_LINE)
@debug_option
def pause(server: Target, /, *, names: tuple[str, ...], as_json: bool) -> None:
    """Let these schedules bring no more jobs until they are resumed; a restart does not change that."""
    change_each(server, names, lambda client, name: client.schedules.pause(name), "paused", as_json=as_json)


@schedules.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@server_options
@json_option(ONE_PER_LINE)
@debug_option
def resume(server: Target, /, *, names: tuple[str, ...], as_json: bool) -> None:
    """Let these schedules bring jobs again; what was due meanwhile is not made up for."""
    change_each(server, names, lambda client, name: client.schedules.resume(name), "resumed", as_json=as_json)


@schedules.command()
@click.argument("name")
@server_options
@json_option()
@debug_option
def trigger(server: Target, /, *, name: str, as_json: bool) -> None:
    """Bring a job of this schedule now, paused or not. Prints the job's id."""

    async def ask(client: Client) -> Job:
        return await client.schedules.trigger(name)

    job = talk(server, ask)
    if as_json:
        json_document({"id": job.id})
        return
    line(job.id)


def schedules_table(found: Sequence[ScheduleInfo], now_ms: int) -> Table:
    """One row for each schedule. `now_ms` by the server's clock, milliseconds UTC."""
    from rich.text import Text

    from beaver_actors.cli.tables import STYLES, plain_table, words
    from beaver_actors.cli.text import ago, count, cut
    from beaver_actors.codec.wire_times import parse_time_ms

    table = plain_table("schedule")
    table.add_column("when", no_wrap=True)
    table.add_column("kind")
    for name in ("next", "last"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("its job", no_wrap=True)
    for name in ("fired", "skipped"):
        table.add_column(name, justify="right")
    for one in found:
        upcoming_ms = parse_time_ms(one.next[0]) if one.next else None
        last_ms = None if one.last_at is None else parse_time_ms(one.last_at)
        state = one.last_job_state
        table.add_row(
            Text(cut(one.name)),
            Text(cut(when(one))),
            Text(cut(one.job.kind)),
            Text("paused", style="bold yellow") if one.paused else ago(upcoming_ms, now_ms),
            ago(last_ms, now_ms),
            Text("–") if state is None else Text(words(state), style=STYLES[state]),
            count(one.fired),
            count(one.skipped),
        )
    return table


def when(schedule: ScheduleInfo) -> str:
    """When it is due, in the words in which it was set."""
    from beaver_actors.cli.text import duration

    if schedule.every is not None:
        return f"every {duration(schedule.every * 1000)}"
    return f"{schedule.cron} {schedule.tz}"


def described(schedule: ScheduleInfo) -> list[str]:
    """All of a schedule, line by line."""
    from beaver_actors.cli.text import count, cut

    source = {"request": "set on request", "code": "from the app's code", "config": "from the configuration"}
    rows = [
        cut(f"{schedule.name}  {when(schedule)}  {source[schedule.source]}"),
        cut(
            f"  job      {schedule.job.kind}  {bytes(schedule.job.args).decode()}  queue {schedule.job.queue}"
        ),
        f"  rules    catch_up {schedule.catch_up}, overlap {schedule.overlap}",
        *job_rules(schedule.job),
        f"  so far   {count(schedule.fired)} fired, {count(schedule.skipped)} skipped",
    ]
    if schedule.last_job_id is not None:
        state = schedule.last_job_state or "deleted since"
        rows.append(cut(f"  last     {schedule.last_at}  {schedule.last_job_id}  {state}"))
    return rows + upcoming(schedule)


def job_rules(job: ScheduledJobShown) -> list[str]:
    """What its jobs ask for beside their terms, in a line; none if that is nothing."""
    from beaver_actors.cli.text import cut, duration

    parts = []
    if job.expires_in is not None:
        parts.append(f"expire after {duration(job.expires_in * 1000)}")
    if job.unique_key is not None:
        limit = "" if job.unique_for is None else f" for {duration(job.unique_for * 1000)}"
        parts.append(f"unique {job.unique_key} until {job.unique_until}{limit}, else {job.on_conflict}")
    if job.concurrency_key is not None:
        parts.append(f"concurrency key {job.concurrency_key}")
    return [cut(f"  jobs     {'; '.join(parts)}")] if parts else []


def upcoming(schedule: ScheduleInfo) -> list[str]:
    """The next times, line by line: by the schedule's own clocks, and in UTC."""
    from datetime import UTC, datetime

    from beaver_actors.almanac.zones import zone

    if schedule.paused:
        return ["  paused"]
    rows = []
    for text in schedule.next:
        moment = datetime.fromisoformat(text)
        there = moment.astimezone(zone(schedule.tz)) if schedule.tz else moment.astimezone(UTC)
        utc = "" if there.utcoffset() == moment.utcoffset() else f"  ({moment.astimezone(UTC):{STAMP}})"
        rows.append(f"  next     {there:{STAMP}}{utc}")
    return rows
