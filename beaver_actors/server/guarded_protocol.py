"""The WebSocket protocol as trio-websocket is given it: wsproto with what was wrong between the two put
right, and with a short way past it for plain messages. It alone knows wsproto. It moves no bytes and waits
for nothing."""

from collections.abc import Callable, Generator
from typing import Final

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Event, Pong, TextMessage

from beaver_actors.server.plain_frames import read_message, write_message
from beaver_actors.server.upgrade import Upgrade

# Each piece of a message costs memory of its own. A slow network cuts a message into some thousand pieces;
# beyond the first 1024 they must have 16 bytes on average, and no network goes below that.
PIECES_FREE: Final = 1024
PIECE_BYTES_MEAN: Final = 16


class GuardedProtocol(WSConnection):
    """The server's side of one connection, its opening request already received.

    Put right: a ping that comes while we close is not answered (the answer raised); messages are measured in
    bytes (it was characters) and in pieces (empty ones cost nothing, without end); a client that breaks the
    protocol is told so (it saw the connection vanish).

    Messages do not take the library's way, which ends in a queue that another task has to be woken for:
    `on_message(message, size)` is called for each whole one, with its bytes on the wire, and must not raise;
    `on_violation(code, reason)` once, when a message is too large or too crumbled: from then on messages are
    dropped, and the caller has to close."""

    def __init__(
        self,
        upgrade: Upgrade,
        message_bytes_max: int,
        on_message: Callable[[str | bytes, int], None],
        on_violation: Callable[[int, str], None],
    ) -> None:
        super().__init__(ConnectionType.SERVER)
        self._message_bytes_max = message_bytes_max
        self._on_message, self._on_violation = on_message, on_violation
        self._bytes = self._pieces = 0
        self._parts: list[str] | list[bytes | bytearray] = []
        self._violated = False
        self._is_fed = True  # wsproto may have something to tell
        self._farewell = b""
        self.initiate_upgrade_connection(_opening_headers(upgrade), "/")

    @property
    def is_closed(self) -> bool:
        """Whether both sides have said goodbye."""
        return self.state is ConnectionState.CLOSED

    @property
    def is_open(self) -> bool:
        """Whether neither side has said goodbye."""
        return self.state is ConnectionState.OPEN

    def frame(self, message: str | bytes) -> bytes:
        """The message as it goes over the wire. Only while the connection is open."""
        return write_message(message)

    def farewell(self) -> bytes:
        """Returns the closing frame that the client has not been sent, if there is one."""
        if self.state is ConnectionState.OPEN:
            self._farewell = super().send(CloseConnection(code=1011, reason="internal error"))
        return self._farewell

    def send(self, event: Event) -> bytes:
        if type(event) is Pong and self.state is not ConnectionState.OPEN:
            return b""
        return super().send(event)

    def receive_data(self, data: bytes | None) -> None:
        if data and self._is_between_messages():
            data = self._receive_plain(data)
            if not data:
                return
        self._is_fed = True
        super().receive_data(data)

    def events(self) -> Generator[Event, None, None]:
        if not self._is_fed:
            return
        for event in super().events():
            kind = type(event)
            if kind is TextMessage or kind is BytesMessage:
                self._receive(event)  # type: ignore[arg-type]  # a comparison of types narrows nothing
                continue
            if kind is CloseConnection and self.state is ConnectionState.OPEN:
                # Not the client's goodbye, but wsproto's judgement of what the client sent.
                self._farewell = super().send(event)
            yield event
        self._is_fed = False

    def _is_between_messages(self) -> bool:
        """Whether wsproto holds no part of a message or frame, so that it may be passed by. It does not tell,
        so this looks at names of its own; a test notices when they change."""
        if self.connection is None or self.state is not ConnectionState.OPEN or self._violated:
            return False
        protocol = self.connection._proto
        decoder = protocol._frame_decoder
        return not decoder.buffer and decoder.header is None and protocol._message_decoder.opcode is None

    def _receive_plain(self, data: bytes) -> bytes:
        """Take in the plain messages that `data` begins with; returns the rest."""
        at = 0
        while (found := read_message(data, at, self._message_bytes_max)) is not None:
            message, size, at = found
            self._on_message(message, size)
        return data[at:]

    def _receive(self, event: TextMessage | BytesMessage) -> None:
        """Take in a piece of a message, which mostly is all of it."""
        if self._violated:
            return
        data = event.data
        self._pieces += 1
        self._bytes += len(data.encode()) if isinstance(data, str) and not data.isascii() else len(data)
        if self._bytes > self._message_bytes_max:
            self._violate(1009, f"message: expected at most {self._message_bytes_max} bytes, got more")
        elif self._pieces > PIECES_FREE + self._bytes // PIECE_BYTES_MEAN:
            self._violate(1008, f"message: expected pieces of {PIECE_BYTES_MEAN} bytes on average, got less")
        elif not event.message_finished:
            self._parts.append(data)  # type: ignore[arg-type]  # all pieces of a message are of one type
        else:
            whole = data
            if self._parts:
                whole = type(data)().join((*self._parts, data))  # type: ignore[arg-type]  # as above
            size = self._bytes
            self._bytes = self._pieces = 0
            self._parts = []
            self._on_message(whole if isinstance(whole, str) else bytes(whole), size)

    def _violate(self, code: int, reason: str) -> None:
        self._violated = True
        self._parts = []
        self._on_violation(code, reason)


def _opening_headers(upgrade: Upgrade) -> list[tuple[bytes, bytes]]:
    """The checked request again, in the few words that wsproto needs: nothing else of the client's gets
    there."""
    headers = [
        (b"Host", b"server"),
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
        (b"Sec-WebSocket-Version", b"13"),
        (b"Sec-WebSocket-Key", upgrade.key.encode("ascii")),
    ]
    if upgrade.subprotocol is not None:
        headers.append((b"Sec-WebSocket-Protocol", upgrade.subprotocol.encode("ascii")))
    return headers
