"""The asyncio client, for FastAPI and its like: the same `Client` as on Trio, on the websockets package.

`async with connect() as client: job = await client.enqueue("demo.echo", {"x": 1}); print(await
job.result())`. Needs the extra `client`: `pip install 'beaver-actors[client]'`. This file only opens one.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from beaver_actors.client.address import DEFAULT_URL
from beaver_actors.client.aio_opening import Opener
from beaver_actors.client.aio_transport import CLOSE_SECONDS, Transport
from beaver_actors.client.async_client import Client, Job
from beaver_actors.client.graphs import Graph, chain, group, when_all
from beaver_actors.client.middleware import OnEnqueue
from beaver_actors.client.new_jobs import new_job
from beaver_actors.client.options import checked
from beaver_actors.codec.wire_decode import Form

__all__ = ["Client", "Graph", "Job", "chain", "connect", "group", "new_job", "when_all"]

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
    caller who will not wait that long brings `asyncio.timeout`. One client serves all tasks of its event
    loop.

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
    transport = Transport(form, opener, reconnect)
    running = asyncio.create_task(transport.run(await opener.open()), name="beaver-client")
    try:
        yield Client(transport, patience, options.on_enqueue)
    finally:
        transport.close()
        try:
            await asyncio.wait([running], timeout=CLOSE_SECONDS)
        finally:
            running.cancel()
            await asyncio.wait([running])
            if not running.cancelled():
                running.exception()  # told to all who waited; here it would hide what the block raised
