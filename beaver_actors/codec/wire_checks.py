"""Checks of single values that a stranger chose. Each takes the field's path, returns what it was given or
what that means, and refuses with the path, what was expected and what came.
"""

from __future__ import annotations

import re
from typing import NoReturn, TypeVar

import msgspec

from beaver_actors.codec.wire_errors import WireError
from beaver_actors.codec.wire_fields import (
    DEPTH_MAX,
    ID_PATTERN,
    KIND_PATTERN,
    QUEUE_PATTERN,
    SCHEDULE_PATTERN,
    TAG_CHARS_MAX,
)
from beaver_actors.codec.wire_times import parse_time_ms
from beaver_actors.core.durations import parse_duration_ms, shown

N = TypeVar("N", int, float)
C = TypeVar("C", bound=str)

_is_id = re.compile(ID_PATTERN).fullmatch
_is_kind = re.compile(KIND_PATTERN).fullmatch
_is_schedule = re.compile(SCHEDULE_PATTERN).fullmatch
_is_queue = re.compile(QUEUE_PATTERN).fullmatch
_JSON_TEXT = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACES_AS_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_OPEN_BRACE = 0x7B


def refuse(message: str) -> NoReturn:
    """Raise `WireError` with the code `bad_request`."""
    raise WireError("bad_request", message)


def check_id(text: str, path: str) -> str:
    """A job's id: it may stand in a URL's path, a log line and a shell."""
    if not _is_id(text):
        refuse(f"{path}: expected 1 to 200 printable ASCII characters without spaces, got {shown(text)}")
    return text


def check_kind(text: str, path: str) -> str:
    """A job's kind."""
    if not _is_kind(text):
        refuse(f"{path}: expected 1 to 200 of the characters A-Z a-z 0-9 _ . : -, got {shown(text)}")
    return text


def check_queue(text: str, path: str) -> str:
    """A queue's name."""
    if not _is_queue(text):
        refuse(f"{path}: expected 1 to 128 of the characters A-Z a-z 0-9 _ . : -, got {shown(text)}")
    return text


def check_schedule(text: str, path: str) -> str:
    """A schedule's name; the ids of its jobs begin with it."""
    if not _is_schedule(text):
        refuse(f"{path}: expected 1 to 100 of the characters A-Z a-z 0-9 _ . : -, got {shown(text)}")
    return text


def check_tag(text: str, path: str) -> str:
    """A job's tag."""
    if not 1 <= len(text) <= TAG_CHARS_MAX:
        refuse(f"{path}: expected 1 to {TAG_CHARS_MAX} characters, got {len(text)}")
    return text


def check_choice(text: str, path: str, choices: tuple[C, ...]) -> C:
    """One of a few words."""
    for choice in choices:
        if choice == text:
            return choice
    refuse(f"{path}: expected {', '.join(choices[:-1])} or {choices[-1]}, got {shown(text)}")


def check_key(text: str, path: str, chars_max: int) -> str:
    """A key that a user chose."""
    if not (1 <= len(text) <= chars_max and text.isprintable()):
        refuse(f"{path}: expected 1 to {chars_max} printable characters, got {shown(text)}")
    return text


def check_range(number: N, path: str, low: int, high: int) -> N:
    """A number within bounds."""
    if not low <= number <= high:
        refuse(f"{path}: expected a number from {low} to {high}, got {shown(number)}")
    return number


def check_duration(value: float | str, path: str) -> int:
    """A duration; returns milliseconds."""
    try:
        return parse_duration_ms(value)
    except ValueError as error:
        refuse(f"{path}: {error}")


def check_limit(value: float | str, path: str, absent: str) -> int:
    """A duration in whose place null may stand, for `absent`; returns milliseconds."""
    try:
        duration_ms = parse_duration_ms(value)
    except ValueError as error:
        expected, got, came = str(error).partition(", got ")
        refuse(f"{path}: {expected}, or null for {absent}{got}{came}")
    if duration_ms == 0:
        refuse(f"{path}: expected more than 0, or null for {absent}, got {shown(value)}")
    return duration_ms


def check_time(text: str, path: str) -> int:
    """A time; returns milliseconds UTC."""
    try:
        return parse_time_ms(text)
    except ValueError as error:
        refuse(f"{path}: {error}")


def check_object(text: bytes, path: str) -> None:
    """Valid JSON that must be an object that those who read it later can read."""
    if text[0] != _OPEN_BRACE:
        refuse(f"{path}: expected object, got {_json_sort(text)}")
    check_value(text, path)


def check_value(text: bytes, path: str) -> None:
    """Valid JSON that is not nested so deeply, nor with such numbers, that those who read it later cannot."""
    size = len(text)
    if size > 2 * DEPTH_MAX and text.count(b"{") + text.count(b"[") > DEPTH_MAX and _is_deep(text):
        refuse(f"{path}: expected at most {DEPTH_MAX} levels of objects and lists, got more")
    # Reading a short text costs a tenth of searching it.
    if (size < SHORT_BYTES or _PERHAPS_TOO_LARGE.search(text)) and _is_out_of_range(text):
        refuse(f"{path}: expected numbers that fit a double, got a larger one")


SHORT_BYTES = 1024


_PERHAPS_TOO_LARGE = re.compile(rb"[0-9][eE][+]?[0-9]{3}|[0-9]{200}")
"""A fraction beyond 1.8e308 has three digits of exponent or over two hundred others; so may innocent text."""


def _is_out_of_range(text: bytes) -> bool:
    """Whether valid JSON holds a number that those who read it later cannot."""
    try:
        _read(text)
    except msgspec.DecodeError:
        return True
    return False


_read = msgspec.json.Decoder().decode


def _json_sort(text: bytes) -> str:
    return {b'"': "text", b"[": "list", b"n": "null", b"t": "true", b"f": "false"}.get(text[:1], "number")


def _is_deep(text: bytes) -> bool:
    """Whether valid JSON has more than `DEPTH_MAX` levels. Takes the innermost brackets away, level by level:
    a hostile megabyte costs milliseconds, which walking it byte by byte would not."""
    brackets = _JSON_TEXT.sub(b"", text).translate(_BRACES_AS_BRACKETS, _NO_BRACKETS)
    for _ in range(DEPTH_MAX):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)
