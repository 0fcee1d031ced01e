"""`queues`: list, pause, resume, drain, set rules, move and delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import click

from beaver_actors.cli.changes import change_each
from beaver_actors.cli.console import json_document, line, note, show
from beaver_actors.cli.enqueue import number_or_text
from beaver_actors.cli.options import ONE_PER_LINE, Target, debug_option, json_option, server_options
from beaver_actors.cli.talk import talk
from beaver_actors.cli.text import many

if TYPE_CHECKING:
    from beaver_actors.client import Change, Client, Status
    from beaver_actors.client.rules import QueueOptions


@click.group()
def queues() -> None:
    """See, stop, start and limit queues; move their jobs."""


@queues.command("list")
@server_options
@json_option()
@debug_option
def list_queues(server: Target, /, *, as_json: bool) -> None:
    """List the queues with the number of jobs in each state."""

    async def ask(client: Client) -> Status:
        return await client.status()

    status = talk(server, ask)
    if as_json:
        json_document(status.queues)
        return
    if not status.queues:
        note("No queues yet: the first job makes one.")
        return
    from beaver_actors.cli.queues_view import QueuesTable
    from beaver_actors.codec.wire_times import parse_time_ms

    show(QueuesTable(status.queues, parse_time_ms(status.at)))


@queues.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@server_options
@json_option(ONE_PER_LINE)
@debug_option
def pause(server: Target, /, *, names: tuple[str, ...], as_json: bool) -> None:
    """Start no more jobs of these queues. Running ones go on, new ones are accepted and wait."""
    change_each(server, names, lambda client, name: client.pause(name), "paused", as_json=as_json)


@queues.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@server_options
@json_option(ONE_PER_LINE)
@debug_option
def resume(server: Target, /, *, names: tuple[str, ...], as_json: bool) -> None:
    """Start jobs of these queues again, and take new ones if they were drained."""
    change_each(server, names, lambda client, name: client.resume(name), "resumed", as_json=as_json)


@queues.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@server_options
@json_option(ONE_PER_LINE)
@debug_option
def drain(server: Target, /, *, names: tuple[str, ...], as_json: bool) -> None:
    """Take no new jobs for these queues until they are resumed, and go on working."""
    change_each(server, names, lambda client, name: client.drain(name), "draining", as_json=as_json)


@queues.command("delete")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@server_options
@json_option(ONE_PER_LINE)
@debug_option
def delete_queues(server: Target, /, *, names: tuple[str, ...], as_json: bool) -> None:
    """Forget queues that hold no jobs, with their rules."""
    change_each(server, names, lambda client, name: client.delete_queue(name), "deleted", as_json=as_json)


@queues.command("set")
@click.argument("name", metavar="NAME")
@click.option("--jobs-max", metavar="N", help='Waiting jobs; "none" for the server\'s own limit.')
@click.option("--concurrency", metavar="N", help="Jobs that run at the same time.")
@click.option("--rate", metavar="N/TIME", help='Starts in a time: "100/1m", "5/s", "100/1m burst 20".')
@click.option("--key-concurrency", metavar="N", help="Jobs of one concurrency key that run at the same time.")
@click.option("--key-rate", metavar="N/TIME", help="Starts in a time, for each concurrency key.")
@click.option(
    "--ageing", metavar="DURATION", help="A job's priority grows by one each time it waits so long."
)
@server_options
@json_option()
@debug_option
def set_rules(server: Target, /, *, name: str, as_json: bool, **given: str | None) -> None:
    """Set rules of a queue. "none" takes one away; what is not named stays as it is."""
    rules = {rule: _rule(rule, text) for rule, text in given.items() if text is not None}
    if not rules:
        raise click.UsageError("Expected at least one rule, such as --concurrency 5.")

    async def ask(client: Client) -> Change:
        return await client.configure(name, **cast("QueueOptions", rules))

    change = talk(server, ask)
    if as_json:
        json_document(change)
        return
    line(f"{change.name} set" if change.changed else f"{change.name} was set so already")


def _rule(rule: str, text: str) -> object:
    if text == "none":
        return None
    option = f"--{rule.replace('_', '-')}"
    if rule in ("rate", "key_rate"):
        from beaver_actors.client.rules import parse_rate

        try:
            return parse_rate(text)
        except ValueError as error:
            raise click.UsageError(f"{option}: {error}") from None
    if rule == "ageing":
        return number_or_text(text)
    try:
        return int(text)
    except ValueError:
        raise click.UsageError(f"{option}: expected a whole number or none, got {text[:60]!r}") from None


@queues.command()
@click.argument("queue", metavar="FROM")
@click.argument("to", metavar="TO")
@click.option("--kind", metavar="KIND", help="Only jobs of this kind.")
@click.option("--tag", metavar="TAG", help="Only jobs with this tag.")
@server_options
@json_option()
@debug_option
def move(server: Target, /, *, queue: str, to: str, kind: str | None, tag: str | None, as_json: bool) -> None:
    """Let the waiting jobs of a queue stand in another from now on; running ones end where they are.

    If this is interrupted, ask again: no job is lost or there twice."""

    async def ask(client: Client) -> int:
        return await client.move(queue, to, kind=kind, tag=tag)

    moved = talk(server, ask)
    if as_json:
        json_document({"moved": moved})
        return
    line(f"{many(moved, 'job')} moved from {queue} to {to}")
