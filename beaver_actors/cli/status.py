"""`status`: the whole queue at a glance, once or live."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from beaver_actors.cli.console import json_document, json_line, make_console, show
from beaver_actors.cli.options import Target, debug_option, json_option, server_options
from beaver_actors.cli.past import NOW, When, past_options, read_directory
from beaver_actors.cli.talk import talk

if TYPE_CHECKING:
    from beaver_actors.client import Client, ClientError, Status


@click.command()
@click.option("--watch", "-w", is_flag=True, help="Stay and follow; Ctrl-C ends.")
@click.option(
    "--interval",
    type=click.FloatRange(0.25, 3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="With --watch: the time between two looks.",
)
@past_options
@server_options
@json_option("Print JSON; with --watch one object per line.")
@debug_option
def status(
    server: Target,
    /,
    *,
    watch: bool,
    interval: float,
    when: When | None,
    data_dir: str | None,
    as_json: bool,
) -> None:
    """Show jobs by state, the queues, and what needs attention.

    With --at as it was then, with --data-dir from the files alone.
    """
    if watch:
        if when is not None or data_dir is not None:
            raise click.UsageError("--watch: follows a server as it is now")
        _watch(server, interval, as_json)
        return

    async def ask(client: Client) -> Status:
        if when is not None:
            return await client.status_at(lsn=when.lsn, at=when.at)
        return await client.status()

    found = talk(server, ask) if data_dir is None else _from_directory(data_dir, when)
    if as_json:
        json_document(found)
        return
    from beaver_actors.cli.status_view import status_view

    show(status_view(found, server.url if data_dir is None else data_dir))


def _from_directory(data_dir: str, when: When | None) -> Status:
    """The status as it was, or as it is by the end of the log."""
    from beaver_actors.client.views import read_part
    from beaver_actors.codec.wire_status_objects import StatusObject

    reply = read_directory(data_dir, None, when or NOW)
    assert reply is not None, "there is always a status"
    return read_part(StatusObject, reply.status)


def _watch(server: Target, interval: float, as_json: bool) -> None:
    """Follow the status. On a terminal the screen is redrawn, elsewhere each status is printed."""
    from rich.live import Live

    from beaver_actors.cli.live import stay
    from beaver_actors.cli.pulse import Pulse
    from beaver_actors.cli.status_view import status_view
    from beaver_actors.codec.wire_times import parse_time_ms

    console = make_console()
    pulse = Pulse()
    last: Status | None = None

    def draw(live: Live, trouble: str | None = None) -> None:
        assert last is not None, "there is no trouble before the first status"
        if as_json:
            if trouble is None:
                json_line(last)
            return
        view = status_view(last, server.url, pulse=pulse, trouble=trouble)
        if whole_screen:
            live.update(view, refresh=True)
        else:
            show(view)

    whole_screen = console.is_terminal and not as_json
    with Live(console=console, auto_refresh=False, screen=whole_screen) as live:

        async def follow(client: Client) -> None:
            nonlocal last
            async with client.subscribe_status(interval) as statuses:
                async for found in statuses:
                    last = found
                    pulse.feel(parse_time_ms(found.at), found.totals)
                    draw(live)

        def lost(error: ClientError) -> None:
            if last is not None:
                draw(live, "No connection, trying again …")

        try:
            stay(server, follow, lost)
        finally:
            live.stop()
            if whole_screen and last is not None:
                show(status_view(last, server.url))  # what was on the other screen is gone
