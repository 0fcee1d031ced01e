"""One change asked for each of several names, and what is said of each: "nightly paused"."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from beaver_actors.cli.console import json_document, line
from beaver_actors.cli.options import Target
from beaver_actors.cli.talk import talk

if TYPE_CHECKING:
    from beaver_actors.client import Change, Client


def change_each(
    server: Target,
    names: tuple[str, ...],
    change_one: Callable[[Client, str], Awaitable[Change]],
    done: str,
    *,
    as_json: bool,
) -> None:
    """Ask for the change of one name after the other, and print what became of each.

    Args:
        change_one: asks for it.
        done: what a name then is, such as "paused"; also what one is that was so before.

    Raises:
        Failure: as `talk`. Those named before are changed.
    """

    async def ask(client: Client) -> list[Change]:
        return [await change_one(client, name) for name in names]

    changes = talk(server, ask)
    if as_json:
        json_document(changes)
        return
    for change in changes:
        line(f"{change.name} {done}" if change.changed else f"{change.name} was {done} already")
