"""Staying with a server: when the connection is lost, say so, and connect again; when nobody reads any more,
end. What is shown is the caller's business."""

from __future__ import annotations

import os
import select
import stat
import sys
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
        BrokenPipeError: whoever read our output has gone, maybe while there was nothing to write; maybe in a
            group.
    """

    async def run() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_end_with_the_reader)
            await connect_and_follow()
            nursery.cancel_scope.cancel()

    async def connect_and_follow() -> None:
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


async def _end_with_the_reader() -> None:
    """Raise BrokenPipeError when nobody reads standard output any more, if that is a pipe.

    Writing would tell, but there may be nothing to write for hours.
    """
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return  # not a file at all
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return
    # Nothing ever comes out of this end of a pipe, so what wakes us is its state: the other end is closed.
    await trio.lowlevel.wait_readable(descriptor)
    poll = select.poll()
    poll.register(descriptor, 0)
    if any(state & (select.POLLERR | select.POLLHUP) for _, state in poll.poll(0)):
        raise BrokenPipeError
