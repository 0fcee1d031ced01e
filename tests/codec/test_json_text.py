"""Values that JSON cannot say, and numbers that a reader cannot hold."""

from __future__ import annotations

import json
from collections import OrderedDict
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, strategies as st

from beaver_actors.codec.json_text import encode_json, tame_numbers
from beaver_actors.codec.wire_cbor import cbor_from_json, json_from_cbor, readable_cbor_from_json
from beaver_actors.codec.wire_checks import check_object
from beaver_actors.codec.wire_errors import WireError


@pytest.mark.parametrize(
    ("text", "tamed"),
    [
        ("1e999", '"1e999"'),
        ('{"a":[-1E+400,2.5]}', '{"a":["-1E+400",2.5]}'),
        ("9" * 400 + ".5", '"' + "9" * 400 + '.5"'),
        ("7" * 5000, '"' + "7" * 5000 + '"'),
        ("1.7e308", "1.7e308"),
        ("1e-999", "1e-999"),
        ("9" * 300, "9" * 300),
        (r'{"1e999":"1e999 \" 1e999","b":1e999}', r'{"1e999":"1e999 \" 1e999","b":"1e999"}'),
        (r'["\\",1e999,"\\\"1e999"]', r'["\\","1e999","\\\"1e999"]'),
    ],
)
def test_only_a_number_beyond_a_double_becomes_text(text: str, tamed: str) -> None:
    """By example: digit for digit, and nothing within strings is touched."""
    assert tame_numbers(text.encode()) == tamed.encode()
    msgspec.json.decode(tamed)


@pytest.mark.parametrize(
    ("number", "is_held"),
    [(2**64 - 1, True), (2**64, False), (-(2**63), True), (-(2**63) - 1, False), (10**30, False)],
)
def test_a_whole_number_beyond_64_bits_is_text_in_cbor(number: int, is_held: bool) -> None:
    """By example: a message that its reader would refuse is not written."""
    message = b'{"args":{"n":%d}}' % number
    assert json.loads(json_from_cbor(readable_cbor_from_json(message))) == {
        "args": {"n": number if is_held else str(number)}
    }


def test_a_number_beyond_a_double_is_text_in_cbor() -> None:
    """By example: nothing that a job holds can end a session."""
    assert json.loads(json_from_cbor(readable_cbor_from_json(b'{"a":[1e999,1e9]}'))) == {"a": ["1e999", 1e9]}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
)


@given(json_values, st.booleans())
def test_text_that_can_be_read_is_left_alone(value: Any, ascii_only: bool) -> None:
    """By random values, as two encoders write them."""
    text = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert tame_numbers(text) == text


@given(st.binary())
def test_any_bytes_come_back(data: bytes) -> None:
    """By random bytes: what is no JSON is returned, in whatever form, and nothing is raised."""
    assert tame_numbers(data + b"1e999").replace(b'"', b"") == (data + b"1e999").replace(b'"', b"")


@pytest.mark.parametrize("value", [[None, 1e308], {"a": [None] * 100}, "null", [[]] * 100, {"a": None}])
def test_what_only_looks_like_a_loss_is_written(value: Any) -> None:
    """By example: nulls and many brackets alone are no fault."""
    assert msgspec.json.decode(encode_json(value)) == value


@pytest.mark.parametrize(
    ("value", "error", "reason"),
    [
        ([None, float("nan")], ValueError, "nan is not a JSON number"),
        ({"a": {"b": float("-inf")}}, ValueError, "-inf is not a JSON number"),
        ("\ud800", ValueError, "surrogates not allowed"),
        (json.loads("[" * 65 + "]" * 65), ValueError, "more than 64 levels"),
        ({"a": json.loads("[" * 64 + "1" + "]" * 64)}, ValueError, "more than 64 levels"),
        (object(), TypeError, "object is unsupported"),
        ({(1, 2): 3}, TypeError, "str"),
        ({1: 2}, TypeError, r"^expected text as key, got 1 \(int\)$"),
        ({"a": [{"b": {7: 1}}]}, TypeError, r"^expected text as key, got 7 .* at a\[0\]\.b$"),
        ([1, {"a": {3}}], TypeError, r"^expected a list, got a set at \[1\]\.a$"),
        (frozenset("a"), TypeError, "^expected a list, got a frozenset$"),
        ({"a": (b"x",)}, TypeError, r"^expected text, got bytes at a\[0\]$"),
        (bytearray(b"x"), TypeError, "^expected text, got bytearray$"),
        (OrderedDict({"a": memoryview(b"x")}), TypeError, "^expected text, got memoryview at a$"),
    ],
)
def test_what_json_cannot_carry_is_refused(value: Any, error: type[Exception], reason: str) -> None:
    """By example: with the reason, and never written as something else."""
    with pytest.raises(error, match=reason):
        encode_json(value)


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ({Colour.RED: Colour.RED}, {"red": "red"}),
        ((1, (2.5, "x")), [1, [2.5, "x"]]),
        ({"at": datetime(2026, 1, 1, tzinfo=UTC)}, {"at": "2026-01-01T00:00:00Z"}),
        (OrderedDict({"a": [True, None]}), {"a": [True, None]}),
        ([Decimal("1.50"), UUID(int=1)], ["1.50", "00000000-0000-0000-0000-000000000001"]),
    ],
)
def test_what_has_a_customary_form_is_written_in_it(value: Any, read: Any) -> None:
    """By example: text of other classes, tuples, times and exact numbers, as the documents say."""
    assert msgspec.json.decode(encode_json(value)) == read


strangers = st.sets(st.integers()) | st.binary() | st.dictionaries(st.integers(), st.none(), min_size=1)


@given(
    st.recursive(
        json_values.map(lambda value: (value, False)) | strangers.map(lambda value: (value, True)),
        lambda inner: (
            st.lists(inner, max_size=4).map(
                lambda parts: ([part for part, _ in parts], any(strange for _, strange in parts))
            )
            | st.dictionaries(st.text(), inner, max_size=4).map(
                lambda parts: (
                    {name: part for name, (part, _) in parts.items()},
                    any(strange for _, strange in parts.values()),
                )
            )
        ),
        max_leaves=8,
    )
)
def test_a_value_is_written_as_it_is_or_not_at_all(case: tuple[Any, bool]) -> None:
    """By random values with sets, bytes and other keys somewhere in them."""
    value, strange = case
    if strange:
        with pytest.raises(TypeError, match=r"expected .*, got"):
            encode_json(value)
    else:
        assert msgspec.json.decode(encode_json(value)) == value


def test_as_many_levels_as_every_reader_can_follow_are_written() -> None:
    """By example: the deepest that is allowed, empty and not; the server takes just as much."""
    for innermost in ("", "1", "null"):
        deepest = {"a": json.loads("[" * 63 + innermost + "]" * 63)}
        text = encode_json(deepest)
        assert msgspec.json.decode(text) == deepest
        check_object(text, "args")


@pytest.mark.parametrize(
    "within", ['{"job":{"args":%s}}', '{"jobs":[{"result":%s}]}', '{"events":[{"args":%s}]}']
)
def test_the_deepest_arguments_and_results_can_be_shown_in_cbor(within: str) -> None:
    """By example: as many levels as a job may have, and those that a message puts around them."""
    deep = '{"a":' * 63 + "[]" + "}" * 63
    check_object(deep.encode(), "args")
    message = (within % deep).encode()
    assert json_from_cbor(readable_cbor_from_json(message)) == message


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**40])
def test_a_request_with_a_number_that_only_json_can_carry_is_not_made_cbor(number: int) -> None:
    """P6, at the edges of 64 bits: a reader could say neither what is wrong nor whose request it was."""
    with pytest.raises(WireError, match="numbers of at most 64 bits"):
        cbor_from_json(b'{"id":"1","args":{"n":%d}}' % number)
    assert json_from_cbor(cbor_from_json(b"[%d,%d]" % (2**63 - 1, -(2**63)))) == b"[%d,%d]" % (
        2**63 - 1,
        -(2**63),
    )
