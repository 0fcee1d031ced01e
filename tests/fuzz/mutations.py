"""How things are spoiled: bytes by what disks, networks and editors do to them, values by what a careless or
hostile program puts into a message or a log. It decides nothing about what must be told of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cbor2

from tests.fuzz.choices import Choices

PIECE_BYTES = 64
"""As much fresh content as one mutation brings; larger pieces are made by repeating."""
DEPTH = 40

ODD_NUMBERS = (
    0, 1, -1, 2, 63, 64, 99, 100, 101, 127, 128, 255, 256, 1000, 1001, 65_535, 65_536, 10**9, 2**31,
    2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**64 - 1, 2**64, -(2**63) - 1, 10**40,
    253_402_300_799_999, 253_402_300_800_000,
)  # fmt: skip
ODD_FLOATS = (0.5, -0.0, 1e-9, 1e15, 1e300, -1e300, 5e-324, float("nan"), float("inf"), float("-inf"))
ODD_TEXTS = (
    "", "a", "id", "type", "jobs", "default", "work", "pending", "list", "1s", "-1s", "9" * 30, "1e999",
    "2026-09-01T08:00:00Z", "9999-12-31T23:59:59.999-23:59", "0001-01-01T00:00:00+23:59", "ß€😀", "\x00",
    "\u2028", "\ud800", "\x7f", "../..", "%s{}", "x" * 300, "\r\n",
)  # fmt: skip


def spoil(choices: Choices, data: bytes, other: bytes = b"") -> bytes:
    """One change to `data`; `other` is something alike, to take pieces from."""
    kind = choices.pick(_KINDS)
    start = choices.number(len(data) + 1)
    size = choices.pick((1, 2, 4, 8, 16, 64, 512, 4096))
    return kind(choices, data, start, min(size, len(data) - start), other)


def _flip(choices: Choices, data: bytes, start: int, size: int, other: bytes) -> bytes:
    if start == len(data):
        return data
    return data[:start] + bytes([data[start] ^ 1 << choices.number(8)]) + data[start + 1 :]


def _overwrite(choices: Choices, data: bytes, start: int, size: int, other: bytes) -> bytes:
    fresh = choices.take(min(size, PIECE_BYTES))
    return data[:start] + fresh + data[start + len(fresh) :]


def _zero(choices: Choices, data: bytes, start: int, size: int, other: bytes) -> bytes:
    return data[:start] + bytes(size) + data[start + size :]


def _cut(choices: Choices, data: bytes, start: int, size: int, other: bytes) -> bytes:
    return data[:start]


def _delete(choices: Choices, data: bytes, start: int, size: int, other: bytes) -> bytes:
    return data[:start] + data[start + size :]


def _insert(choices: Choices, data: bytes, start: int, size: int, other: bytes) -> bytes:
    return data[:start] + choices.take(min(size, PIECE_BYTES)) + data[start:]


def _repeat(choices: Choices, data: bytes, start: int, size: int, other: bytes) -> bytes:
    piece = data[start : start + size]
    return data[:start] + piece * choices.pick((2, 3, 20)) + data[start + size :]


def _splice(choices: Choices, data: bytes, start: int, size: int, other: bytes) -> bytes:
    source = other or data
    place = choices.number(len(source) + 1)
    return data[:start] + source[place : place + size] + data[start + choices.pick((size, 0)) :]


_KINDS: tuple[Callable[[Choices, bytes, int, int, bytes], bytes], ...] = (
    _flip, _overwrite, _zero, _cut, _delete, _insert, _repeat, _splice,
)  # fmt: skip


def odd_value(choices: Choices, *, cbor: bool = False) -> Any:
    """A value that programs get wrong. With `cbor`, also what JSON cannot say."""
    match choices.number(9 if cbor else 7):
        case 0:
            return choices.pick(ODD_NUMBERS)
        case 1:
            return choices.pick(ODD_TEXTS)
        case 2:
            return choices.pick((None, True, False, [], {}, [[]], {"": None}))
        case 3:
            return choices.pick(ODD_FLOATS)
        case 4:
            return choices.content(PIECE_BYTES).decode("utf-8", "replace")
        case 5:
            nested: Any = choices.pick((1, "a", None))
            for _ in range(choices.pick((1, 3, 8, 63, 64, 65, DEPTH))):
                nested = choices.pick(([nested], {"a": nested}))
            return nested
        case 6:
            return [choices.number(1000) for _ in choices.some(20)]
        case 7:
            return choices.content(PIECE_BYTES)
        case _:
            tag = choices.pick((2, 0, 1, 3, 4, 5, 24, 25, 28, 29, 30, 35, 37, 256, 258, 260, 999, 55799))
            return cbor2.CBORTag(tag, choices.pick((b"\xff" * 9, 1, "a", [1, 2], 0)))


def odd_like(choices: Choices, value: Any) -> Any:
    """An odd value of the same type, which gets past the first check."""
    match value:
        case bool():
            return not value
        case int():
            return choices.pick((value + 1, value - 1, -value, *ODD_NUMBERS))
        case float():
            return choices.pick(ODD_FLOATS)
        case str():
            return choices.pick((value[:-1], value + value, value + " ", value.upper(), *ODD_TEXTS))
        case bytes():
            return spoil(choices, value)
        case _:
            return odd_value(choices)


def odd_tree(choices: Choices, value: Any, *, cbor: bool = False) -> Any:
    """A copy of a tree of lists and dictionaries, with something in it changed. Decides at each step whether
    to change what it has come to or to go deeper."""
    if not isinstance(value, list | dict) or not value or choices.one_in(8):
        return odd_value(choices, cbor=cbor) if choices.one_in(3) else odd_like(choices, value)
    if isinstance(value, list):
        copy = list(value)
        place = choices.number(len(copy))
        match choices.number(8):
            case 5:
                copy.append(odd_value(choices, cbor=cbor))
            case 6:
                del copy[place]
            case 7:
                copy.insert(place, copy[choices.number(len(copy))])
            case _:
                copy[place] = odd_tree(choices, copy[place], cbor=cbor)
        return copy
    tree = dict(value)
    key = choices.pick(list(tree))
    match choices.number(8):
        case 5:
            tree[choices.pick(ODD_TEXTS)] = odd_value(choices, cbor=cbor)
        case 6:
            del tree[key]
        case 7:
            tree[choices.pick(list(tree))] = tree[key]
        case _:
            tree[key] = odd_tree(choices, tree[key], cbor=cbor)
    return tree
