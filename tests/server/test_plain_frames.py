"""The short way past the WebSocket library: whatever a client sends, it makes no difference."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given, settings, strategies as st
from wsproto.events import AcceptConnection, Event, Ping
from wsproto.utilities import RemoteProtocolError

from beaver_actors.server.guarded_protocol import GuardedProtocol
from beaver_actors.server.plain_frames import BINARY, TEXT, read_message, write_message
from beaver_actors.server.upgrade import Upgrade

MESSAGE_BYTES_MAX = 300
KINDS = st.sampled_from([TEXT, BINARY, 0x80, 0x01, 0x02, 0x00, 0x88, 0x89, 0x8A, 0xC1, 0x83])
"""Whole messages, pieces, control frames, and what no client may send."""


def masked_frame(kind: int, payload: bytes, mask: bytes = b"mask") -> bytes:
    """A client's frame. `kind`: its first byte."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else bytes((0xFE, size >> 8, size & 0xFF))
    return bytes((kind,)) + length + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


class Slow(GuardedProtocol):
    """Without the short way."""

    def _is_between_messages(self) -> bool:
        return False


class Told:
    """What one side of the comparison has told."""

    def __init__(self, kind: type[GuardedProtocol]) -> None:
        self.told: list[Any] = []
        upgrade = Upgrade("dGhlIHNhbXBsZSBub25jZQ==", None)
        self._protocol = kind(
            upgrade,
            MESSAGE_BYTES_MAX,
            lambda message, size: self.told.append((message, size)),
            lambda code, reason: self.told.append((code, reason)),
        )
        self._take_events()
        self._protocol.send(AcceptConnection())

    def receive(self, data: bytes) -> bool:
        """Whether it goes on."""
        try:
            self._protocol.receive_data(data)
            self._take_events()
        except RemoteProtocolError as error:
            self.told.append(str(error))
            return False
        return self._protocol.is_open

    def _take_events(self) -> None:
        for event in self._protocol.events():
            self.told.append(_shown(event))
            if isinstance(event, Ping):
                self._protocol.send(event.response())


def _shown(event: Event) -> str:
    return repr(event)


@st.composite
def _streams(draw: st.DrawFn) -> list[bytes]:
    """What a client sends: mostly sound frames, now and then a bit of it flipped, in pieces."""
    texts = st.text(max_size=90).map(str.encode) | st.binary(max_size=400)
    sent = b""
    frames = st.tuples(KINDS | st.just(TEXT), texts, st.binary(min_size=4, max_size=4))
    for kind, payload, mask in draw(st.lists(frames, min_size=1, max_size=5)):
        sent += masked_frame(kind, payload, mask)
    if draw(st.booleans()):
        position = draw(st.integers(0, 8 * len(sent) - 1))
        flipped = bytearray(sent)
        flipped[position // 8] ^= 1 << position % 8
        sent = bytes(flipped)
    cuts = sorted(draw(st.lists(st.integers(1, len(sent)), max_size=4)))
    pieces = (sent[begin:end] for begin, end in pairwise([0, *cuts, len(sent)]))
    return [piece for piece in pieces if piece]


@settings(max_examples=400, deadline=None)
@given(_streams())
def test_the_short_way_tells_what_the_library_tells(pieces: list[bytes]) -> None:
    """Guard: sound or not, in whatever pieces, it ends alike."""
    short, slow = Told(GuardedProtocol), Told(Slow)
    for piece in pieces:
        going_on = [short.receive(piece), slow.receive(piece)]
        assert short.told == slow.told
        assert going_on[0] == going_on[1]
        if not going_on[0]:
            break


def test_plain_messages_do_not_reach_the_library() -> None:
    """Guard: this is what the short way is for, and it needs names of the library's own."""
    told: list[Any] = []
    upgrade = Upgrade("dGhlIHNhbXBsZSBub25jZQ==", None)
    protocol = GuardedProtocol(upgrade, 1000, lambda *got: told.append(got), print)
    list(protocol.events())
    protocol.send(AcceptConnection())
    assert protocol.connection is not None
    protocol.connection.receive_data = None  # type: ignore[method-assign, assignment]  # it must not be called
    kinds = (TEXT, b"one"), (TEXT, b"x" * 200), (BINARY, b"\xff")
    protocol.receive_data(b"".join(masked_frame(kind, payload) for kind, payload in kinds))
    assert told == [("one", 3), ("x" * 200, 200), (b"\xff", 1)]
    assert list(protocol.events()) == []


@given(st.text(max_size=200) | st.binary(max_size=70_000))
def test_what_is_written_can_be_read(message: str | bytes) -> None:
    """Guard: a server's frame is a client's without the mask."""
    written = write_message(message)
    size = len(message.encode() if isinstance(message, str) else message)
    if size > 65_535:  # longer than what is read so
        payload = message.encode() if isinstance(message, str) else message
        assert written[1:] == b"\x7f" + size.to_bytes(8, "big") + payload
        return
    head = 2 if size < 126 else 4
    masked = written[:1] + bytes((written[1] | 0x80,)) + written[2:head] + bytes(4) + written[head:]
    assert read_message(masked, 0, size) == (message, size, len(masked))
    assert size == 0 or read_message(masked, 0, size - 1) is None
