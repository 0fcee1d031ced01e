"""Talking to the server: one client for one command, and words and exit codes for all that can go wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from beaver_actors.cli.exits import Exit, Failure, leaves
from beaver_actors.cli.fields import on_the_command_line
from beaver_actors.cli.options import Target
from beaver_actors.cli.text import duration

if TYPE_CHECKING:
    from beaver_actors.client import Client, ClientError

T = TypeVar("T")


def talk(target: Target, conversation: Callable[[Client], Awaitable[T]], *, patience: float = 0) -> T:
    """Connect, run the conversation, and return what it returns.

    Args:
        target: the server.
        conversation: what to ask.
        patience: seconds to wait in all while a request is refused for the moment.

    Raises:
        Failure: there is no connection, or the server says no.
    """
    import trio

    from beaver_actors.client import connect

    async def run() -> T:
        async with connect(target.url, token=target.token, patience=patience) as client:
            return await conversation(client)

    with telling_of_the_server():
        return trio.run(run)


@contextmanager
def telling_of_the_server() -> Iterator[None]:
    """Turn what the client raises into words and an exit code."""
    from beaver_actors.client import ClientError

    try:
        yield
    except BaseException as error:
        known = next((leaf for leaf in leaves(error) if isinstance(leaf, ClientError)), None)
        if known is None or any(isinstance(leaf, KeyboardInterrupt) for leaf in leaves(error)):
            raise
        raise failure(known) from error


def failure(error: ClientError) -> Failure:
    """What an error of the client means for a command."""
    from beaver_actors.client import BadRequest, ConnectFailed, ConnectionLost, Refused

    match error:
        case BadRequest(message=message):
            return Failure(Exit.USAGE, on_the_command_line(message))
        case Refused(code=code, message=message, retry_after=seconds):
            later = None if seconds is None else f"Try again in {duration(seconds * 1000)}."
            return Failure(Exit.REFUSED, f"the server refused: {code}: {on_the_command_line(message)}", later)
        case ConnectFailed(status=int() as status) if status in (401, 403):
            advice = "Give the server's token with --token-file FILE or in BEAVER_TOKEN."
            return Failure(Exit.REFUSED, str(error), advice if status == 401 else None)
        case ConnectFailed(transient=True):
            return Failure(
                Exit.NOT_CONNECTED, str(error), "Another server is named with --url or BEAVER_URL."
            )
        case ConnectFailed() | ConnectionLost():
            return Failure(Exit.NOT_CONNECTED, str(error))
        case _:
            return Failure(Exit.ERROR, str(error))
