"""What the clients on the websockets package have in common: how a connection is opened, and the words for
its failures and its end. Here the missing package is told, too. It opens nothing itself.
"""

from __future__ import annotations

import json
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

try:
    import websockets
    from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus, WebSocketException
except ImportError as error:
    raise ImportError(
        "this client needs the websockets package: pip install 'beaver-actors[client]'"
    ) from error

from beaver_actors.client.address import Address, hung_up, not_ours, rejected, too_slow, unreachable
from beaver_actors.client.core import MESSAGE_BYTES_MAX
from beaver_actors.client.errors import (
    ClientError,
    ConnectFailed,
    ConnectionLost,
    closed_by_server,
    oversized,
)

__all__ = ["CLOSE_SECONDS", "FAILURES", "ConnectionClosed", "Opening", "why_closed"]

PING_SECONDS: Final = 20.0
"""Silence after which the server is asked for a sign of life; well under the time-outs of proxies."""
PONG_SECONDS: Final = 20.0
CLOSE_SECONDS: Final = 2.0
"""For the server's goodbye."""
UNSENT_MS: Final = 40_000
"""After so long without a sign that sent bytes arrived, the system gives the connection up (Linux)."""

FAILURES: Final = (OSError, EOFError, WebSocketException)
"""What may come out of opening a connection; time-outs are among the first."""


@dataclass(frozen=True, slots=True)
class Opening:
    """All that is needed to connect, and to connect again; the fields are those of the Trio client's
    opener."""

    address: Address
    subprotocol: str
    token: str | None
    tls: ssl.SSLContext | None
    deadline_seconds: float

    def options(self) -> dict[str, Any]:
        """What the package's `connect` is told beside the URL."""
        return {
            "subprotocols": [websockets.Subprotocol(self.subprotocol)],
            "additional_headers": {} if self.token is None else {"Authorization": f"Bearer {self.token}"},
            "user_agent_header": "beaver-actors",
            **({"ssl": self.tls} if self.address.secure and self.tls is not None else {}),
            "compression": None,
            "proxy": None,
            "max_size": MESSAGE_BYTES_MAX,
            "open_timeout": self.deadline_seconds,
            "ping_interval": PING_SECONDS,
            "ping_timeout": PONG_SECONDS,
            "close_timeout": CLOSE_SECONDS,
        }

    def failed(self, error: BaseException) -> ConnectFailed:
        """The words for one of `FAILURES`, those that the Trio client has for it."""
        match error:
            case InvalidStatus():
                return rejected(self.address, error.response.status_code, _explanation(error))
            case TimeoutError():
                return too_slow(self.address, self.deadline_seconds)
            case OSError():
                return unreachable(self.address, error)
            case InvalidMessage() if isinstance(error.__cause__, EOFError):
                return hung_up(self.address)
            case ConnectionClosed():  # before the request could be sent
                return hung_up(self.address)
            case _:
                return not_ours(self.address, str(error))

    def check(self, subprotocol: str | None) -> None:
        """Look at what the server has agreed to. Raises ConnectFailed if it is none of ours."""
        if subprotocol != self.subprotocol:
            raise not_ours(self.address, f"it does not speak {self.subprotocol}")

    def limit_silence(self, connected: Any) -> None:
        """Have the system give up a connection on which sent bytes do not arrive.

        Args:
            connected: its socket, or what an event loop shows of it.
        """
        # Only Linux has it; elsewhere the system's own patience rules.
        with suppress(AttributeError, OSError):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNSENT_MS)


def why_closed(closed: ConnectionClosed) -> ClientError:
    """Who ended the connection, and what that means."""
    if closed.sent is not None and closed.sent.code == 1009 and not closed.rcvd_then_sent:
        return oversized(MESSAGE_BYTES_MAX)
    if closed.rcvd is not None:
        return closed_by_server(closed.rcvd.code, closed.rcvd.reason)
    return ConnectionLost(f"the connection broke: {closed.__cause__ or closed}")


def _explanation(error: InvalidStatus) -> str:
    try:
        return str(json.loads(error.response.body or b"")["error"]["message"])[:500]
    except (ValueError, LookupError, TypeError):
        return ""
