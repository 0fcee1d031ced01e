"""`config check` and `config schema`, and reading the configuration for `run`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from beaver_actors.cli.console import json_document, line
from beaver_actors.cli.exits import Exit, Failure
from beaver_actors.cli.options import debug_option, json_option, read_token

if TYPE_CHECKING:
    from beaver_actors.config import Config, Override


@click.group()
def config() -> None:
    """Check a configuration, or print its schema."""


@config.command()
@click.argument("file", required=False, type=click.Path())
@json_option("Print every setting with its value as JSON.")
@debug_option
def check(file: str | None, as_json: bool) -> None:
    """Check FILE and the BEAVER_* variables of the environment, as "run" would read them.

    All problems are told at once, each with its place. If there are none, the token's file is read too, where
    there is one. Nothing is started and nothing is written.
    """
    settings = load_config(file)
    server_token(settings)
    if as_json:
        from beaver_actors.config.catalogue import CATALOGUE, value_of

        json_document({s.name: s.write(value_of(settings, s)) for s in CATALOGUE.values()})
        return
    line(f"{file or 'The default settings'}: good.")
    metrics = settings.metrics.listen if settings.metrics.enabled else "off"
    line(
        f"  clients {settings.server.listen}, metrics {metrics}, data in {settings.data_dir}, "
        f"{settings.workers.count} workers, app {settings.app or 'none (the demo kinds)'}"
    )


def _check_schedule(name: str, fields: object) -> None:
    """Judge a schedule and what its jobs ask for, as a start would. Raises ValueError."""
    from beaver_actors.codec.wire_schedules import check_read_schedule, read_schedule

    check_read_schedule(read_schedule(name, fields))


@config.command()
@debug_option
def schema() -> None:
    """Print the JSON Schema of the configuration file, for editors."""
    from beaver_actors.config import schema_text

    click.echo(schema_text(), nl=False)


def load_config(file: str | None, overrides: Mapping[str, Override] | None = None) -> Config:
    """Read the configuration from all its sources.

    Raises:
        Failure: it cannot be used; every problem is named.
    """
    from beaver_actors.config import ConfigError, load

    try:
        return load(file, os.environ, overrides, _check_schedule)
    except ConfigError as error:
        number = len(error.problems)
        what = "1 problem" if number == 1 else f"{number} problems"
        problems = "".join(f"\n  {problem}" for problem in error.problems)
        raise Failure(
            Exit.USAGE,
            f"the configuration has {what}:{problems}",
            'configs/default.yaml explains every setting; "config schema" prints them for editors.',
        ) from None


def server_token(config: Config) -> str | None:
    """What clients must present, out of the file that the settings name; None without one.

    Raises:
        Failure: the file cannot be read, or its first line is empty.
    """
    token_file = config.server.token_file
    return None if token_file is None else read_token(token_file, "server.token_file")
