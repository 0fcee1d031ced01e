"""JSON text from Python values, without the silent losses: what JSON cannot carry is refused, never changed.

This file alone decides which values may be arguments, results and progress.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec


class NotJson(Exception):
    """The value cannot be carried by JSON; the message says why."""


def encode_json(value: object) -> bytes:
    """Write a value as JSON text.

    Args:
        value: what msgspec can write: None, bool, int, float, str, list, tuple, dict, dataclass, Struct, and
            values with a customary text form such as datetime, UUID and Decimal.

    Raises:
        NotJson: a part of it has no JSON form, is NaN or infinite, is no valid Unicode, or contains itself.
    """
    try:
        text = msgspec.json.encode(value)
        # msgspec writes NaN and infinity as null, so only a text with a null in it need be looked through.
        if b"null" in text and (found := _not_finite(msgspec.to_builtins(value))) is not None:
            raise NotJson(f"{found} is not a JSON number")
    except RecursionError:
        raise NotJson("it is nested too deeply, or contains itself") from None
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise NotJson(str(error)) from None
    return text


def _not_finite(tree: object) -> float | None:
    """The first NaN or infinity in a tree of plain values. Iterative: the tree may be deep."""
    waiting: list[Iterable[object]] = [(tree,)]
    while waiting:
        for value in waiting.pop():
            if isinstance(value, float):
                if not math.isfinite(value):
                    return value
            elif isinstance(value, dict):
                waiting.append(value.values())
            elif isinstance(value, list | tuple):
                waiting.append(value)
    return None
