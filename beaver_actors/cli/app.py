"""The root command: puts the commands together and turns whatever ends one into an exit code and a text that
says what to do. A traceback is shown to those who ask for it."""

from __future__ import annotations

import sys
import traceback
from typing import Any, NoReturn

import click

from beaver_actors import __version__
from beaver_actors.cli.config import config
from beaver_actors.cli.console import drop_output
from beaver_actors.cli.enqueue import enqueue
from beaver_actors.cli.exits import Exit, Failure, colours_wanted, leaves
from beaver_actors.cli.jobs import jobs
from beaver_actors.cli.offline import log, verify
from beaver_actors.cli.operations import operations
from beaver_actors.cli.options import DEBUG, debug_option
from beaver_actors.cli.queues import queues
from beaver_actors.cli.run import run
from beaver_actors.cli.schedules import schedules
from beaver_actors.cli.status import status
from beaver_actors.cli.tail import tail
from beaver_actors.cli.text import printable
from beaver_actors.cli.worker import worker
from beaver_actors.cli.workers import workers

SECTIONS = {
    "The server": ("run", "config"),
    "Workers on other machines": ("worker", "workers"),
    "Jobs": ("enqueue", "jobs", "queues", "schedules", "operations"),
    "Watching": ("status", "tail"),
    "Data directory, without a server": ("log", "verify"),
}
"""The order of `--help`."""


class Root(click.Group):
    """Lists its commands by purpose, and is the last to see an error."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # here, where a reader that has gone can still be dealt with
        except click.exceptions.Exit:
            raise
        except click.ClickException as error:
            raise _harmless(error) from error.__cause__
        except (KeyboardInterrupt, click.Abort):
            ctx.exit(Exit.INTERRUPTED)
        except BaseException as error:  # noqa: BLE001 - the last one to see it
            _end(ctx, error)
        return result

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands under their headings."""
        width = max(map(len, self.commands))
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(name.ljust(width), self.commands[name].get_short_help_str(80)) for name in names]
                )


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="beaver_actors")
@debug_option
@click.pass_context
def beaver(context: click.Context) -> None:
    """A durable job queue: an answer means that it is on disk.

    Start a server with "run"; send it jobs with "enqueue"; see what becomes of them with "status", "jobs" and
    "tail".
    """
    if not colours_wanted():
        context.color = False


for command in (
    run, config, worker, workers, enqueue, jobs, queues, schedules, operations, status, tail, log, verify,
):  # fmt: skip
    beaver.add_command(command)


def _harmless(error: click.ClickException) -> click.ClickException:
    """The error, in whose text no control character is left: it may repeat what anybody wrote anywhere."""
    text = error.format_message()
    if printable(text) == text:
        return error
    if isinstance(error, Failure):
        return Failure(error.code, printable(text), error.advice)
    return click.UsageError(printable(text), ctx=getattr(error, "ctx", None))


def _end(context: click.Context, error: BaseException) -> NoReturn:
    """End the process for an error that no command has given a meaning."""
    found = list(leaves(error))
    if any(isinstance(leaf, KeyboardInterrupt) for leaf in found):
        context.exit(Exit.INTERRUPTED)
    if any(isinstance(leaf, BrokenPipeError) for leaf in found):
        drop_output()
        context.exit(Exit.BROKEN_PIPE)
    known = next((leaf for leaf in found if isinstance(leaf, click.ClickException)), None)
    if known is not None:
        raise _harmless(known)
    if not isinstance(error, Exception):
        raise error
    if context.meta.get(DEBUG):
        traceback.print_exception(error)
        context.exit(Exit.ERROR)
    first = found[0]
    if isinstance(first, UnicodeEncodeError) and first.reason == "surrogates not allowed":
        # So Python stands for bytes of the command line that are none.
        raise Failure(Exit.USAGE, "expected UTF-8 on the command line, got other bytes")
    if isinstance(first, OSError):
        where = f"{first.filename}: " if first.filename else ""
        raise Failure(Exit.ERROR, f"{where}{first.strerror or first}")
    raise Failure(
        Exit.ERROR,
        f"{type(first).__name__}: {first}",
        "This is a fault of the program. Run the command again with --debug and report what it prints.",
    )
