"""Opening a connection without an event loop, each failure told in the words of the Trio client. Here the
missing websockets package is told, too. Afterwards it has nothing to do with the connection.
"""

from __future__ import annotations

import json
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

try:
    import websockets.sync.client
    from websockets.exceptions import InvalidMessage, InvalidStatus, WebSocketException
except ImportError as error:
    raise ImportError(
        "the synchronous client needs the websockets package: pip install 'beaver-actors[client]'"
    ) from error

from beaver_actors.client.address import Address, hung_up, not_ours, rejected, too_slow, unreachable
from beaver_actors.client.core import MESSAGE_BYTES_MAX

PING_SECONDS: Final = 20.0
"""Silence after which the server is asked for a sign of life; well under the time-outs of proxies."""
PONG_SECONDS: Final = 20.0
CLOSE_SECONDS: Final = 2.0
"""For the server's goodbye."""
UNSENT_MS: Final = 40_000
"""After so long without a sign that sent bytes arrived, the system gives the connection up (Linux)."""

Connection = websockets.sync.client.ClientConnection


@dataclass(frozen=True, slots=True)
class Opener:
    """All that is needed to connect, and to connect again; the fields are those of the Trio client's."""

    address: Address
    subprotocol: str
    token: str | None
    tls: ssl.SSLContext | None
    deadline_seconds: float

    def open(self) -> Connection:
        """Connect.

        Raises:
            ConnectFailed: says why, and whether it is worth another try.
        """
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        try:
            connection = websockets.sync.client.connect(
                self.address.url,
                subprotocols=[websockets.Subprotocol(self.subprotocol)],
                additional_headers=headers,
                user_agent_header="beaver-actors",
                ssl=self.tls if self.address.secure else None,
                compression=None,
                proxy=None,
                max_size=MESSAGE_BYTES_MAX,
                open_timeout=self.deadline_seconds,
                ping_interval=PING_SECONDS,
                ping_timeout=PONG_SECONDS,
                close_timeout=CLOSE_SECONDS,
            ).__enter__()
        except InvalidStatus as error:
            raise rejected(self.address, error.response.status_code, _explanation(error)) from None
        except TimeoutError:
            raise too_slow(self.address, self.deadline_seconds) from None
        except OSError as error:
            raise unreachable(self.address, error) from None
        except InvalidMessage as error:
            if isinstance(error.__cause__, EOFError):
                raise hung_up(self.address) from None
            raise not_ours(self.address, str(error)) from None
        except (WebSocketException, EOFError) as error:
            raise not_ours(self.address, str(error)) from None
        if connection.subprotocol != self.subprotocol:
            connection.close()
            raise not_ours(self.address, f"it does not speak {self.subprotocol}")
        with suppress(
            AttributeError, OSError
        ):  # only Linux has it; elsewhere the system's own patience rules
            connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNSENT_MS)
        return connection


def _explanation(error: InvalidStatus) -> str:
    try:
        return str(json.loads(error.response.body or b"")["error"]["message"])[:500]
    except (ValueError, LookupError, TypeError):
        return ""
