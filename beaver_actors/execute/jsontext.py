"""JSON text from Python values, without the silent losses: what JSON cannot carry is refused, never changed.

This file alone decides which values may be arguments, results and progress.
"""

from __future__ import annotations

import math

import msgspec

from beaver_actors.codec.wire_fields import DEPTH_MAX


class NotJson(Exception):
    """The value cannot be carried by JSON; the message says why."""


def encode_json(value: object) -> bytes:
    """Write a value as JSON text.

    Args:
        value: what msgspec can write: None, bool, int, float, str, list, tuple, dict, dataclass, Struct, and
            values with a customary text form such as datetime, UUID and Decimal.

    Raises:
        NotJson: a part of it has no JSON form, is NaN or infinite, is no valid Unicode, lies too deep, or
            contains itself.
    """
    try:
        text = msgspec.json.encode(value)
        # msgspec writes NaN and infinity as null, so only a text with a null in it need be looked through;
        # and only one with many brackets can be deeper than every reader can follow.
        if b"null" in text or text.count(b"[") + text.count(b"{") > DEPTH_MAX:
            _check(msgspec.to_builtins(value))
    except RecursionError:
        raise NotJson("it is nested too deeply, or contains itself") from None
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise NotJson(str(error)) from None
    return text


def _check(tree: object) -> None:
    """Refuse a tree of plain values with a NaN or an infinity in it, or with too many levels. Level by level,
    not by recursion: the tree may be deep."""
    level: list[object] = [tree]
    for _ in range(DEPTH_MAX + 1):
        below: list[object] = []
        for value in level:
            if isinstance(value, float) and not math.isfinite(value):
                raise NotJson(f"{value} is not a JSON number")
            if isinstance(value, dict):
                below.extend(value.values())
            elif isinstance(value, list | tuple):
                below.extend(value)
        if not below:
            return
        level = below
    raise NotJson(f"it has more than {DEPTH_MAX} levels of lists and objects")
