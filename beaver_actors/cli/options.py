"""Options that several commands share, and what they amount to. It opens nothing but the token's file."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar

import click

from beaver_actors.cli.exits import Exit, Failure

P = ParamSpec("P")
Function = TypeVar("Function", bound=Callable[..., Any])

DEFAULT_URL = "ws://127.0.0.1:7440"
ONE_PER_LINE = "Print JSON, for programs: one object per line."
DEBUG = "beaver_actors.debug"
"""Key in a context's `meta`: whether tracebacks are wanted."""


@dataclass(frozen=True, slots=True)
class Target:
    """The server to talk to. The token is kept out of `repr`, and so out of tracebacks."""

    url: str
    token: str | None = field(default=None, repr=False)


def server_options(function: Callable[Concatenate[Target, P], None]) -> Callable[..., None]:
    """`--url` and `--token-file`; the command takes a `Target` as its first argument."""

    @click.option(
        "--url",
        envvar="BEAVER_URL",
        default=DEFAULT_URL,
        show_default=True,
        metavar="URL",
        help="The server. [env: BEAVER_URL]",
    )
    @click.option(
        "--token-file",
        type=click.Path(),
        metavar="FILE",
        help="File whose first line is the server's token. [env: BEAVER_TOKEN holds the token itself]",
    )
    @functools.wraps(function)
    def command(*args: Any, url: str, token_file: str | None, **kwargs: Any) -> None:
        function(target(url, token_file), *args, **kwargs)

    return command


def json_option(help_text: str = "Print JSON, for programs.") -> Callable[[Function], Function]:
    """`--json`; the command takes `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help=help_text)


def debug_option(function: Function) -> Function:
    """`--debug`, which `cli.app` heeds."""

    def note(context: click.Context, _: click.Parameter, value: bool) -> None:
        context.meta[DEBUG] = value or bool(context.meta.get(DEBUG))

    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=note,
        help="Show a traceback when something fails.",
    )(function)


def target(url: str, token_file: str | None) -> Target:
    """Judge the address and read the token.

    Raises:
        Failure: the address is none of a WebSocket, the file cannot be read, or the token cannot be sent.
    """
    from beaver_actors.client.address import parse_url

    try:
        parse_url(url)
    except ValueError as error:
        advice = "A token is given with --token-file FILE or in BEAVER_TOKEN." if "@" in url else None
        raise Failure(Exit.USAGE, f"--{error}", advice) from None
    if token_file is not None:
        return Target(url, read_token(token_file, "--token-file"))
    token = os.environ.get("BEAVER_TOKEN") or None
    return Target(url, None if token is None else _checked_token(token, "BEAVER_TOKEN"))


def read_token(token_file: str, option: str) -> str:
    """The token that stands in the first line of a file. `option` names it in errors.

    Raises:
        Failure: the file cannot be read, or its first line is empty or no token.
    """
    try:
        with open(token_file, encoding="utf-8") as file:
            token = file.readline().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise Failure(Exit.USAGE, f"{option} {token_file}: cannot be read: {reason}") from None
    if not token:
        raise Failure(Exit.USAGE, f"{option} {token_file}: the first line is empty")
    return _checked_token(token, f"{option} {token_file}")


def _checked_token(token: str, where: str) -> str:
    """The token, if a header can carry it. It stands in no error."""
    if not token.isprintable():
        raise Failure(Exit.USAGE, f"{where}: expected printable characters without line breaks, got others")
    return token
