"""Facts to the body of a frame and back.

A body is one CBOR array with a fact in each place: `[code, *fields]`, the fields in the order of the class.
Codes are for ever. Trailing fields that have a default may be absent, so a fact can grow one; a fact that is
not understood to the last field is refused, never skipped. This file knows nothing of frames or files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, NamedTuple, NoReturn, TypeVar

import cbor2
import msgspec

from beaver_actors.core.facts import (
    EVENT_NAMES,
    Fact,
    JobCancelled,
    JobCancelRequested,
    JobCompleted,
    JobDeleted,
    JobDied,
    JobEnqueued,
    JobFailed,
    JobProgressed,
    JobReleased,
    JobRescued,
    JobRetried,
    JobSnoozed,
    JobStarted,
    QueuePaused,
    QueueResumed,
)
from beaver_actors.core.job import Terms

FACT_CODES: Mapping[int, type[Fact]] = {
    1: JobEnqueued,
    2: JobStarted,
    3: JobProgressed,
    4: JobCompleted,
    5: JobFailed,
    6: JobSnoozed,
    7: JobReleased,
    8: JobRescued,
    9: JobDied,
    10: JobCancelRequested,
    11: JobCancelled,
    12: JobRetried,
    13: JobDeleted,
    14: QueuePaused,
    15: QueueResumed,
}
"""Numbers on disk. Never change or reuse one; a new fact takes the next."""

_CODE_OF: Mapping[type[Fact], int] = {fact: code for code, fact in FACT_CODES.items()}
_ENQUEUED = _CODE_OF[JobEnqueued]
_TERMS = JobEnqueued._fields.index("terms")
_DEPTH_MAX = 8  # batch, fact, error: three are in use

T = TypeVar("T")


class CodecError(ValueError):
    """Bytes or values that are not what the format says; the text names the fact and the field."""


def encode_facts(facts: Sequence[Fact]) -> bytes:
    """Return the body of a frame.

    The bytes are decoded again before they are returned: what could not be read after a restart must not be
    written and acknowledged now.

    Raises:
        CodecError: a fact that the format cannot hold, or that would come back as another.
    """
    rows: list[tuple[Any, ...]] = []
    for fact in facts:
        if isinstance(fact, JobEnqueued):
            packed = pack_terms(fact.terms)
            rows.append((_ENQUEUED, *fact[:_TERMS], packed, *fact[_TERMS + 1 :]))
        else:
            rows.append((_CODE_OF[type(fact)], *fact))
    body = dump(rows)
    if decode_facts(body) != list(facts):
        raise CodecError("these facts do not come back as they are")
    return body


def decode_facts(body: bytes) -> list[Fact]:
    """Read the body of a frame.

    Raises:
        CodecError: anything but an array of known facts, each complete, each field of its type.
    """
    rows = load(body)
    if type(rows) is not list:
        raise CodecError(f"expected an array of facts, got {type(rows).__name__}")
    # All facts of one kind are checked in one call, which costs a tenth of a call for each.
    places: dict[int, list[int]] = {}
    for place, row in enumerate(rows):
        if type(row) is not list or not row:
            raise CodecError(f"facts[{place}]: expected an array that begins with a code, got {row!r:.80}")
        code = row[0]
        if type(code) is not int or code not in FACT_CODES:
            raise CodecError(f"facts[{place}]: unknown fact code {code!r:.80}")
        del row[0]
        places.setdefault(code, []).append(place)
    for code, group in places.items():
        for place, fact in zip(group, _convert_group(code, group, rows), strict=True):
            rows[place] = fact
    return rows


def _convert_group(code: int, group: list[int], rows: list[Any]) -> list[Fact]:
    try:
        facts: list[Any] = msgspec.convert(
            [rows[place] for place in group], _LIST_OF[code], builtin_types=(bytes,)
        )
    except msgspec.ValidationError:
        # Once more, one by one, to name the fact and the field.
        fact_type = FACT_CODES[code]
        for place in group:
            where = f"facts[{place}] ({EVENT_NAMES[fact_type]})"
            convert(rows[place], _ROWS.get(code, fact_type), where, fact_type._fields)
        raise
    if code == _ENQUEUED:
        return [
            JobEnqueued(job_id, at_ms, unpack_terms(terms), args, run_at_ms, expires_at_ms)
            for job_id, at_ms, terms, args, run_at_ms, expires_at_ms in facts
        ]
    return facts


class _PackedEnqueued(NamedTuple):
    """`JobEnqueued` with its terms still packed."""

    job_id: str
    at_ms: int
    terms: bytes
    args: bytes
    run_at_ms: int
    expires_at_ms: int | None = None


_ROWS: Mapping[int, type[Any]] = {_ENQUEUED: _PackedEnqueued}
_LIST_OF: Mapping[int, Any] = {
    code: list[_ROWS.get(code, fact)]  # type: ignore[misc]  # a value, no annotation
    for code, fact in FACT_CODES.items()
}

# Equal terms are packed once and unpacked once: a backlog has few different ones, and jobs share the value.
_TERMS_KEPT = 10_000
_packed: dict[Terms, bytes] = {}
_unpacked: dict[bytes, Terms] = {}


def pack_terms(terms: Terms) -> bytes:
    """Terms as CBOR bytes of their own, without the trailing fields that have their default value."""
    packed = _packed.get(terms)
    if packed is None:
        fields = list(terms)
        while fields and Terms._fields[len(fields) - 1] in Terms._field_defaults:
            name = Terms._fields[len(fields) - 1]
            if fields[-1] != Terms._field_defaults[name]:
                break
            fields.pop()
        packed = dump(fields)
        if len(_packed) >= _TERMS_KEPT:
            _packed.clear()
        _packed[terms] = packed
    return packed


def unpack_terms(packed: object) -> Terms:
    """The terms in these bytes.

    Raises:
        CodecError: not bytes, or not terms.
    """
    if type(packed) is not bytes:
        raise CodecError(f"terms: expected bytes, got {type(packed).__name__}")
    terms = _unpacked.get(packed)
    if terms is None:
        terms = convert(load(packed), Terms, "terms", Terms._fields)
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
