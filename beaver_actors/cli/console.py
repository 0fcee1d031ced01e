"""What is written to the terminal and how: the one place that makes a rich console. Standard output gets what
was asked for, standard error everything said about it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PIPED_WIDTH = 10_000
"""Columns when nobody looks: a program that reads a table wants whole cells."""


def line(text: str = "") -> None:
    """One line of what was asked for."""
    click.echo(text)


def note(text: str) -> None:
    """One line about what was done, which must not get into a pipe."""
    click.echo(text, err=True)


def json_document(value: Any) -> None:
    """A JSON value or a message of the protocol, laid out on a terminal, in one line for programs."""
    import msgspec

    text = msgspec.json.encode(value)
    click.echo(msgspec.json.format(text, indent=2) if sys.stdout.isatty() else text)


def json_line(value: Any) -> None:
    """A JSON value or a message of the protocol, in one line."""
    import msgspec

    click.echo(msgspec.json.encode(value))


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
