"""What is written to the terminal and how: the one place that makes a rich console. Standard output gets what
was asked for, standard error everything said about it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from beaver_actors.cli.exits import Exit, Failure
from beaver_actors.cli.text import cut

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

LOST_SHOWN = 200
"""Characters of what could not be written; an id and a line of a table are shorter."""
PIPED_WIDTH = 10_000
"""Columns when nobody looks: a program that reads a table wants whole cells."""


def line(text: str = "") -> None:
    """One line of what was asked for."""
    put(text)


def put(text: str | bytes) -> None:
    """Write to standard output.

    Raises:
        Failure: it cannot be written; what was lost is told.
        BrokenPipeError: whoever read it has gone.
    """
    try:
        click.echo(text)
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_output()
        lost = cut(text if isinstance(text, str) else text.decode(), LOST_SHOWN)
        reason = f"standard output: {error.strerror or error}"
        raise Failure(Exit.ERROR, reason, f"Not written, though done: {lost}") from error


def drop_output() -> None:
    """Let standard output go nowhere. Python flushes it once more at its end, and must be able to."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def note(text: str) -> None:
    """One line about what was done, which must not get into a pipe."""
    click.echo(text, err=True)


def json_document(value: Any) -> None:
    """A JSON value or a message of the protocol, laid out on a terminal, in one line for programs."""
    import msgspec

    text = msgspec.json.encode(value)
    put(msgspec.json.format(text, indent=2) if sys.stdout.isatty() else text)


def json_line(value: Any) -> None:
    """A JSON value or a message of the protocol, in one line."""
    import msgspec

    put(msgspec.json.encode(value))


def json_lines(values: Iterable[Any]) -> None:
    """JSON values or messages of the protocol, one in each line: what every list is for programs."""
    for value in values:
        json_line(value)


def show(renderable: RenderableType) -> None:
    """A table or the like on standard output, without the spaces that rich leaves at the ends of lines."""
    console = make_console()
    with console.capture() as captured:
        console.print(renderable)
    for text in captured.get().splitlines():
        line(text.rstrip())


def make_console(*, stderr: bool = False) -> Console:
    """A console that heeds NO_COLOR, guesses at no syntax, and cuts nothing when it is no terminal."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(
        stderr=stderr, highlight=False, markup=False, width=None if stream.isatty() else PIPED_WIDTH
    )
