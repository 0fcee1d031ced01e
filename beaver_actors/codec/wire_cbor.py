"""CBOR to JSON and back, for messages. Only what JSON can say is taken, so that one validator serves both.

The decoder reads what strangers send: no tags (dates, big numbers, shared and cyclic values, regular
expressions), no indefinite lengths, no repeated keys, bounded depth, nothing after the message.
"""

from __future__ import annotations

import math
import re
from io import BytesIO
from typing import Any, NoReturn

import cbor2
import msgspec

from beaver_actors.codec.json_text import INT64_MIN, UINT64_MAX, tame_numbers
from beaver_actors.codec.wire_errors import WireError, shorten
from beaver_actors.codec.wire_fields import DEPTH_MAX, REQUEST_ID_CHARS_MAX

MESSAGE_DEPTH_MAX = DEPTH_MAX + 8
"""Arguments and results may have `DEPTH_MAX` levels of their own; a message puts a few around them."""

_plain = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


def cbor_from_json(text: bytes) -> bytes:
    """Turn a request that we have written from JSON into CBOR.

    Raises:
        WireError: it holds a number that only JSON can carry. A server would not be able to say whose
            request that was.
    """
    if tame_numbers(text, int64=True) != text:
        message = "the message: expected numbers of at most 64 bits, got a larger one; JSON carries it"
        raise WireError("bad_request", message)
    return cbor2.dumps(_plain.decode(text))


def readable_cbor_from_json(text: bytes) -> bytes:
    """Turn a reply that we have written from JSON into CBOR. Numbers that only JSON can say become text, so
    that any reader can read the rest."""
    return cbor2.dumps(_plain.decode(tame_numbers(text, int64=True)))


def json_from_cbor(data: bytes) -> bytes:
    """Turn a message of a stranger from CBOR into JSON.

    Raises:
        WireError: it is not CBOR, or says what JSON cannot.
    """
    stream = BytesIO(data)
    decoder = cbor2.CBORDecoder(
        stream,
        tag_hook=_refuse_tag,
        semantic_decoders=_NO_TAGS,
        max_depth=MESSAGE_DEPTH_MAX,
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
        fits = INT64_MIN <= value <= UINT64_MAX
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
    if isinstance(value, bytes):
        return "a byte string"
    return "undefined" if value is cbor2.undefined else f"a {type(value).__name__}"
