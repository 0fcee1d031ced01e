"""`queues`: list, pause and resume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from beaver_actors.cli.console import json_document, line, note, show
from beaver_actors.cli.options import Target, debug_option, json_option, server_options
from beaver_actors.cli.talk import talk

if TYPE_CHECKING:
    from beaver_actors.client import Change, Client, Status


@click.group()
def queues() -> None:
    """List, pause and resume queues."""


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
    from beaver_actors.cli.status_view import queues_table
    from beaver_actors.codec.wire_times import parse_time_ms

    show(queues_table(status.queues, parse_time_ms(status.at)))


@queues.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@server_options
@json_option()
@debug_option
def pause(server: Target, /, *, names: tuple[str, ...], as_json: bool) -> None:
    """Start no more jobs of these queues. Running ones go on, new ones are accepted and wait."""
    _change(server, "pause", names, as_json)


@queues.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@server_options
@json_option()
@debug_option
def resume(server: Target, /, *, names: tuple[str, ...], as_json: bool) -> None:
    """Start jobs of these queues again."""
    _change(server, "resume", names, as_json)


def _change(server: Target, word: Literal["pause", "resume"], names: tuple[str, ...], as_json: bool) -> None:
    async def ask(client: Client) -> list[Change]:
        return [await getattr(client, word)(name) for name in names]

    changes = talk(server, ask)
    if as_json:
        json_document(changes)
        return
    done = {"pause": "paused", "resume": "resumed"}[word]
    for change in changes:
        line(f"{change.name} {done}" if change.changed else f"{change.name} was {done} already")
