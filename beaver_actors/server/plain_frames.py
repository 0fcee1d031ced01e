"""WebSocket frames as nearly all are: a whole message in one frame without extensions (RFC 6455, section
5.2), and of at most 64 KiB if it comes from a client. Anything else that comes, and anything wrong, is left
to the WebSocket library to read and to judge: its way is a third of all that a small request costs."""

from __future__ import annotations

from typing import Final

TEXT: Final = 0x81
"""The first byte of a whole text message: final, no reserved bits, opcode 1."""
BINARY: Final = 0x82
_MASKED: Final = 0x80
_LENGTH_16: Final = 126
"""In the place of a length: it stands in the next two bytes."""
_LENGTH_64: Final = 127
"""In the place of a length: it stands in the next eight bytes."""
_SIZE_16_MAX: Final = 0xFFFF
_MASK_BYTES: Final = 4


def read_message(data: bytes | bytearray, at: int, size_max: int) -> tuple[str | bytes, int, int] | None:
    """Read the message that begins there.

    Args:
        data: what a client has sent.
        at: where a frame begins.
        size_max: of a payload that is taken, bytes.

    Returns:
        The message, its payload's size in bytes and where its frame ends. None if it is not whole, not plain
        or not sound: then the library is to see it.
    """
    if len(data) < at + 2 + _MASK_BYTES:
        return None
    kind, size = data[at], data[at + 1] - _MASKED
    if (kind != TEXT and kind != BINARY) or not 0 <= size <= _LENGTH_16:
        return None
    at += 2
    if size == _LENGTH_16:
        size = int.from_bytes(data[at : at + 2], "big")
        if size < _LENGTH_16:
            return None
        at += 2
    begin = at + _MASK_BYTES
    end = begin + size
    if end > len(data) or size > size_max:
        return None
    mask = data[at:begin] * (size // _MASK_BYTES + 1)
    clear = int.from_bytes(data[begin:end], "little") ^ int.from_bytes(mask[:size], "little")
    payload = clear.to_bytes(size, "little")
    if kind == BINARY:
        return payload, size, end
    try:
        return payload.decode(), size, end
    except UnicodeDecodeError:
        return None


def write_message(message: str | bytes) -> bytes:
    """The unmasked frame of a server's message, of any length."""
    kind, payload = (TEXT, message.encode()) if isinstance(message, str) else (BINARY, message)
    size = len(payload)
    if size < _LENGTH_16:
        return bytes((kind, size)) + payload
    if size <= _SIZE_16_MAX:
        return bytes((kind, _LENGTH_16, size >> 8, size & 0xFF)) + payload
    return bytes((kind, _LENGTH_64)) + size.to_bytes(8, "big") + payload
