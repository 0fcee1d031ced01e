"""Values to CBOR and back, and what facts and snapshots have in common: terms, which are packed once however
many jobs share them. This file knows nothing of facts, frames or files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, NoReturn, TypeVar

import cbor2
import msgspec

from beaver_actors.codec.ranges import beyond_in_terms
from beaver_actors.core.job import Terms

_DEPTH_MAX = 8  # batch, fact, error: three are in use

T = TypeVar("T")


class CodecError(ValueError):
    """Bytes or values that are not what the format says; the text names the fact and the field."""


# Equal terms are packed once and unpacked once: a backlog has few different ones, and jobs share the value.
_TERMS_KEPT = 10_000
_packed: dict[Terms, bytes] = {}
_unpacked: dict[bytes, Terms] = {}


def pack_terms(terms: Terms) -> bytes:
    """Terms as CBOR bytes of their own, without the trailing fields that have their default value.

    Raises:
        CodecError: not terms that a job can have.
    """
    if type(terms) is not Terms:
        raise CodecError(f"terms: expected terms, got {type(terms).__name__}")
    try:
        packed = _packed.get(terms)
    except TypeError as error:  # a list among them
        raise CodecError(f"terms: {error}") from None
    if packed is None:
        fields = list(terms)
        while fields and Terms._fields[len(fields) - 1] in Terms._field_defaults:
            name = Terms._fields[len(fields) - 1]
            if fields[-1] != Terms._field_defaults[name]:
                break
            fields.pop()
        packed = dump(fields)
        if unpack_terms(packed) != terms:
            raise CodecError("these terms would not come back as they are")
        if len(_packed) >= _TERMS_KEPT:
            _packed.clear()
        _packed[terms] = packed
    return packed


def unpack_terms(packed: object) -> Terms:
    """The terms in these bytes.

    Raises:
        CodecError: not bytes, or not terms that a job can have.
    """
    if type(packed) is not bytes:
        raise CodecError(f"terms: expected bytes, got {type(packed).__name__}")
    terms = _unpacked.get(packed)
    if terms is None:
        terms = convert(load(packed), Terms, "terms", Terms._fields)
        if name := beyond_in_terms(terms):
            raise CodecError(f"terms.{name}: out of range")
        if len(_unpacked) >= _TERMS_KEPT:
            _unpacked.clear()
        _unpacked[packed] = terms
    return terms


def dump(value: object) -> bytes:
    """One value as CBOR.

    Raises:
        CodecError: CBOR cannot hold it.
    """
    try:
        return cbor2.dumps(value)
    except (cbor2.CBOREncodeError, UnicodeEncodeError, RecursionError) as error:
        raise CodecError(f"cannot be encoded: {error}") from error


def load(data: bytes) -> Any:
    """The one CBOR value in these bytes: numbers of at most 64 bits, text, bytes, arrays, null and booleans.

    Raises:
        CodecError: cut short, trailing bytes, tags, indefinite lengths, or nested too deep.
    """
    stream = BytesIO(data)
    try:
        value = cbor2.CBORDecoder(
            stream,
            tag_hook=_refuse,
            semantic_decoders=_REFUSED,
            max_depth=_DEPTH_MAX,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        ).decode()
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError) as error:
        raise CodecError(f"not sound CBOR: {error}") from error
    if stream.tell() != len(data):
        raise CodecError(f"{len(data) - stream.tell()} trailing bytes")
    return value


def convert(value: object, target: type[T], where: str, fields: Sequence[str] = ()) -> T:
    """Check `value` against `target`, to the last field.

    Args:
        where: what the value is, for the message.
        fields: names for the numbers of the outermost array.

    Raises:
        CodecError: the place, what was expected and what came.
    """
    try:
        return msgspec.convert(value, target, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        expected, numbers = _split(error)
        path = [f"[{number}]" for number in numbers]
        if fields and numbers:
            path[0] = f".{fields[numbers[0]]}"
        raise CodecError(f"{where}{''.join(path)}: {expected}") from None


def _split(error: msgspec.ValidationError) -> tuple[str, list[int]]:
    """The library's message without its quotes, and the array positions it names."""
    expected, _, path = str(error).replace("`", "").partition(" - at $")
    return expected, [int(number) for number in re.findall(r"\[(\d+)\]", path)]


def _refuse(*_: object) -> NoReturn:
    raise ValueError("a tag, which the format does not use")


_REFUSED: Mapping[int, Any] = dict.fromkeys(
    # Those that the library would act on by itself: times, big numbers, fractions, shared values, patterns.
    (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 100, 256, 258, 260, 261, 1004, 43000, 55799),
    _refuse,
)
