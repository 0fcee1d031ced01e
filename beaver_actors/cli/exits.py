"""Exit codes, and the one exception that carries one. It says how a command ended, never why that matters."""

from __future__ import annotations

import os
from collections.abc import Iterator
from enum import IntEnum
from typing import IO, Any

import click


class Exit(IntEnum):
    """What a script can tell from a command's end; `docs/cli.md` explains each."""

    OK = 0
    ERROR = 1
    """Something failed that no other code names; also a waited-for job that did not complete."""
    USAGE = 2
    """The command line, the configuration or an input file is wrong; nothing was done."""
    NOT_CONNECTED = 3
    REFUSED = 4
    """The server said no, or there is no such job."""
    DAMAGED = 5
    LOCKED = 6
    STORAGE = 7
    INTERRUPTED = 130
    """Ctrl-C: 128 and the number of SIGINT, as shells have it."""
    BROKEN_PIPE = 141
    """Whoever read our output has gone: 128 and the number of SIGPIPE."""


class Failure(click.ClickException):
    """A command could not do its work.

    Args:
        code: how the process ends.
        message: what is wrong, in one line or more.
        advice: what the user can do about it.
    """

    def __init__(self, code: Exit, message: str, advice: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.advice = advice

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # click wants a name on the class, read on the instance
        """How click ends the process."""
        return self.code

    def show(self, file: IO[Any] | None = None) -> None:
        """Write it to standard error, the first word in red on a terminal."""
        # The command's context, which knows about colours, has been left by then.
        colour = None if colours_wanted() else False
        label = click.style("Error:", fg="red", bold=True)
        advice = f"\n  {self.advice}" if self.advice else ""
        click.echo(f"{label} {self.message}{advice}", file=file, err=file is None, color=colour)


def colours_wanted() -> bool:
    """Whether colours may be used at all: not where NO_COLOR is set to anything."""
    return not os.environ.get("NO_COLOR")


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors themselves, out of the groups that a nursery wraps them in."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error
