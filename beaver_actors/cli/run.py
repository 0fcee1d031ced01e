"""`run`: from the command line to a running server, and what it says about itself on standard output. The
server is the node's; this file only hands it its settings and ends with its exit code."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from beaver_actors.cli.config import load_config, server_token
from beaver_actors.cli.console import json_line, line
from beaver_actors.cli.exits import Exit, Failure
from beaver_actors.cli.options import debug_option, json_option
from beaver_actors.cli.text import duration, many

if TYPE_CHECKING:
    from beaver_actors.config import Config, Override
    from beaver_actors.node.lives import Ready

OVERRIDES = {
    "app": "app",
    "data_dir": "data_dir",
    "listen": "server.listen",
    "metrics_listen": "metrics.listen",
    "workers": "workers.count",
    "token_file": "server.token_file",
    "insecure": "server.insecure",
    "log_level": "log.level",
    "log_format": "log.format",
}
"""Options of `run`, and the settings that they stand for."""


@click.command()
@click.option("--config", "config_file", type=click.Path(), metavar="FILE", help="YAML file of settings.")
@click.option(
    "--app", metavar="MODULE:ATTR", help="Your jobs, such as shop.jobs:app. The demo kinds are always there."
)
@click.option(
    "--data-dir", type=click.Path(), metavar="DIR", help="Where the log and the snapshots are kept."
)
@click.option("--listen", metavar="HOST:PORT", help="Where clients connect. Port 0 takes a free one.")
@click.option("--metrics-listen", metavar="HOST:PORT", help="Where /metrics is served besides.")
@click.option("--workers", type=int, metavar="N", help="Jobs that run at the same time.")
@click.option(
    "--token-file", type=click.Path(), metavar="FILE", help="File whose first line clients must present."
)
@click.option("--insecure", is_flag=True, default=None, help="Let other machines connect without a token.")
@click.option("--log-level", metavar="LEVEL", help="debug, info, warning or error.")
@click.option("--log-format", metavar="FORMAT", help="console, json, or auto: console on a terminal.")
@json_option("Announce the addresses as one JSON object in one line.")
@debug_option
@click.pass_context
def run(context: click.Context, /, config_file: str | None, as_json: bool, **given: Any) -> None:
    """Run a server until it is told to stop.

    Settings come from the options, the environment (BEAVER_WORKERS__COUNT=4), the file and the defaults, in
    this order. Ctrl-C or SIGTERM lets running jobs finish; a second one stops at once, and what is unfinished
    goes back to the queue.
    """
    config = load_config(config_file, _overrides(given))
    context.exit(_serve(config, _announce_json if as_json else partial(_announce, config)))


def _overrides(given: dict[str, Any]) -> dict[str, Override]:
    from beaver_actors.config import Override

    return {
        OVERRIDES[name]: Override(value, f"--{name.replace('_', '-')}")
        for name, value in given.items()
        if value is not None
    }


def _serve(config: Config, announce: Callable[[Ready], None]) -> int:
    """Run the server.

    Raises:
        Failure: it cannot start.
    """
    token = server_token(config)
    import trio

    from beaver_actors.execute.app import AppError
    from beaver_actors.node.serve import serve
    from beaver_actors.observe.log import configure
    from beaver_actors.server.auth import ExposureError
    from beaver_actors.server.sockets import ListenError

    configure(config.log.format, config.log.level)

    def ready(news: Ready) -> None:
        # A server whose starter has gone away goes on serving.
        with suppress(BrokenPipeError):
            announce(news)

    try:
        return int(trio.run(partial(serve, config, token=token, ready=ready)))
    except AppError as error:
        raise Failure(Exit.USAGE, str(error)) from error
    except ExposureError as error:
        raise Failure(
            Exit.USAGE, str(error), "Here: --token-file FILE, --listen 127.0.0.1:7440, --insecure."
        ) from error
    except ListenError as error:
        raise Failure(Exit.ERROR, str(error)) from error


def _announce(config: Config, ready: Ready) -> None:
    for address in ready.listen:
        line(f"listening on ws://{address} (HTTP too: http://{address}/api/v1/status)")
    for address in ready.metrics:
        line(f"metrics on http://{address}/metrics")
    line(recovery_line(config.data_dir, ready))


def recovery_line(data_dir: str, ready: Ready) -> str:
    """What was found in the data directory, in one line."""
    report, leases = ready.recovered, ready.leases
    if report.is_new:
        return f"new data directory {data_dir}"
    source = (
        "the log" if report.snapshot_lsn is None else f"a snapshot (LSN {report.snapshot_lsn:,}) and the log"
    )
    parts = [f"recovered {many(ready.jobs, 'job')} from {data_dir} in {duration(ready.seconds * 1000)}"]
    parts.append(f"LSN {report.head:,} out of {source}")
    for number, what in (
        (leases.released + leases.rescued, "interrupted"),
        (leases.poisoned, "dead as poison"),
    ):
        if number:
            parts.append(f"{number:,} {what}")
    if report.torn_bytes:
        parts.append(f"{report.torn_bytes:,} bytes of an unfinished write cut")
    return "; ".join(parts)


def _announce_json(ready: Ready) -> None:
    report, leases = ready.recovered, ready.leases
    json_line(
        {
            "listen": [f"ws://{address}" for address in ready.listen],
            "metrics": [f"http://{address}/metrics" for address in ready.metrics],
            "pid": os.getpid(),
            "life": ready.life,
            "jobs": ready.jobs,
            "lsn": report.head,
            "recovery": {
                "seconds": ready.seconds,
                "new": report.is_new,
                "snapshot_lsn": report.snapshot_lsn,
                "facts": report.facts,
                "torn_bytes": report.torn_bytes,
                "rescued": leases.rescued,
                "released": leases.released,
                "poisoned": leases.poisoned,
                "cancelled": leases.cancelled,
            },
        }
    )
