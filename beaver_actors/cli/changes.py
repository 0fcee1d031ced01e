"""One change asked for each of several names, and what is said of each: "nightly paused"."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from beaver_actors.cli.console import json_line, line, note
from beaver_actors.cli.exits import Exit
from beaver_actors.cli.options import Target
from beaver_actors.cli.talk import talk
from beaver_actors.cli.text import cut

if TYPE_CHECKING:
    from beaver_actors.client import Change, Client, Refused


def change_each(
    server: Target,
    names: tuple[str, ...],
    change_one: Callable[[Client, str], Awaitable[Change]],
    done: str,
    *,
    as_json: bool,
) -> None:
    """Ask for the change of one name after the other, whatever became of those before, and print what became
    of each when it is known.

    Args:
        change_one: asks for it.
        done: what a name then is, such as "paused"; also what one is that was so before.

    Raises:
        Failure: there is no connection, or the only name was refused.
        click.exceptions.Exit: with the code of a refusal, if one of several was refused.
    """
    from beaver_actors.client import Refused

    each = tuple(dict.fromkeys(names))

    async def ask(client: Client) -> bool:
        all_done = True
        for name in each:
            try:
                _tell(await change_one(client, name), done, as_json=as_json)
            except Refused as error:
                if len(each) == 1:
                    raise
                all_done = False
                _tell_refused(name, error, as_json=as_json)
        return all_done

    if not talk(server, ask):
        raise click.exceptions.Exit(Exit.REFUSED)


def _tell(change: Change, done: str, *, as_json: bool) -> None:
    if as_json:
        json_line(change)
    else:
        line(f"{change.name} {done}" if change.changed else f"{change.name} was {done} already")


def _tell_refused(name: str, error: Refused, *, as_json: bool) -> None:
    if as_json:
        json_line({"name": name, "changed": False, "code": error.code, "state": None})
    note(f"  {cut(name)}: {cut(str(error))}")
