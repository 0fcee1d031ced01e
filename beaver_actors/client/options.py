"""What every `connect` is told, looked at before the first packet: a mistake in it is told at once, not when
it is used for the first time, or never.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import NamedTuple

from beaver_actors.client.address import Address, check_token, parse_url
from beaver_actors.client.arguments import flag, functions, mistyped, one_of, seconds
from beaver_actors.client.core import SUBPROTOCOLS
from beaver_actors.client.middleware import OnEnqueue
from beaver_actors.codec.wire_decode import Form


class Options(NamedTuple):
    """The arguments of `connect` that all clients have."""

    address: Address
    subprotocol: str
    token: str | None
    tls: ssl.SSLContext | None
    connect_deadline: float
    on_enqueue: tuple[OnEnqueue, ...]


def checked(
    url: str,
    *,
    token: str | None,
    reconnect: bool,
    connect_deadline: float,
    patience: float,
    form: Form,
    tls: ssl.SSLContext | None,
    on_enqueue: Sequence[OnEnqueue],
) -> Options:
    """Look at all of them.

    Raises:
        TypeError, ValueError: one cannot be; the text names it.
    """
    flag("reconnect", reconnect)
    seconds("patience", patience)
    if tls is not None and not isinstance(tls, ssl.SSLContext):
        raise mistyped("tls", "an ssl.SSLContext", tls)
    return Options(
        address=parse_url(url),
        subprotocol=SUBPROTOCOLS[one_of("form", form, tuple(SUBPROTOCOLS))],
        token=check_token(token),
        tls=tls,
        connect_deadline=seconds("connect_deadline", connect_deadline, zero=False),
        on_enqueue=functions("on_enqueue", on_enqueue),
    )
