"""`operations`: what the server does with many jobs at a time, and how far it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from beaver_actors.cli.console import json_document, json_lines, line, note, show
from beaver_actors.cli.exits import Exit
from beaver_actors.cli.operate import follow, summary
from beaver_actors.cli.options import ONE_PER_LINE, Target, debug_option, json_option, server_options
from beaver_actors.cli.talk import talk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from beaver_actors.client import Client, OperationInfo


@click.group()
def operations() -> None:
    """List, follow and stop operations on many jobs."""


@operations.command("list")
@server_options
@json_option(ONE_PER_LINE)
@debug_option
def list_operations(server: Target, /, *, as_json: bool) -> None:
    """List the operations that run and the last hundred that have ended, newest first."""

    async def ask(client: Client) -> Sequence[OperationInfo]:
        return await client.operations()

    found = talk(server, ask)
    if as_json:
        json_lines(found)
    elif not found:
        note('No operations. "jobs retry --all" and "jobs purge" start one.')
    else:
        show(operations_table(found))


@operations.command("wait")
@click.argument("operation_id", metavar="ID")
@server_options
@json_option()
@debug_option
@click.pass_context
def wait_operation(context: click.Context, server: Target, /, *, operation_id: str, as_json: bool) -> None:
    """Stay until an operation has ended, and show how far it is. Exit code 4: it was stopped."""

    async def ask(client: Client) -> OperationInfo:
        return await follow(client, await client.operation(operation_id))

    operation = talk(server, ask)
    if as_json:
        json_document(operation)
    else:
        line(summary(operation))
    context.exit(Exit.REFUSED if operation.state == "stopped" else Exit.OK)


@operations.command("stop")
@click.argument("operation_id", metavar="ID")
@server_options
@json_option()
@debug_option
def stop_operation(server: Target, /, *, operation_id: str, as_json: bool) -> None:
    """Go no further with an operation. What it has done stays done."""

    async def ask(client: Client) -> OperationInfo:
        return await client.stop_operation(operation_id)

    operation = talk(server, ask)
    if as_json:
        json_document(operation)
    else:
        line(summary(operation))


def operations_table(found: Sequence[OperationInfo]) -> Table:
    """One row for each operation."""
    from rich.text import Text

    from beaver_actors.cli.events import conditions
    from beaver_actors.cli.tables import plain_table
    from beaver_actors.cli.text import clock_time, count, cut
    from beaver_actors.codec.wire_times import parse_time_ms

    table = plain_table("operation")
    for name in ("what", "state", "started"):
        table.add_column(name, no_wrap=True)
    for name in ("changed", "refused", "looked at"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("which jobs")
    for one in found:
        table.add_row(
            Text(cut(one.id)),
            one.word,
            Text(one.state, style="bold cyan" if one.state == "running" else ""),
            clock_time(parse_time_ms(one.started_at))[:19],
            count(one.changed),
            count(one.refused),
            f"{count(one.looked_at)}/{count(one.to_look_at)}",
            Text(conditions(one.wanted)),
        )
    return table
