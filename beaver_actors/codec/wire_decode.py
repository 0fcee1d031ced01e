"""Bytes to messages and back: JSON text or CBOR, requests and replies.

Whatever the bytes are, this file returns a message of `wire` or raises `WireError`, whose text names the
field, what was expected and what came. It checks types and size; `wire_commands` checks the values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

import msgspec

from beaver_actors.codec.wire import Reply, Request
from beaver_actors.codec.wire_cbor import cbor_from_json, json_from_cbor, readable_cbor_from_json
from beaver_actors.codec.wire_errors import WireError, explain, explain_malformed, shorten
from beaver_actors.codec.wire_fields import REQUEST_ID_CHARS_MAX
from beaver_actors.codec.wire_job_messages import ListRequest
from beaver_actors.codec.wire_job_objects import NewJobObject
from beaver_actors.core.answers import RefusalCode

Form: TypeAlias = Literal["json", "cbor"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one message may ask for. Bytes are those of the JSON text."""

    message_bytes: int = 8 * 1024 * 1024
    job_bytes: int = 1024 * 1024
    """Of one job's `args` and `meta` together."""
    batch_jobs: int = 1000
    result_bytes: int = 1024 * 1024
    error_message_chars: int = 10_000
    traceback_chars: int = 20_000


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

LIST_FIELDS = tuple(name for name in ListRequest.__struct_fields__ if name != "id")

_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_replies: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)
_jobs = msgspec.json.Decoder(_Jobs)
_job = msgspec.json.Decoder(NewJobObject)
_probe = msgspec.json.Decoder(_Probe)
_salvage = msgspec.json.Decoder(_Salvage)
_encoder = msgspec.json.Encoder()


def decode_request(data: str | bytes, limits: Limits) -> Request:
    """Read a request.

    Args:
        data: JSON as text, or CBOR as bytes.
        limits: of the server.

    Raises:
        WireError: for everything that is not a request.
    """
    if isinstance(data, bytes):
        _check_size(len(data), limits)
        text: str | bytes = json_from_cbor(data)
    else:
        _check_size(len(data) if data.isascii() else len(data.encode("utf-8", "surrogatepass")), limits)
        text = data
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
        raise WireError("bad_request", explain_malformed(error)) from None
    if _decode(_probe, text).jobs is msgspec.UNSET:
        return [_decode(_job, text)], False
    return _decode(_jobs, text).jobs, True


def list_request(query: Mapping[str, str]) -> ListRequest:
    """Read a `list` request from an HTTP query, where everything is text.

    Raises:
        WireError: a field is unknown, or of the wrong type.
    """
    for name in query:
        if name not in LIST_FIELDS:
            known = ", ".join(LIST_FIELDS)
            raise WireError("bad_request", f"{shorten(name)}: unknown parameter; there are {known}")
    try:
        return msgspec.convert({**query, "id": ""}, ListRequest, strict=False)
    except msgspec.ValidationError as error:
        raise WireError("bad_request", explain(str(error))) from None


def decode_reply(data: str | bytes) -> Reply:
    """Read what a server sent, a reply or a push: JSON as text, or CBOR as bytes.

    Raises:
        WireError: it is neither.
    """
    return _decode(_replies, data if isinstance(data, str) else json_from_cbor(data))


def read(type_: type[T], raw: msgspec.Raw) -> T:
    """Read what an `Ok` carries unread: `list[Receipt]`, `JobObject`, `list[JobObject]` or `StatusObject`.

    Raises:
        WireError: it is not that.
    """
    return _decode(msgspec.json.Decoder(type_), raw)


def encode_request(request: Request, form: Form) -> str | bytes:
    """Write a request: JSON as text, CBOR as bytes.

    Raises:
        WireError: CBOR cannot carry it.
    """
    text = _encoder.encode(request)
    return text.decode() if form == "json" else cbor_from_json(text)


def encode(message: msgspec.Struct, form: Form) -> str | bytes:
    """Write a reply or a push: JSON as text, CBOR as bytes."""
    return in_form(_encoder.encode(message), form)


def in_form(text: bytes, form: Form) -> str | bytes:
    """Write a reply or a push that is JSON already: as text, or turned into CBOR."""
    return text.decode() if form == "json" else readable_cbor_from_json(text)


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
        raise WireError(code, explain(found), _salvaged_id(text)) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise WireError("bad_request", explain_malformed(error)) from None


def _salvaged_id(text: str | bytes | msgspec.Raw) -> str | None:
    try:
        request_id = _salvage.decode(text).id
    except (msgspec.DecodeError, RecursionError):
        return None
    return request_id if request_id is not None and len(request_id) <= REQUEST_ID_CHARS_MAX else None
