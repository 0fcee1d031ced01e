"""A WebSocket client that costs next to nothing: prepared frames out, whole messages in, one blocking socket.

It exists so that the clients of a measurement do not use up what is measured. A message is masked once, when
its frame is made, and sent as often as wanted; replies are cut out of what was received without a copy of the
rest. No fragments, no compression, no pings of its own: a server that needs more gets an error from here.
"""

from __future__ import annotations

import base64
import os
import socket
import struct
from collections import deque
from typing import Self
from urllib.parse import urlsplit

RECEIVE_BYTES = 1 << 18
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
"""Opcodes of RFC 6455 §5.2."""
OPEN_SECONDS = 60.0
ANSWER_SECONDS = 120.0
"""Longer than anything that is measured here; a server that hangs ends the measurement, not the night."""


class WebSocketError(Exception):
    """The server closed the connection, refused it, or sent what this client does not understand."""


def frame(message: bytes, opcode: int = TEXT) -> bytes:
    """One masked frame, ready to be sent any number of times."""
    mask = os.urandom(4)
    length = len(message)
    if length < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | length)
    elif length < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, length)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
    repeated = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
    masked = (int.from_bytes(message, "big") ^ repeated).to_bytes(length, "big")
    return head + mask + masked


class WebSocket:
    """An open connection.

    Args:
        url: `ws://host:port`.
        subprotocol: asked for, unless empty.
    """

    def __init__(self, url: str, subprotocol: str = "beaver.v1+json") -> None:
        address = urlsplit(url)
        assert address.hostname is not None, url
        self._socket = socket.create_connection((address.hostname, address.port or 80), OPEN_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self._messages: deque[bytes] = deque()
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {address.path or '/'} HTTP/1.1", f"Host: {address.netloc}"]
        lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        lines += [f"Sec-WebSocket-Key: {key}"]
        lines += [f"Sec-WebSocket-Protocol: {subprotocol}"] if subprotocol else []
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            self._fill()
        if not self._buffer.startswith(b"HTTP/1.1 101"):
            raise WebSocketError(f"the server does not open a WebSocket: {bytes(self._buffer[:200])!r}")
        del self._buffer[: end + 4]
        self._socket.settimeout(ANSWER_SECONDS)

    def fileno(self) -> int:
        """For `select` and its relatives."""
        return self._socket.fileno()

    def send(self, prepared: bytes) -> None:
        """Send one or several frames made by `frame`."""
        self._socket.sendall(prepared)

    def receive(self) -> bytes:
        """Wait for the next message."""
        while not self._messages:
            self._take()
        return self._messages.popleft()

    def receive_some(self) -> list[bytes]:
        """Wait for something and return all messages that are there; perhaps none, if one has begun."""
        if not self._messages:
            self._take()
        some = list(self._messages)
        self._messages.clear()
        return some

    def ask(self, message: bytes) -> bytes:
        """Send one message and wait for the next that comes."""
        self.send(frame(message))
        return self.receive()

    def _take(self) -> None:
        """Wait for bytes and cut whole messages out of them."""
        self._fill()
        buffer, start = self._buffer, 0
        while len(buffer) - start >= 2:
            length, body = buffer[start + 1], start + 2
            if length == 126:
                body += 2
                length = int.from_bytes(buffer[start + 2 : body], "big")
            elif length == 127:
                body += 8
                length = int.from_bytes(buffer[start + 2 : body], "big")
            if len(buffer) < body + length:
                break
            self._accept(buffer[start], bytes(buffer[body : body + length]))
            start = body + length
        del buffer[:start]

    def _accept(self, first: int, payload: bytes) -> None:
        opcode = first & 0x0F
        if opcode == PING:
            self.send(frame(payload, PONG))
        elif opcode == CLOSE:
            raise WebSocketError(f"the server closes the connection: {payload!r}")
        elif opcode == TEXT and first & 0x80:
            self._messages.append(payload)
        elif opcode != PONG:
            raise WebSocketError(f"a frame that begins with {first:#x} is not understood here")

    def _fill(self) -> None:
        data = self._socket.recv(RECEIVE_BYTES)
        if not data:
            raise WebSocketError("the server has gone away")
        self._buffer += data

    def close(self) -> None:
        """Hang up without a goodbye."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
