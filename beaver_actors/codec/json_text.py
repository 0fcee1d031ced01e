"""JSON text of arguments, results and progress, without silent losses.

The server keeps such text as it came and looks at no value in it. This file alone decides which Python values
can become such text, and what a reader gets for a number that it cannot hold. What is stored stays as it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

import msgspec

from beaver_actors.codec.wire_fields import DEPTH_MAX

INT64_MIN = -(2**63)
UINT64_MAX = 2**64 - 1


def encode_json(value: object) -> bytes:
    """Write a value as JSON text. What JSON cannot carry is refused, never changed.

    Args:
        value: None, bool, int, float, str, list, tuple, dict with text as keys, dataclass, Struct, and values
            with a customary text form such as datetime, UUID and Decimal.

    Raises:
        TypeError: a part of it has no JSON form; says where, what was expected and what came.
        ValueError: as `write_json`.
    """
    text = write_json(value)
    if not reads_the_same(text, value) and (reason := changed_by_writing(value)) is not None:
        raise TypeError(reason)
    return text


def write_json(value: object) -> bytes:
    """The same for a reader who knows the types: sets as lists, bytes in base64, keys that are no text as
    text. Whether there is such a reader is for the caller to see to, where `changed_by_writing` finds some.

    Raises:
        TypeError: a part of it has no JSON form.
        ValueError: a part of it is NaN or infinite, is no valid Unicode, lies too deep, or contains itself.
    """
    try:
        text = msgspec.json.encode(value)
        # msgspec writes NaN and infinity as null, so only a text with a null in it need be looked through;
        # and only one with many brackets can be deeper than every reader can follow.
        if b"null" in text or text.count(b"[") + text.count(b"{") > DEPTH_MAX:
            _check(msgspec.to_builtins(value))
    except RecursionError:
        raise ValueError("it is nested too deeply, or contains itself") from None
    except TypeError as error:
        raise TypeError(f"{error}: expected what JSON can say") from None
    except (ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise ValueError(str(error)) from None
    return text


def reads_the_same(text: bytes, value: object) -> bool:
    """Whether JSON text is read as this value, whoever reads it. A quick look that settles it for most; False
    says nothing yet, as a time or a tuple is read as something else too."""
    try:
        return bool(_decode(text) == value)
    except Exception:  # noqa: BLE001  # numbers too large to be read, and comparisons of the user's classes
        return False


def changed_by_writing(value: object) -> str | None:
    """What in a value has a JSON form only for readers who know its type; None if nothing has. What an object
    of a class holds is its class's affair.

    Args:
        value: one that `write_json` has written, so it is not deep, nor part of itself.

    Returns:
        What was expected, what came, and where.
    """
    if (found := _changed(value)) is None:
        return None
    what, path = found
    return f"{what} at {path.removeprefix('.')}" if path else what


def tame_numbers(text: bytes, *, int64: bool = False) -> bytes:
    """Put numbers that cannot be held in quotes, so that a reader gets them as text, digit for digit.

    Args:
        text: JSON; what is no JSON is still none afterwards.
        int64: whether whole numbers beyond 64 bits are such too; else only what is beyond a double is.

    Returns:
        The same text, but for those numbers.
    """
    if not _PERHAPS_TOO_LARGE.search(text):
        return text

    def tamed(token: re.Match[bytes]) -> bytes:
        if token[0].startswith(b'"') or _can_be_held(token[0], int64):
            return token[0]
        return b'"%b"' % token[0]

    return _STRING_OR_NUMBER.sub(tamed, text)


_decode = msgspec.json.Decoder().decode


def _changed(value: object) -> tuple[str, str] | None:
    """What was expected and came, and the path to it."""
    items: Iterable[tuple[object, object]] = ()
    match value:
        case dict():
            for key in value:
                if not isinstance(key, str):
                    return f"expected text as key, got {key!r:.60} ({type(key).__name__})", ""
            items = value.items()
        case list() | tuple():
            items = enumerate(value)
        case set() | frozenset():
            return f"expected a list, got a {type(value).__name__}", ""
        case bytes() | bytearray() | memoryview():
            return f"expected text, got {type(value).__name__}", ""
    for key, item in items:
        if (found := _changed(item)) is not None:
            what, path = found
            return what, (f".{key}" if isinstance(value, dict) else f"[{key}]") + path
    return None


_PERHAPS_TOO_LARGE = re.compile(rb"[0-9][eE]\+?[0-9]{3}|[0-9]{19}")
"""What is beyond 64 bits has 19 digits at least, or three of exponent; so may innocent text."""
_STRING_OR_NUMBER = re.compile(rb'"(?:[^"\\]++|\\.)*+"|-?[0-9][0-9.eE+-]*+')


def _can_be_held(number: bytes, int64: bool) -> bool:
    try:
        value = msgspec.json.decode(number)
    except msgspec.DecodeError:
        return False
    return not int64 or isinstance(value, float) or INT64_MIN <= value <= UINT64_MAX


def _check(tree: object) -> None:
    """Refuse a tree of plain values with a NaN or an infinity in it, or with too many levels. Level by level,
    not by recursion: the tree may be deep."""
    level: list[object] = [tree]
    for depth in range(DEPTH_MAX + 1):
        below: list[object] = []
        for value in level:
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{value} is not a JSON number")
            if isinstance(value, dict | list | tuple):
                if depth == DEPTH_MAX:
                    raise ValueError(f"it has more than {DEPTH_MAX} levels of lists and objects")
                below.extend(value.values() if isinstance(value, dict) else value)
        level = below
