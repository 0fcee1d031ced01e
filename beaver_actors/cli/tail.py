"""`tail`: events as they happen, without a silent hole, across restarts of the server (P10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from beaver_actors.cli.console import note, put
from beaver_actors.cli.options import Target, debug_option, json_option, server_options

if TYPE_CHECKING:
    from beaver_actors.client import Client, ClientError, Event, Gap


@click.command()
@click.option(
    "--from-lsn", type=click.IntRange(min=1), metavar="LSN", help="Begin there; from now on if not given."
)
@click.option("--job", "job_ids", multiple=True, metavar="ID", help="Only this job; may be repeated.")
@click.option("--kind", metavar="KIND", help="Only jobs of this kind.")
@click.option("--queue", "-q", metavar="NAME", help="Only this queue.")
@click.option(
    "--event", "names", multiple=True, metavar="NAME", help="Only such as job_completed; may be repeated."
)
@click.option("--limit", "-n", type=click.IntRange(min=1), metavar="N", help="End after so many.")
@server_options
@json_option("One JSON object per line.")
@debug_option
def tail(
    server: Target,
    /,
    *,
    from_lsn: int | None,
    job_ids: tuple[str, ...],
    kind: str | None,
    queue: str | None,
    names: tuple[str, ...],
    limit: int | None,
    as_json: bool,
) -> None:
    """Follow what happens, one line for each event.

    The first column is the event's position in the log: --from-lsn goes on from there another time. When the
    server is away, tail waits for it and misses nothing; events that are gone for good are told as a gap.
    """
    from beaver_actors.cli.events import check_event_names
    from beaver_actors.cli.live import stay

    check_event_names(names)
    follower = _Follower(from_lsn, limit, as_json)

    async def follow(client: Client) -> None:
        stream = client.subscribe_events(
            follower.next_lsn, kind=kind, queue=queue, job_ids=job_ids or None, events=names or None
        )
        try:
            async with stream:
                follower.connected()
                while not follower.ended:
                    follower.show(await stream.batch())
        finally:
            if stream.position is not None:
                follower.next_lsn = stream.position + 1

    stay(server, follow, follower.lost)


class _Follower:
    """What has been shown, and what comes next."""

    def __init__(self, from_lsn: int | None, limit: int | None, as_json: bool) -> None:
        self.next_lsn = from_lsn
        self._left = limit
        self._as_json = as_json
        self._was_lost = False

    @property
    def ended(self) -> bool:
        """Whether as many have been shown as were wanted."""
        return self._left == 0

    def connected(self) -> None:
        """Events come again."""
        if self._was_lost:
            note("Connected again; nothing was missed.")
            self._was_lost = False

    def lost(self, error: ClientError) -> None:
        """No events come for now. Said once, not for every try."""
        if not self._was_lost:
            note(f"No connection, trying again: {error}")
            self._was_lost = True

    def show(self, items: list[Event | Gap]) -> None:
        """Print them, as many as are wanted."""
        if self._left is not None:
            items = items[: self._left]
            self._left -= len(items)
        put("\n".join(self._text(item) for item in items))

    def _text(self, item: Event | Gap) -> str:
        import msgspec

        from beaver_actors.cli.events import event_line, gap_line
        from beaver_actors.client import Event

        if isinstance(item, Event):
            return msgspec.json.encode(item).decode() if self._as_json else event_line(item)
        gap = {"gap": {"from": item.from_lsn, "to": item.to_lsn}}
        return msgspec.json.encode(gap).decode() if self._as_json else gap_line(item)
