"""The synchronous client, for scripts and web frameworks: the names of the others, but no event loop.

`with connect() as client: job = client.enqueue("demo.echo", {"x": 1}); print(job.result(timeout=30))`.
Needs the extra `client`: `pip install 'beaver-actors[client]'`. This file only opens one.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Final

from beaver_actors.client.address import DEFAULT_URL
from beaver_actors.client.arguments import seconds
from beaver_actors.client.graphs import Graph, chain, group, when_all
from beaver_actors.client.middleware import OnEnqueue
from beaver_actors.client.new_jobs import new_job
from beaver_actors.client.options import checked
from beaver_actors.client.sync_client import Client, Job
from beaver_actors.client.sync_opening import Opener
from beaver_actors.client.sync_transport import Transport
from beaver_actors.codec.wire_decode import Form

__all__ = ["Client", "Graph", "Job", "chain", "connect", "group", "new_job", "when_all"]

CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 30.0


def connect(
    url: str = DEFAULT_URL,
    *,
    token: str | None = None,
    reconnect: bool = True,
    connect_deadline: float = CONNECT_SECONDS,
    timeout: float | None = ANSWER_SECONDS,
    patience: float = 0.0,
    form: Form = "json",
    tls: ssl.SSLContext | None = None,
    on_enqueue: Sequence[OnEnqueue] = (),
) -> Client:
    """Connect to a server. Use it as a context manager, or keep it and `close` it in the end.

    One client serves any number of threads. In a server that forks, connect after the fork.

    Args:
        url: `ws://host:port`, or `wss://…` for TLS.
        token: for a server that asks for one.
        reconnect: False raises `ConnectionLost` in everyone who waits, when the connection is lost.
        connect_deadline: seconds for one try to connect.
        timeout: seconds that any one question may take, reconnects included, before TimeoutError is raised;
            None for no limit. Waiting for results has its own.
        patience: seconds to wait, in all, for one request that is refused for the moment; 0 raises at once.
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
    if timeout is not None:
        seconds("timeout", timeout, zero=False)
    opener = Opener(
        options.address, options.subprotocol, options.token, options.tls, options.connect_deadline
    )
    transport = Transport(form, opener, reconnect)
    transport.start()
    return Client(transport, timeout, patience, options.on_enqueue)
