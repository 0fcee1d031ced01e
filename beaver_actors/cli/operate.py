"""Starting an operation on many jobs, and following it until it has ended. The server does the work; leaving
changes nothing about it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from beaver_actors.cli.console import json_document, line, make_console, note
from beaver_actors.cli.exits import Exit, Failure
from beaver_actors.cli.options import Target
from beaver_actors.cli.talk import talk
from beaver_actors.cli.text import count, cut, many

if TYPE_CHECKING:
    from beaver_actors.client import Client, OperationInfo
    from beaver_actors.core.operation import OperationWord

Function = TypeVar("Function", bound=Callable[..., Any])

DONE = {"retry": "put back", "delete": "deleted"}


def in_the_background(function: Function) -> Function:
    """`--all` and `--wait`; the command takes `everything` and `wait`."""
    option = click.option("--wait", is_flag=True, help="With --all: stay until it has ended.")
    everything = click.option(
        "--all", "everything", is_flag=True, help="Have the server do it with all that fit; dead ones."
    )
    return everything(option(function))


def unchanged(function: Function) -> Function:
    """The command has no such options."""
    return function


def meant(wanted: Mapping[str, Any]) -> str:
    """Which jobs an operation is about, in words: "all dead jobs with queue=mail"."""
    others = [f"{name}={value}" for name, value in wanted.items() if value and name != "state"]
    which = f" with {' '.join(others)}" if others else ""
    return cut(f"all {str(wanted.get('state') or 'dead').replace('_', ' ')} jobs{which}", 200)


def confirm(what: str) -> None:
    """Ask whether that is wanted.

    Raises:
        Failure: there is nobody to ask.
        click.Abort: it is not.
    """
    if not sys.stdin.isatty():
        raise Failure(Exit.USAGE, f"this would {what}", "Add --yes if that is what you want.")
    click.confirm(f"{what[0].upper()}{what[1:]}?", abort=True, err=True)


def operate(
    server: Target, word: OperationWord, wanted: Mapping[str, Any], *, wait: bool, as_json: bool
) -> Exit:
    """Start an operation, and perhaps stay until it has ended; the exit code is that of a refusal if it was
    stopped before its end."""

    async def ask(client: Client) -> OperationInfo:
        start = client.retry_all if word == "retry" else client.delete_all
        operation = await start(**wanted)
        return await follow(client, operation) if wait else operation

    operation = talk(server, ask)
    if as_json:
        json_document(operation)
    elif wait:
        line(summary(operation))
    else:
        line(operation.id)
        note("The server does it now. See how far it is with: python -m beaver_actors operations list")
    return Exit.REFUSED if operation.state == "stopped" else Exit.OK


async def follow(client: Client, operation: OperationInfo) -> OperationInfo:
    """Wait until it has ended, with a progress bar if someone looks; returns how it stands then."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = make_console(stderr=True)
    columns = (TextColumn("looked at"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=operation.to_look_at)
        return await client.wait_operation(
            operation.id, lambda seen: progress.update(bar, completed=seen.looked_at)
        )


def summary(operation: OperationInfo) -> str:
    """What has come of it, in a line."""
    done = f"{many(operation.changed, 'job')} {DONE[operation.word]}"
    refused = "" if not operation.refused else f", {count(operation.refused)} refused"
    looked = f"{count(operation.looked_at)} of {count(operation.to_look_at)} looked at"
    return f"{operation.state}: {done}{refused} ({looked})"
