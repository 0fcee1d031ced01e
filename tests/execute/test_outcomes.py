"""Tests of `outcomes`: what values and exceptions mean, whatever they are."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from hypothesis import given, strategies as st

from beaver_actors.core.job import JobError
from beaver_actors.core.outcome import Failed, Rejected, Snoozed, Succeeded
from beaver_actors.execute.context import Reject, Retry, Snooze
from beaver_actors.execute.outcomes import LIMITS, Limits, cut, describe, raised, returned
from tests.execute.hostile import HOSTILE, catch


@dataclasses.dataclass
class Size:
    width: int


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, b"0"),
        ("", b'""'),
        ([1, "a", None], b'[1,"a",null]'),
        ({"a": {"b": 1.5}}, b'{"a":{"b":1.5}}'),
        (Size(3), b'{"width":3}'),
        (2**100, str(2**100).encode()),
    ],
)
def test_a_returned_value_is_the_result(value: Any, text: bytes) -> None:
    """The result is kept as JSON text."""
    assert returned(value, LIMITS) == Succeeded(text)


def test_returning_nothing_is_a_success_without_a_result() -> None:
    """None is nothing, not the JSON null."""
    assert returned(None, LIMITS) == Succeeded(None)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "nan is not a JSON number"),
        ({"a": [None, math.inf]}, "inf is not a JSON number"),
        (Size(math.nan), "nan is not a JSON number"),  # type: ignore[arg-type]  # annotations do not bind
        (object(), "unsupported"),
        ("\udc80", "surrogates"),
        ({1: 2}, "expected text as key, got 1 (int)"),
        ([{"a": {1}}], "expected a list, got a set at [0].a"),
        (b"x", "expected text, got bytes"),
        ("x" * 2000, "it has 2002 bytes as JSON; 1000 are allowed"),
    ],
)
def test_a_value_that_is_no_result_is_rejected(value: Any, reason: str) -> None:
    """No retry can help; the error names the type and the reason."""
    outcome = returned(value, Limits(result_bytes=1000))
    assert isinstance(outcome, Rejected)
    assert outcome.error.type == "BadResult"
    assert f"the value returned ({type(value).__name__}) cannot be the job's result" in outcome.error.message
    assert reason in outcome.error.message


def names() -> set[str]:
    return {"a"}


def blobs() -> dict[int, bytes] | Snooze:
    return {1: b"x"}


def anything() -> Any:
    return {1: b"x"}


@pytest.mark.parametrize(("function", "text"), [(names, b'["a"]'), (blobs, b'{"1":"eA=="}')])
def test_what_the_annotation_brings_back_is_a_result(function: Callable[[], Any], text: bytes) -> None:
    """The caller reads it by the same annotation, and gets what was returned."""
    assert returned(function(), LIMITS, function) == Succeeded(text)


@pytest.mark.parametrize("function", [names, anything, lambda: None])
def test_what_no_annotation_brings_back_is_no_result(function: Callable[[], Any]) -> None:
    """Also where there is one, but of another kind."""
    outcome = returned({1: b"x"}, LIMITS, function)
    assert isinstance(outcome, Rejected)
    assert "expected text as key, got 1 (int)" in outcome.error.message


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_a_result_may_have_64_levels() -> None:
    """One more is refused: not every reader could follow. Width does not matter."""
    assert isinstance(returned(nested(64), LIMITS), Succeeded)
    assert isinstance(returned([[]] * 1000, LIMITS), Succeeded)
    for levels in (65, 900, 100_000):
        assert isinstance(returned(nested(levels), LIMITS), Rejected)


def test_a_forgotten_await_is_told() -> None:
    """A coroutine as result is closed, so that Python does not complain of it elsewhere."""

    async def forgotten() -> None: ...

    outcome = returned(forgotten(), LIMITS)
    assert isinstance(outcome, Rejected)
    assert "it is a coroutine" in outcome.error.message


def test_verdicts_may_be_raised_or_returned() -> None:
    """Retry with and without a time, Snooze, Reject."""
    for judge in (raised, returned):
        later = judge(Retry(in_="1m", message="busy"), LIMITS)
        assert isinstance(later, Failed)
        assert (later.error.type, later.error.message, later.retry_in_ms) == ("Retry", "busy", 60_000)
        own_time = judge(Retry(), LIMITS)
        assert isinstance(own_time, Failed)
        assert own_time.retry_in_ms is None
        assert judge(Snooze(in_=1.5), LIMITS) == Snoozed(1500)
        rejected = judge(Reject("no such user"), LIMITS)
        assert isinstance(rejected, Rejected)
        assert (rejected.error.type, rejected.error.message) == ("Reject", "no such user")


@pytest.mark.parametrize("duration", [0, "0s", "1ms", 0.999, 1, "1s"])
def test_a_snooze_lasts_a_second_at_least(duration: float | str) -> None:
    """It uses no attempt, so a shorter one would run the job for ever, as fast as the log can be written."""
    for judge in (raised, returned):
        assert judge(Snooze(in_=duration), LIMITS) == Snoozed(1000)


@pytest.mark.parametrize("duration", ["soon", -1, math.nan, math.inf, None])
def test_a_verdict_with_a_bad_duration_is_refused_where_it_is_made(duration: Any) -> None:
    """The user sees the line that is wrong."""
    with pytest.raises(ValueError, match="expected"):
        Snooze(in_=duration)


def test_a_verdict_raised_inside_a_nursery_is_still_a_verdict() -> None:
    """Groups of one, in each other, mean what is in them; a group of two is a failure."""
    group = ExceptionGroup("outer", [ExceptionGroup("inner", [Snooze(in_=1)])])
    assert raised(group, LIMITS) == Snoozed(1000)
    two = raised(ExceptionGroup("outer", [Snooze(in_=1), ValueError("x")]), LIMITS)
    assert isinstance(two, Failed)
    assert two.error.type == "ExceptionGroup"


def test_an_error_tells_its_type_message_and_place() -> None:
    """The traceback begins in user code and goes on to the cause."""

    def fail() -> NoReturn:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("outer") from error

    error = describe(catch(fail), LIMITS)
    assert (error.type, error.message) == ("ValueError", "outer")
    assert "KeyError: 'inner'" in error.traceback
    assert "direct cause" in error.traceback
    assert 'raise ValueError("outer") from error' in error.traceback


@pytest.mark.parametrize("fail", HOSTILE, ids=lambda fail: fail.__name__)
def test_every_exception_can_be_described(fail: Callable[[], object]) -> None:
    """Exceptions made to break whoever looks at them: all fail the attempt, all within the limits."""
    outcome = raised(catch(fail), LIMITS)
    assert isinstance(outcome, Failed)
    check_error(outcome.error)


def check_error(error: JobError) -> None:
    """Within the limits, and nothing a file or a wire cannot carry."""
    assert error.type
    assert len(error.message) <= LIMITS.error_message_chars
    assert len(error.traceback) <= LIMITS.traceback_chars
    assert all(text.encode() is not None for text in error)  # which raises for lone surrogates


def test_an_asyncio_cancellation_is_a_failure_like_any_other() -> None:
    """It is a BaseException, and means nothing here."""
    outcome = raised(asyncio.CancelledError(), LIMITS)
    assert isinstance(outcome, Failed)
    assert outcome.error.type == "CancelledError"


@given(text=st.text(st.characters(), max_size=300), chars_max=st.integers(0, 200))
def test_a_text_is_cut_in_the_middle(text: str, chars_max: int) -> None:
    """Head and tail stay, the length is kept; by random texts with lone surrogates."""
    short = cut(text, chars_max)
    clean = text.encode("utf-8", "replace").decode()
    if len(text) <= chars_max:
        assert short == clean
    else:
        assert len(short) <= chars_max
        if chars_max > 100:
            assert "characters left out" in short
            assert short[:1] == clean[:1]
            assert short[-1:] == clean[-1:]


def test_a_long_traceback_keeps_its_head_and_its_tail() -> None:
    """The limit holds, the beginning and the exception are there."""

    def fail() -> NoReturn:
        raise ValueError("y" * 50_000)

    error = describe(catch(fail), LIMITS)
    assert len(error.message) == LIMITS.error_message_chars
    assert len(error.traceback) == LIMITS.traceback_chars
    assert error.traceback.startswith("Traceback (most recent call last)")
    assert error.traceback.endswith("yyyy\n")
