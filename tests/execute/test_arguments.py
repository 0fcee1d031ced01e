"""Tests of `Parameters`: calls to JSON and JSON to keyword arguments, with errors that name the argument."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
import pathlib
import threading
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given, strategies as st

from beaver_actors.execute.arguments import Parameters
from beaver_actors.execute.context import Context
from beaver_actors.execute.outcomes import BadArguments

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Size(msgspec.Struct):
    width: int


class Colour(enum.Enum):
    RED = "red"


def anything(value, other=None):  # type: ignore[no-untyped-def]  # a handler without annotations is the point
    ...


def typed(
    number: int,
    ratio: float,
    name: str,
    points: list[Point],
    size: Size | None = None,
    colour: Colour = Colour.RED,
    when: dt.datetime | None = None,
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5,
    mode: Literal["fast", "slow"] = "fast",
) -> None: ...


def rest(context: Context, first: int = 1, **others: str) -> None: ...


GOOD = {"number": 1, "ratio": 2, "name": "n", "points": [{"x": 1}]}


@given(value=JSON, other=JSON)
def test_any_json_value_comes_through_unchanged(value: Any, other: Any) -> None:
    """What is put into a call is what the function is called with; by random values."""
    parameters = Parameters(anything)
    text = parameters.encode((value,), {"other": other})
    assert json.loads(text) == {"value": value, "other": other}
    assert parameters.decode(text) == {"value": value, "other": other}


@given(values=st.dictionaries(st.text(min_size=1), JSON, max_size=5))
def test_a_function_with_open_arguments_takes_any_name(values: dict[str, Any]) -> None:
    """The way of `demo.echo`: whatever names are sent arrive; by random values."""

    def echo(**others: Any) -> None: ...

    parameters = Parameters(echo)
    assert parameters.decode(json.dumps(values).encode()) == values
    assert parameters.decode(parameters.encode((), values)) == values


@given(text=st.binary() | st.text().map(str.encode) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_arguments_or_a_clear_refusal(text: bytes) -> None:
    """No other exception than BadArguments, whatever is sent; by random bytes and random JSON."""
    for function in (anything, typed, rest):
        told: str | None = None
        try:
            assert isinstance(Parameters(function).decode(text), dict)
        except BadArguments as refusal:
            told = str(refusal)
        assert told is None or told.startswith(("argument", "the arguments are no JSON object"))


def test_arguments_become_what_the_annotations_say() -> None:
    """One of each sort of annotation."""
    sent = GOOD | {
        "size": {"width": 3},
        "colour": "red",
        "when": "2026-01-02T03:04:05Z",
        "share": 1,
        "mode": "slow",
    }
    assert Parameters(typed).decode(json.dumps(sent).encode()) == {
        "number": 1,
        "ratio": 2.0,
        "name": "n",
        "points": [Point(1, 0)],
        "size": Size(3),
        "colour": Colour.RED,
        "when": dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
        "share": 1.0,
        "mode": "slow",
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"number": "1"}, "argument 'number': expected int, got str"),
        ({"number": True}, "argument 'number': expected int, got bool"),
        ({"number": 1.5}, "argument 'number': expected int, got float"),
        ({"name": None}, "argument 'name': expected str, got null"),
        ({"points": [{"x": 1}, {"x": "1"}]}, "argument 'points[1].x': expected int, got str"),
        ({"points": [{}]}, "argument 'points[0]': object missing required field x"),
        ({"share": 1.5}, "argument 'share': expected float <= 1.0"),
        ({"mode": "tepid"}, "argument 'mode': invalid enum value 'tepid'"),
        ({"nunber": 1}, "argument 'nunber' is unknown; the function takes: number, ratio, name"),
    ],
)
def test_an_argument_that_does_not_fit_is_named(change: dict[str, Any], message: str) -> None:
    """The decoder says which, what was expected, and what came."""
    with pytest.raises(BadArguments) as refusal:
        Parameters(typed).decode(json.dumps(GOOD | change).encode())
    assert message in str(refusal.value)


def test_a_missing_argument_is_named() -> None:
    """Only those without a default can be missing."""
    with pytest.raises(BadArguments, match="argument 'number' is missing"):
        Parameters(typed).decode(b"{}")


@pytest.mark.parametrize(
    "text", [b"", b"[1]", b"3", b"{", b'{"value":1}x', b'{"value":NaN}', b"\xff", b'"\xff"']
)
def test_what_is_no_json_object_is_told_so(text: bytes) -> None:
    """Other JSON values, broken JSON, broken UTF-8."""
    with pytest.raises(BadArguments, match="the arguments are no JSON object"):
        Parameters(anything).decode(text)


def test_open_arguments_are_checked_too() -> None:
    """Their annotation holds for each; the Context's name cannot be one of them."""
    parameters = Parameters(rest)
    assert parameters.takes_context
    assert parameters.decode(b'{"first":2,"a":"b"}') == {"first": 2, "a": "b"}
    with pytest.raises(BadArguments, match="argument 'first': expected int, got str"):
        parameters.decode(b'{"first":"2"}')
    with pytest.raises(BadArguments, match=r"argument '\[...\]': expected str, got int"):
        parameters.decode(b'{"a":1}')
    with pytest.raises(BadArguments, match="argument 'context': this name is the Context's"):
        parameters.decode(b'{"context":"x"}')


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "nan is not a JSON number"),
        ([{"deep": [1.0, float("-inf")]}], "-inf is not a JSON number"),
        ("\ud800", "surrogates not allowed"),
        (object(), "unsupported"),
        ({(1, 2): 3}, "Only dicts with str-like or number-like keys"),
        (threading.Lock(), "unsupported"),
        ({1: "a"}, r"expected text as key, got 1 \(int\)$"),
        ([{"deep": {1}}], r"expected a list, got a set at \[0\]\.deep$"),
        (b"x", "expected text, got bytes$"),
    ],
)
def test_what_json_cannot_carry_is_refused_by_name(value: Any, reason: str) -> None:
    """Silent changes, such as NaN to null, are refused like what cannot be written at all."""
    with pytest.raises(TypeError, match=f"argument 'value' cannot be written as JSON: .*{reason}"):
        Parameters(anything).encode((value,), {})


def annotated(names: set[str], blob: bytes, by_number: dict[int, frozenset[int]], **others: Any) -> None:
    """Says what JSON cannot."""


def test_what_the_annotation_brings_back_is_written() -> None:
    """A set, bytes and numbers as keys, where the function says that it takes them; and only there."""
    parameters = Parameters(annotated)
    given = {"names": {"a", "b"}, "blob": bytearray(b"x"), "by_number": {7: frozenset({1})}}
    assert parameters.decode(parameters.encode((), given)) == given
    with pytest.raises(
        TypeError, match="argument 'more' cannot be written as JSON: expected text, got bytes"
    ):
        parameters.encode((), given | {"more": b"x"})


def listing(names: list[str]) -> None:
    """Takes a list."""


def test_a_set_is_no_list() -> None:
    """Its order would be anyone's guess."""
    with pytest.raises(TypeError, match=r"argument 'names' cannot be .*: expected a list, got a set"):
        Parameters(listing).encode(({"a", "b"},), {})


def test_a_value_that_contains_itself_is_refused() -> None:
    """An endless value has no JSON text."""
    endless: list[Any] = [None]
    endless.append(endless)
    with pytest.raises(TypeError, match=r"argument 'value' cannot be .* contains itself"):
        Parameters(anything).encode((endless,), {})


def test_a_call_that_the_function_would_refuse_is_refused_at_once() -> None:
    """The caller learns of it, not the worker much later."""
    with pytest.raises(TypeError, match="argument 'number': expected int, got str"):
        Parameters(typed).encode((), GOOD | {"number": "1"})
    with pytest.raises(TypeError, match="missing a required argument: 'ratio'"):
        Parameters(typed).encode((1,), {})
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        Parameters(anything).encode((1,), {"z": 1})


def positional_only(x: int, /) -> None: ...
def starred(*values: int) -> None: ...
def late_context(x: int, context: Context) -> None: ...
def unresolved(x: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821 that is the test
def a_path(x: pathlib.Path) -> None: ...
def inner_path(x: list[dict[str, pathlib.Path]]) -> None: ...
def a_function(x: Callable[[], None]) -> None: ...
def two_structs(x: Size | Point) -> None: ...


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (positional_only, "parameter 'x' is positional-only"),
        (starred, r"parameter '\*values' cannot be filled"),
        (late_context, "parameter 'context': a Context can only be the first parameter"),
        (unresolved, "parameter 'x': the annotation 'Nowhere' cannot be resolved"),
        (a_path, "parameter 'x': no JSON value becomes a Path"),
        (inner_path, "parameter 'x': no JSON value becomes a Path"),
        (a_function, "parameter 'x': no JSON value becomes a Callable"),
        (two_structs, "more than one"),
    ],
)
def test_a_parameter_that_json_cannot_fill_is_refused(function: Callable[..., Any], message: str) -> None:
    """Before the first job, by name."""
    with pytest.raises(TypeError, match=message):
        Parameters(function)


def test_any_and_object_take_everything() -> None:
    """Annotations that say nothing refuse nothing."""

    def function(x: Any, y: object) -> None: ...

    assert Parameters(function).decode(b'{"x":null,"y":[1]}') == {"x": None, "y": [1]}
