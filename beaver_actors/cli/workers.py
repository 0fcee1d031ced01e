"""`workers`: who runs jobs on other machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from beaver_actors.cli.console import json_lines, note, show
from beaver_actors.cli.options import ONE_PER_LINE, Target, debug_option, json_option, server_options
from beaver_actors.cli.talk import talk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from beaver_actors.client import Client, Status, WorkerInfo


@click.group()
def workers() -> None:
    """Show the workers on other machines."""


@workers.command("list")
@server_options
@json_option(ONE_PER_LINE)
@debug_option
def list_workers(server: Target, /, *, as_json: bool) -> None:
    """List the workers on other machines, those with most jobs first."""

    async def ask(client: Client) -> tuple[Sequence[WorkerInfo], Status]:
        return await client.workers(), await client.status()

    found, status = talk(server, ask)
    if as_json:
        json_lines(found)
        return
    if not found:
        note("No workers on other machines. Start one with: python -m beaver_actors worker --url URL")
        return
    from beaver_actors.codec.wire_times import parse_time_ms

    show(workers_table(found, parse_time_ms(status.at)))


def workers_table(found: Sequence[WorkerInfo], now_ms: int) -> Table:
    """One row for each worker. `now_ms` by the server's clock, milliseconds UTC."""
    from rich.text import Text

    from beaver_actors.cli.tables import plain_table
    from beaver_actors.cli.text import ago, cut
    from beaver_actors.codec.wire_times import parse_time_ms

    table = plain_table("worker")
    for name in ("state", "version"):
        table.add_column(name, no_wrap=True)
    for name in ("jobs", "slots", "kinds"):
        table.add_column(name, justify="right")
    table.add_column("queues")
    table.add_column("seen", justify="right", no_wrap=True)
    for worker in found:
        table.add_row(
            Text(cut(worker.worker_id)),
            Text(worker.state, style="bold yellow" if worker.state == "suspect" else ""),
            Text(cut(worker.version)),
            str(worker.in_flight),
            str(worker.slots),
            str(len(worker.kinds)),
            Text(cut(_queues(worker))),
            ago(parse_time_ms(worker.last_seen_at), now_ms),
        )
    return table


def _queues(worker: WorkerInfo) -> str:
    if worker.queues is None:
        return "all"
    return ", ".join(name if weight == 1 else f"{name}={weight}" for name, weight in worker.queues.items())
