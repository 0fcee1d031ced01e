"""Staying with a server: when the connection is lost, say so, and connect again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from beaver_actors.cli.options import Target
from beaver_actors.cli.talk import telling_of_the_server
from beaver_actors.client import Client, ClientError, ConnectFailed, ConnectionLost, connect

AGAIN_SECONDS: Final = 0.5
"""Between two tries: soon enough for someone who watches a restart, rare enough for the server."""


def stay(
    target: Target, follow: Callable[[Client], Awaitable[None]], lost: Callable[[ClientError], None]
) -> None:
    """Run `follow` on each connection, until it returns.

    Args:
        target: the server.
        follow: what to do; it raises when the connection is lost.
        lost: told each time that it is, and each time that another try has failed.

    Raises:
        Failure: there was no connection to begin with, or there will be none.
    """

    async def run() -> None:
        connected_once = False
        while True:
            try:
                async with connect(target.url, token=target.token, reconnect=False) as client:
                    connected_once = True
                    await follow(client)
                    return
            except (ConnectFailed, ConnectionLost) as error:
                if not connected_once or (isinstance(error, ConnectFailed) and not error.transient):
                    raise
                lost(error)
            await trio.sleep(AGAIN_SECONDS)

    with telling_of_the_server():
        trio.run(run)
