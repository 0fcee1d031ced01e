"""One WebSocket connection of a client, as bytes: what to send for a message, which messages the bytes that
came make up. It alone knows the WebSocket library; it moves no bytes and waits for nothing.
"""

from __future__ import annotations

import json
from typing import Final

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    RejectData,
    Request as OpeningRequest,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from beaver_actors.client.address import Address, hung_up, not_ours, rejected
from beaver_actors.client.core import MESSAGE_BYTES_MAX
from beaver_actors.client.errors import (
    ClientError,
    ConnectFailed,
    ConnectionLost,
    ProtocolError,
    closed_by_server,
    oversized,
)

PART_BYTES: Final = 64
"""What one piece of a message costs beside its content, so that empty ones cannot pile up."""
REJECTION_BYTES_MAX: Final = 64 * 1024
"""How much of a refusal's body is read for its explanation."""


class WebSocket:
    """The client's end of one connection.

    Args:
        address: of the server.
        subprotocol: the one to speak.
        token: shown to the server, None for none.
    """

    def __init__(self, address: Address, subprotocol: str, token: str | None) -> None:
        self._address = address
        self._subprotocol = subprotocol
        self._token = token
        self._connection = WSConnection(ConnectionType.CLIENT)
        self._parts: list[str | bytes] = []
        self._parts_bytes = 0
        self._status = 0
        self._rejection = b""
        self._control = b""
        self.opened = False
        self.over: ClientError | None = None
        """Why no more messages will come, None while they may."""

    def opening(self) -> bytes:
        """The opening request."""
        headers = [(b"User-Agent", b"beaver-actors")]
        if self._token is not None:
            headers.append((b"Authorization", b"Bearer " + self._token.encode()))
        return self._connection.send(
            OpeningRequest(
                host=self._address.host_header,
                target=self._address.target,
                subprotocols=[self._subprotocol],
                extra_headers=headers,
            )
        )

    def frame(self, message: str | bytes) -> bytes:
        """The bytes of a message. Empty once the connection is closing."""
        event = TextMessage(message) if isinstance(message, str) else BytesMessage(message)
        return self._send(event)

    def ping(self) -> None:
        """Ask for a sign of life; any bytes that come are one."""
        self._control += self._send(Ping())

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye; harmless if it is said."""
        self._control += self._send(CloseConnection(code, reason or None))

    def control(self) -> bytes:
        """What the protocol itself has to say: pings, answers to pings, goodbyes. Given once."""
        control, self._control = self._control, b""
        return control

    def receive(self, data: bytes) -> list[str | bytes]:
        """Take bytes, empty at the end of the stream; returns the messages they complete.

        Raises:
            ConnectFailed: while opening, the server refused or is none of ours.
        """
        messages: list[str | bytes] = []
        if not data:
            self._ended()
        if self._connection.state is ConnectionState.CLOSED:
            return messages
        try:
            self._connection.receive_data(data)
            for event in self._connection.events():
                self._happened(event, messages)
        except RemoteProtocolError as error:
            if not self.opened:
                raise not_ours(self._address, str(error)) from None
            self._end(_broken(str(error)))
        return messages

    def _happened(self, event: Event, messages: list[str | bytes]) -> None:
        match event:
            case TextMessage() | BytesMessage():
                self._part(event, messages)
            case Ping():
                self._control += self._send(event.response())
            case CloseConnection():
                if self._connection.state is ConnectionState.OPEN:
                    # Not the server's goodbye, but the library's judgement of what the server sent.
                    self._control += self._send(event)
                    self._end(_broken(event.reason or ""))
                elif self._connection.state is ConnectionState.REMOTE_CLOSING:
                    self._control += self._send(event.response())
                self._end(closed_by_server(event.code, event.reason or ""))
            case AcceptConnection():
                if event.subprotocol != self._subprotocol:
                    raise not_ours(self._address, f"it does not speak {self._subprotocol}")
                self.opened = True
            case RejectConnection():
                self._status = event.status_code
                if not event.has_body:
                    raise self._refusal()
            case RejectData():
                self._rejection += event.data
                if event.body_finished or len(self._rejection) > REJECTION_BYTES_MAX:
                    raise self._refusal()
            case Pong() | _:
                pass

    def _part(self, event: TextMessage | BytesMessage, messages: list[str | bytes]) -> None:
        if self.over is not None:
            return
        self._parts.append(event.data if isinstance(event.data, str) else bytes(event.data))
        self._parts_bytes += len(event.data) + PART_BYTES
        if self._parts_bytes > MESSAGE_BYTES_MAX:
            self._parts.clear()
            self.close(1009, "too large")
            self._end(oversized(MESSAGE_BYTES_MAX))
        elif event.message_finished:
            joint = "" if isinstance(event, TextMessage) else b""
            messages.append(joint.join(self._parts))  # type: ignore[arg-type]  # one message has parts of one type
            self._parts, self._parts_bytes = [], 0

    def _ended(self) -> None:
        """The stream is at its end."""
        if self.opened:
            self._end(ConnectionLost("the server hung up"))
        elif self._status:
            raise self._refusal()
        else:
            raise hung_up(self._address)

    def _end(self, error: ClientError) -> None:
        if self.over is None:
            self.over = error

    def _refusal(self) -> ConnectFailed:
        try:
            explanation = str(json.loads(self._rejection)["error"]["message"])
        except (ValueError, LookupError, TypeError):
            explanation = ""
        return rejected(self._address, self._status, explanation[:500])

    def _send(self, event: Event) -> bytes:
        try:
            return self._connection.send(event)
        except LocalProtocolError:
            return b""  # closing: nothing that could still be said would be heard


def _broken(why: str) -> ProtocolError:
    return ProtocolError(f"the server broke the WebSocket protocol: {why}")
