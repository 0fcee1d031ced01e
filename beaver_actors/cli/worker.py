"""`worker`: runs a server's jobs on this machine. The worker is `remote/`; this file only hands it its
settings."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import click

from beaver_actors.cli.console import line
from beaver_actors.cli.exits import Exit, Failure
from beaver_actors.cli.options import Target, debug_option, server_options
from beaver_actors.cli.talk import telling_of_the_server
from beaver_actors.cli.text import many

if TYPE_CHECKING:
    from beaver_actors.observe.log import Level, Style

CONCURRENCY_MAX = 1024
BUFFER_MAX = 8192
WEIGHTS_MAX = 1000


@click.command()
@server_options
@click.option(
    "--app", metavar="MODULE:ATTR", help="Your jobs, such as shop.jobs:app. The demo kinds are always there."
)
@click.option(
    "--queues",
    metavar="NAME[=WEIGHT],...",
    help="Serve these queues, each in so many turns: mail=2,default. All queues, in turn, if not given.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, CONCURRENCY_MAX),
    default=8,
    show_default=True,
    metavar="N",
    help="Jobs that run at the same time.",
)
@click.option(
    "--buffer",
    type=click.IntRange(0, BUFFER_MAX),
    default=0,
    show_default=True,
    metavar="N",
    help="Jobs to have at hand beyond those: a few hide the way to the server where jobs are short.",
)
@click.option(
    "--grace",
    type=click.FloatRange(0),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="How long running jobs may go on after the worker was told to stop.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="The least weighty line that is written to standard error.",
)
@click.option(
    "--log-format",
    type=click.Choice(["auto", "console", "json"]),
    default="auto",
    show_default=True,
    help="Form of those lines; auto is console on a terminal, else json.",
)
@debug_option
@click.pass_context
def worker(
    context: click.Context,
    server: Target,
    /,
    *,
    app: str | None,
    queues: str | None,
    concurrency: int,
    buffer: int,
    grace: float,
    log_level: Level,
    log_format: Style,
) -> None:
    """Run jobs of a server on this machine, until told to stop.

    The worker connects, and connects again whenever the connection is lost. Ctrl-C or SIGTERM lets running
    jobs finish; a second one gives them back unfinished."""
    weights = None if queues is None else read_queues(queues)
    import trio

    from beaver_actors.execute.app import AppError
    from beaver_actors.execute.executor import Executor
    from beaver_actors.observe.log import configure
    from beaver_actors.remote.program import WorkerSettings, run_worker

    configure(log_format, log_level)
    settings = WorkerSettings(
        server.url, server.token, weights, concurrency=concurrency, buffer=buffer, grace=grace
    )
    try:
        executor = Executor(app, threads=max(40, 2 * concurrency), processes=concurrency)
    except AppError as error:
        raise Failure(Exit.USAGE, str(error)) from error

    def welcome() -> None:
        # A worker whose starter has gone away, or whose output cannot be written, goes on working.
        with suppress(BrokenPipeError, Failure):
            line(f"worker for {server.url}: {many(len(executor.kinds), 'kind')}, {concurrency} at a time")

    with telling_of_the_server():
        unreported = trio.run(partial(run_worker, settings, executor, welcome=welcome))
    if unreported:
        raise Failure(
            Exit.ERROR,
            f"{many(unreported, 'outcome')} could not be reported",
            "Those jobs run again when their leases end.",
        )
    context.exit(Exit.OK)


def read_queues(text: str) -> tuple[tuple[str, int], ...]:
    """Names and weights out of `mail=2,default`.

    Raises:
        Failure: a name or a weight is none.
    """
    from beaver_actors.codec.wire_fields import QUEUE_PATTERN

    weights: dict[str, int] = {}
    for part in text.split(","):
        name, equals, weight = part.strip().partition("=")
        number = int(weight) if weight.isascii() and weight.isdigit() and len(weight) < 5 else 0
        if not re.fullmatch(QUEUE_PATTERN, name) or name in weights:
            raise Failure(
                Exit.USAGE, f'--queues: expected names such as "mail=2,default", got "{part.strip()}"'
            )
        if equals and not 1 <= number <= WEIGHTS_MAX:
            expected = f"a weight from 1 to {WEIGHTS_MAX}"
            raise Failure(Exit.USAGE, f'--queues: {name}: expected {expected}, got "{weight}"')
        weights[name] = number if equals else 1
    return tuple(weights.items())
