"""`connect`: opens a Trio client, keeps its transport running beside the block, and closes it at the end.

What goes wrong in the block comes out as it is, never wrapped in a group.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import trio

from beaver_actors.client.address import DEFAULT_URL
from beaver_actors.client.async_client import Client
from beaver_actors.client.middleware import OnEnqueue
from beaver_actors.client.opening import Opener
from beaver_actors.client.options import checked
from beaver_actors.client.trio_transport import Transport
from beaver_actors.codec.wire_decode import Form

CONNECT_SECONDS: Final = 10.0


@asynccontextmanager
async def connect(
    url: str = DEFAULT_URL,
    *,
    token: str | None = None,
    reconnect: bool = True,
    connect_deadline: float = CONNECT_SECONDS,
    patience: float = 0.0,
    form: Form = "json",
    tls: ssl.SSLContext | None = None,
    on_enqueue: Sequence[OnEnqueue] = (),
) -> AsyncGenerator[Client, None]:
    """Connect to a server: `async with connect() as client: …`.

    When the connection is lost later, the client connects again, with growing pauses, for as long as it is
    open; what was not answered is sent again under the same ids, and subscriptions go on where they were. A
    caller who will not wait that long brings a cancel scope.

    Args:
        url: `ws://host:port`, or `wss://…` for TLS.
        token: for a server that asks for one.
        reconnect: False raises `ConnectionLost` in everyone who waits, when the connection is lost.
        connect_deadline: seconds for one try to connect, from the first packet to the open WebSocket.
        patience: seconds to wait, in all, for one request that is refused for the moment (`queue_full`,
            `overloaded`, `storage_full`, `draining`), before `Refused` is raised; 0 raises at once.
        form: "json" or "cbor".
        tls: for wss; the system's trusted certificates if not given.
        on_enqueue: hooks that are shown each job before it is sent, and may change it.

    Raises:
        ConnectFailed: there is no connection; says why.
        TypeError, ValueError: an argument cannot be; the text names it.
    """
    options = checked(
        url,
        token=token,
        reconnect=reconnect,
        connect_deadline=connect_deadline,
        patience=patience,
        form=form,
        tls=tls,
        on_enqueue=on_enqueue,
    )
    opener = Opener(
        options.address, options.subprotocol, options.token, options.tls, options.connect_deadline
    )
    connection = await opener.open()
    transport = Transport(form, opener, reconnect)
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(transport.run, connection)
            try:
                yield Client(transport, patience, options.on_enqueue)
            except BaseException as error:  # noqa: BLE001  # raised again below, not in a group
                failure = error
            await transport.close()
            nursery.cancel_scope.cancel()
    except BaseException as ending:
        if failure is None or isinstance(failure, trio.Cancelled) or not _is_cancellation(ending):
            raise
    if failure is not None:
        raise failure


def _is_cancellation(error: BaseException) -> bool:
    """Whether there is nothing in it but being cancelled."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)[1] is None
    return isinstance(error, trio.Cancelled)
