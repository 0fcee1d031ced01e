"""What the server and a worker process say to each other: messages, and frames of bytes around them.

A frame is its length as four bytes, most significant first, and then one message in MessagePack, decoded into
exactly these types or refused. Pure: neither side's reading and writing is done here.
"""

from __future__ import annotations

import struct
from typing import Literal, TypeAlias, TypeVar, assert_never

import msgspec
from msgspec import Struct

from beaver_actors.codec.wire_fields import CHILDREN_MAX
from beaver_actors.core.job import JobError
from beaver_actors.core.outcome import (
    Crashed,
    Failed,
    Outcome,
    Rejected,
    Released,
    Snoozed,
    Stopped,
    Succeeded,
    TimedOut,
)
from beaver_actors.execute.children import CHILDREN_BYTES_MAX
from beaver_actors.execute.context import PROGRESS_BYTES_MAX, Attempt
from beaver_actors.execute.outcomes import Limits

M = TypeVar("M")

_LENGTH = struct.Struct(">I")
_UTF8_BYTES_MAX = 4
_LENGTH_BYTES_MAX = 5
"""Before each of many byte strings."""
_ENVELOPE_BYTES_MAX = 4096


class Run(Struct, frozen=True, tag="run"):
    """To the process: run this attempt."""

    attempt: Attempt
    limits: Limits


class Cancel(Struct, frozen=True, tag="cancel"):
    """To the process: end the attempt that runs, if one does."""

    fence: int


class Exit(Struct, frozen=True, tag="exit"):
    """To the process, when it has nothing to do: end yourself in an orderly way."""


class Ready(Struct, frozen=True, tag="ready"):
    """From the process: the app is loaded."""


class Unavailable(Struct, frozen=True, tag="unavailable"):
    """From the process, its last word: the app cannot be loaded."""

    error: JobError


class Progress(Struct, frozen=True, tag="progress"):
    """From the process: how far the attempt is, as JSON text."""

    text: bytes


class Done(Struct, frozen=True, tag="done"):
    """From the process: how the attempt ended, as far as a process that is alive can tell."""

    how: Literal["succeeded", "failed", "rejected", "snoozed", "timed_out", "stopped"]
    result: bytes | None = None
    error: JobError = JobError("", "")
    in_ms: int | None = None
    children: tuple[bytes, ...] = ()


ToProcess: TypeAlias = Run | Cancel | Exit
FromProcess: TypeAlias = Ready | Unavailable | Progress | Done

_encoder = msgspec.msgpack.Encoder()
_to_process: msgspec.msgpack.Decoder[ToProcess] = msgspec.msgpack.Decoder(Run | Cancel | Exit)
_from_process: msgspec.msgpack.Decoder[FromProcess] = msgspec.msgpack.Decoder(
    Ready | Unavailable | Progress | Done
)


class Garbled(Exception):
    """Bytes that are no frame of this protocol."""


def frame(message: ToProcess | FromProcess) -> bytes:
    """A message as bytes to write."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


def bytes_max(limits: Limits) -> int:
    """The longest body that a process may send under these limits."""
    texts = limits.error_message_chars + limits.traceback_chars
    success = limits.result_bytes + CHILDREN_BYTES_MAX + CHILDREN_MAX * _LENGTH_BYTES_MAX
    return max(success, PROGRESS_BYTES_MAX, texts * _UTF8_BYTES_MAX) + _ENVELOPE_BYTES_MAX


def take_from_process(buffer: bytearray, limit: int) -> FromProcess | None:
    """Take the first message out of received bytes; None if it is not complete yet. Raises Garbled."""
    return _taken(buffer, limit, _from_process)


def take_to_process(buffer: bytearray) -> ToProcess | None:
    """The same on the other side, which trusts the server with lengths."""
    return _taken(buffer, 2**32, _to_process)


def _taken(buffer: bytearray, limit: int, decoder: msgspec.msgpack.Decoder[M]) -> M | None:
    if len(buffer) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack_from(buffer)
    if length > limit:
        raise Garbled(f"a frame of {length} bytes; {limit} are allowed")
    end = _LENGTH.size + length
    if len(buffer) < end:
        return None
    body = bytes(buffer[_LENGTH.size : end])
    del buffer[:end]
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Garbled(str(error)) from None


def done(outcome: Outcome) -> Done:
    """An outcome as a message."""
    match outcome:
        case Succeeded(result, children):
            return Done("succeeded", result=result, children=children)
        case Failed(error, retry_in_ms):
            return Done("failed", error=error, in_ms=retry_in_ms)
        case Rejected(error):
            return Done("rejected", error=error)
        case Snoozed(in_ms):
            return Done("snoozed", in_ms=in_ms)
        case TimedOut(error):
            return Done("timed_out", error=error)
        case Stopped():
            return Done("stopped")
        case Released() | Crashed():
            raise AssertionError(f"no handler ends like this: {outcome!r}")
        case _:
            assert_never(outcome)


def outcome(message: Done) -> Outcome:
    """A message as an outcome."""
    match message.how:
        case "succeeded":
            return Succeeded(message.result, message.children)
        case "failed":
            return Failed(message.error, message.in_ms)
        case "rejected":
            return Rejected(message.error)
        case "snoozed":
            return Snoozed(message.in_ms or 0)
        case "timed_out":
            return TimedOut(message.error)
        case "stopped":
            return Stopped()
        case _:
            assert_never(message.how)
