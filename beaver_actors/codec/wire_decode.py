"""Bytes to messages and back: JSON text or CBOR, requests and replies.

This file alone reads what strangers send. Whatever the bytes are, it returns a message of `wire` or raises
`WireError`, whose text names the field, what was expected and what came. It checks types, depth and size; the
values are checked in `wire_commands`. CBOR is turned into JSON first, so there is one validator and what JSON
cannot say is refused.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from difflib import get_close_matches
from io import BytesIO
from typing import Any, Final, Literal, NoReturn, TypeAlias, TypeVar, get_args

import cbor2
import msgspec

from beaver_actors.codec.wire import REQUESTS, Reply, Request
from beaver_actors.codec.wire_fields import REQUEST_ID_CHARS_MAX
from beaver_actors.codec.wire_objects import BackoffRule, EventFilter, NewJobObject
from beaver_actors.core.answers import RefusalCode
from beaver_actors.core.job import DEAD_REASONS, BackoffKind, JobState

Form: TypeAlias = Literal["json", "cbor"]

DEPTH_MAX: Final = 64
"""Objects and lists within each other; every JSON and CBOR library can follow that far."""


class WireError(Exception):
    """A message that cannot be understood or is not allowed; the connection lives on.

    Attributes:
        code: for the error reply.
        message: for people; names the field by its path.
        request_id: the request's `id`, None if it could not be read.
    """

    def __init__(self, code: RefusalCode, message: str, request_id: str | None = None) -> None:
        super().__init__(message)
        self.code: RefusalCode = code
        self.message = message
        self.request_id = request_id


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one message may ask for. Bytes are those of the JSON text."""

    message_bytes: int = 8 * 1024 * 1024
    job_bytes: int = 1024 * 1024
    """Of one job's `args` and `meta` together."""
    batch_jobs: int = 1000


class _Salvage(msgspec.Struct):
    """As much of a message as an error reply needs."""

    id: str | None = None


class _Jobs(msgspec.Struct, forbid_unknown_fields=True):
    """The body of an HTTP request with several jobs."""

    jobs: list[NewJobObject]


class _Probe(msgspec.Struct):
    """Whether a body is of that sort."""

    jobs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


T = TypeVar("T")

_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_replies: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)
_jobs = msgspec.json.Decoder(_Jobs)
_job = msgspec.json.Decoder(NewJobObject)
_probe = msgspec.json.Decoder(_Probe)
_salvage = msgspec.json.Decoder(_Salvage)
_plain = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


def decode_request(data: str | bytes, limits: Limits) -> Request:
    """Read a request.

    Args:
        data: JSON as text, or CBOR as bytes.
        limits: of the server.

    Raises:
        WireError: for everything that is not a request.
    """
    _check_size(len(data), limits)
    text = data if isinstance(data, str) else _json_from_cbor(data)
    request = _decode(_requests, text)
    if len(request.id) > REQUEST_ID_CHARS_MAX:
        expected = f"id: expected at most {REQUEST_ID_CHARS_MAX} characters, got {len(request.id)}"
        raise WireError("bad_request", expected)
    return request


def decode_jobs(body: bytes, limits: Limits) -> tuple[list[NewJobObject], bool]:
    """Read the jobs in an HTTP body: one job, or an object whose only field `jobs` lists several.

    Args:
        body: JSON in UTF-8.
        limits: of the server.

    Returns:
        The jobs, and whether they came as a list.

    Raises:
        WireError: for everything else.
    """
    _check_size(len(body), limits)
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise WireError("bad_request", _malformed(error)) from None
    if _decode(_probe, text).jobs is msgspec.UNSET:
        return [_decode(_job, text)], False
    return _decode(_jobs, text).jobs, True


def decode_reply(data: str | bytes) -> Reply:
    """Read what a server sent, a reply or a push: JSON as text, or CBOR as bytes.

    Raises:
        WireError: it is neither.
    """
    return _decode(_replies, data if isinstance(data, str) else _json_from_cbor(data))


def read(type_: type[T], raw: msgspec.Raw) -> T:
    """Read what an `Ok` carries unread: `list[Receipt]`, `JobObject`, `list[JobObject]` or `StatusObject`.

    Raises:
        WireError: it is not that.
    """
    return _decode(msgspec.json.Decoder(type_), raw)


def encode(message: msgspec.Struct, form: Form) -> str | bytes:
    """Write a message: JSON as text, CBOR as bytes."""
    return in_form(_encoder.encode(message), form)


def in_form(text: bytes, form: Form) -> str | bytes:
    """Write a message that is JSON already: as text, or turned into CBOR."""
    return text.decode() if form == "json" else cbor2.dumps(_plain.decode(text))


def _check_size(size: int, limits: Limits) -> None:
    if size > limits.message_bytes:
        message = f"the message: expected at most {limits.message_bytes} bytes, got {size}"
        raise WireError("too_large", message)


def _decode(decoder: msgspec.json.Decoder[T], text: str | bytes | msgspec.Raw) -> T:
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        found = str(error)
        unknown_type = found.startswith("Invalid value") and found.endswith("at `$.type`")
        # A message of a newer client is not the same as a mistake.
        code: RefusalCode = "unsupported" if unknown_type else "bad_request"
        raise WireError(code, _explain(found), _salvaged_id(text)) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise WireError("bad_request", _malformed(error)) from None


def _salvaged_id(text: str | bytes | msgspec.Raw) -> str | None:
    try:
        request_id = _salvage.decode(text).id
    except msgspec.DecodeError:
        return None
    return request_id if request_id is not None and len(request_id) <= REQUEST_ID_CHARS_MAX else None


_WORDS = {
    "str": "text", "int": "whole number", "float": "number", "bool": "true or false", "null": "null",
    "array": "list", "object": "object",
}  # fmt: skip
_CHOICES: dict[str, tuple[str, ...]] = {
    "type": tuple(str(request.__struct_config__.tag) for request in REQUESTS),
    "kind": get_args(BackoffKind),
    "state": tuple(JobState),
    "reason": DEAD_REASONS,
    "topic": ("status", "events"),
}
_FIELDS = sorted(
    {
        name
        for message in (*REQUESTS, NewJobObject, EventFilter, *get_args(BackoffRule))
        for name in message.__struct_fields__
    }
)
_PLACED = re.compile(r"(.*?)(?: - at `\$\.?(.*)`)?", re.DOTALL)
_MISTYPED = re.compile(r"Expected `(.*?)`(?:, got `(.*)`)?")
_MISSING = re.compile(r"Object missing required field `(.*)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISCHOSEN = re.compile(r"Invalid (?:enum )?value '(.*)'", re.DOTALL)


def _explain(found: str) -> str:
    """msgspec's finding in our words: where, what was expected, what came."""
    placed = _PLACED.fullmatch(found)
    what, path = (placed[1], placed[2] or "") if placed else (found, "")
    if match := _MISSING.fullmatch(what):
        return f"{_below(path, match[1])}: required, but missing"
    if match := _UNKNOWN.fullmatch(what):
        return f"{_below(path, shorten(match[1]))}: unknown field{_hint(match[1], _FIELDS)}"
    if match := _MISCHOSEN.fullmatch(what):
        choices = _CHOICES.get(path.rpartition(".")[2], ())
        return f'{path}: expected one of {", ".join(choices)}; got "{shorten(match[1])}"'
    path = path or "the message"
    if match := _MISTYPED.fullmatch(what):
        expected = [_WORDS.get(name, name) for name in match[1].split(" | ")]
        if "number" in expected and "whole number" in expected:
            expected.remove("whole number")
        got = {"int": "number", "float": "number with a fraction"}.get(
            match[2], _WORDS.get(match[2], match[2])
        )
        return f"{path}: expected {' or '.join(expected)}" + (f", got {got}" if got else "")
    return f"{path}: {what[:1].lower()}{shorten(what[1:])}"


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _hint(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1) if len(name) <= 50 else []
    return f'; did you mean "{near[0]}"?' if near else ""


def shorten(text: str, chars: int = 60) -> str:
    """Cut what a stranger sent to a length that an error message can bear."""
    return text if len(text) <= chars else f"{text[:chars]}…"


def _malformed(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "the message: nested too deeply"
    if isinstance(error, UnicodeError):
        return "the message: expected UTF-8, got other bytes"
    found = str(error).removeprefix("JSON is malformed: ")
    return f"the message: expected JSON; {'it ends too early' if 'truncated' in found else found}"


def _json_from_cbor(data: bytes) -> bytes:
    """The same message in JSON. Only what JSON can say is taken; so the rest of the way is the same."""
    stream = BytesIO(data)
    decoder = cbor2.CBORDecoder(
        stream,
        tag_hook=_refuse_tag,
        semantic_decoders=_NO_TAGS,
        max_depth=DEPTH_MAX,
        allow_indefinite=False,
        allow_duplicate_keys=False,
        strict_hashable_types=True,
    )
    try:
        value = decoder.decode()
    except Exception as error:  # noqa: BLE001  # whatever a decoder of a stranger's bytes raises is their mistake
        tag = _TAG.fullmatch(str(error))
        found = f"tag {tag[1]} is not allowed, only what JSON can say" if tag else shorten(str(error), 200)
        raise WireError("bad_request", f"the message: expected CBOR; {found}") from None
    if stream.tell() != len(data):
        spare = len(data) - stream.tell()
        raise WireError("bad_request", f"the message: expected one CBOR item, got {spare} bytes more")
    if misfit := _misfit(value):
        path, what = misfit
        request_id = value.get("id") if isinstance(value, dict) else None
        known = (
            request_id if isinstance(request_id, str) and len(request_id) <= REQUEST_ID_CHARS_MAX else None
        )
        raise WireError("bad_request", f"{path.removeprefix('.') or 'the message'}: {what}", known)
    return _encoder.encode(value)


def _refuse_tag(decoder: object, tag: object = None) -> NoReturn:
    raise ValueError("tags are not allowed: only what JSON can say")


_TAG = re.compile(r"error decoding semantic tag ([0-9]+)")
_NO_TAGS: dict[int, Any] = dict.fromkeys(
    (*range(6), *range(21, 38), 52, 54, 100, *range(256, 275), 1004, 43000, 55799), _refuse_tag
)


def _misfit(value: object) -> tuple[str, str] | None:
    """Where something is that JSON cannot say, and what; None if there is nothing of the sort."""
    if value is None or isinstance(value, str | bool):
        return None
    if isinstance(value, int):
        fits = -(2**63) <= value < 2**64
        return None if fits else ("", "expected a number of at most 64 bits, got a larger one")
    if isinstance(value, float):
        return None if math.isfinite(value) else ("", f"expected a finite number, got {value}")
    if isinstance(value, list):
        for position, item in enumerate(value):
            if found := _misfit(item):
                return f"[{position}]{found[0]}", found[1]
        return None
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                return "", f"expected text as key, got {_cbor_word(key)}"
            if found := _misfit(item):
                return f".{shorten(key)}{found[0]}", found[1]
        return None
    return "", f"expected what JSON can say, got {_cbor_word(value)}"


def _cbor_word(value: object) -> str:
    return "a byte string" if isinstance(value, bytes) else f"a {type(value).__name__}"
