"""Opening a connection on Trio: TCP, TLS and the WebSocket handshake under one deadline, each failure told in
words. Afterwards it has nothing to do with the connection.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Final, NamedTuple

import trio

from beaver_actors.client.address import Address, not_ours, too_slow, unreachable
from beaver_actors.client.websocket import WebSocket

RECEIVE_BYTES: Final = 65_536
"""Large enough that a burst of replies costs few wake-ups."""


class Connection(NamedTuple):
    """An open WebSocket, the stream under it, and messages that came together with the opening."""

    stream: trio.abc.Stream
    websocket: WebSocket
    early: list[str | bytes]


@dataclass(frozen=True, slots=True)
class Opener:
    """All that is needed to connect, and to connect again.

    Args:
        address: of the server.
        subprotocol: the one to speak.
        token: shown to the server, None for none.
        tls: for wss; None for the system's trusted certificates.
        deadline_seconds: for one opening from the first packet to the finished handshake.
    """

    address: Address
    subprotocol: str
    token: str | None
    tls: ssl.SSLContext | None
    deadline_seconds: float

    async def open(self) -> Connection:
        """Connect.

        Raises:
            ConnectFailed: says why, and whether it is worth another try.
        """
        with trio.move_on_after(self.deadline_seconds):
            stream = await self._stream()
            try:
                return await self._handshake(stream)
            except BaseException:
                await trio.aclose_forcefully(stream)
                raise
        raise too_slow(self.address, self.deadline_seconds)

    async def _stream(self) -> trio.abc.Stream:
        try:
            tcp = await trio.open_tcp_stream(self.address.host, self.address.port)
        except (OSError, ExceptionGroup) as error:
            raise unreachable(self.address, error) from None
        if not self.address.secure:
            return tcp
        context = self.tls or ssl.create_default_context()
        tls = trio.SSLStream(tcp, context, server_hostname=self.address.host, https_compatible=True)
        try:
            await tls.do_handshake()
        except (trio.BrokenResourceError, ssl.SSLError, OSError) as error:
            await trio.aclose_forcefully(tcp)
            raise unreachable(self.address, error) from None
        except BaseException:
            await trio.aclose_forcefully(tcp)
            raise
        return tls

    async def _handshake(self, stream: trio.abc.Stream) -> Connection:
        websocket = WebSocket(self.address, self.subprotocol, self.token)
        early: list[str | bytes] = []
        try:
            await stream.send_all(websocket.opening())
            while not websocket.opened:
                early += websocket.receive(bytes(await stream.receive_some(RECEIVE_BYTES)))
        except trio.BrokenResourceError as error:
            raise unreachable(self.address, error) from None
        except UnicodeError as error:
            raise not_ours(self.address, str(error)) from None
        return Connection(stream, websocket, early)
