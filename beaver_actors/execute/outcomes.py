"""From what a handler returned or raised to an `Outcome`: results encoded, errors described and cut to size.

This file trusts nothing it is handed: exceptions may lie, loop, refuse to be printed, or be enormous. It runs
no handler.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple

from beaver_actors.codec.json_text import changed_by_writing, reads_the_same, write_json
from beaver_actors.core.job import JobError
from beaver_actors.core.outcome import Failed, Outcome, Rejected, Snoozed, Succeeded, TimedOut
from beaver_actors.execute.context import (
    SNOOZE_MS_MIN,
    Attempt,
    Cancelled,
    Context,
    Reject,
    Retry,
    Snooze,
    Verdict,
)
from beaver_actors.execute.results import is_read_back

NOTHING = Succeeded(None)

RUNNERS = frozenset(f"beaver_actors.execute.{name}" for name in ("run", "calling", "hooks", "process_child"))
"""Modules whose frames stand between Trio and the handler, and tell a user nothing."""

FRAMES_MAX = 100
"""Frames of a traceback that are formatted, the innermost ones: a runaway recursion has a thousand alike."""

CLASS_NAME_CHARS_MAX = 200


class Limits(NamedTuple):
    """How much of an outcome is kept."""

    result_bytes: int = 1_048_576
    error_message_chars: int = 10_000
    traceback_chars: int = 20_000


LIMITS = Limits()


class BadArguments(Exception):
    """The job's arguments do not fit its function; the message names the argument."""


def returned(value: object, limits: Limits, function: Callable[..., Any] | None = None) -> Outcome:
    """What a returned value means: a result, or a verdict that might as well have been raised.

    Args:
        value: returned by the handler.
        limits: for the outcome.
        function: the handler. Where its annotation says that it returns a set, say, the list that JSON has
            for it will be read as one.
    """
    if value is None:
        return NOTHING
    if isinstance(value, Verdict):
        return raised(value, limits)
    try:
        text = write_json(value)
    except (TypeError, ValueError) as reason:
        return _bad_result(value, str(reason), limits)
    if not reads_the_same(text, value) and (change := _change(value, text, function)) is not None:
        return _bad_result(value, change, limits)
    if len(text) > limits.result_bytes:
        return _bad_result(
            value, f"it has {len(text)} bytes as JSON; {limits.result_bytes} are allowed", limits
        )
    return Succeeded(text)


def _change(value: object, text: bytes, function: Callable[..., Any] | None) -> str | None:
    change = changed_by_writing(value)
    if change is None or (function is not None and is_read_back(function, text, value)):
        return None
    return change


def with_children(outcome: Outcome, context: Context | None) -> Outcome:
    """This outcome with the jobs that its handler has asked for, if it is a success."""
    if context is None or context.children is None or not isinstance(outcome, Succeeded):
        return outcome
    return Succeeded(outcome.result, tuple(context.children))


def raised(error: BaseException, limits: Limits) -> Outcome:
    """What an exception means. A group of exactly one exception means what that one means, because a Trio
    nursery wraps whatever its tasks raise."""
    try:
        return _meaning(error, limits)
    except BaseException:  # noqa: BLE001 an exception may lie about its class and attributes, or raise when asked
        return Failed(describe(error, limits))


def _meaning(error: BaseException, limits: Limits) -> Outcome:
    match _unwrapped(error):
        case Retry(in_ms=in_ms):
            return Failed(describe(error, limits), in_ms)
        case Snooze(in_ms=in_ms):
            return Snoozed(max(in_ms, SNOOZE_MS_MIN))
        case Reject():
            return Rejected(describe(error, limits))
        case BadArguments() as bad:
            return Rejected(JobError("BadArguments", cut(str(bad), limits.error_message_chars)))
        case _:
            return Failed(describe(error, limits))


def timed_out(attempt: Attempt, where: str) -> TimedOut:
    """The attempt was ended, or has ended itself, because its time was over. `where`: a traceback."""
    assert attempt.timeout_ms is not None, f"job {attempt.job_id}: ended by nobody, and without a timeout"
    message = f"the attempt ran longer than its timeout of {attempt.timeout_ms / 1000:g} s"
    return TimedOut(JobError("Timeout", message, where))


def describe(error: BaseException, limits: Limits) -> JobError:
    """Name, message and traceback of an exception, whatever it does to prevent that."""
    try:
        inner = _unwrapped(error)
        message = cut(_message(inner), limits.error_message_chars)
        if limits.traceback_chars == 0:  # to find and format one takes longer than everything else
            return JobError(_class_name(inner), message)
        lines = traceback.TracebackException(
            type(error), error, _user_part(error.__traceback__), limit=-FRAMES_MAX, compact=True
        )
        return JobError(_class_name(inner), message, cut("".join(lines.format()), limits.traceback_chars))
    except BaseException as worse:  # noqa: BLE001 an exception that cannot be described is still a failed attempt
        return JobError(_class_name(error), f"it cannot be described: doing so raised {_class_name(worse)}")


def cut(text: str, chars_max: int) -> str:
    """The text, its middle taken out if it is too long, and a question mark for what UTF-8 cannot carry."""
    if len(text) > chars_max:
        mark = f"\n[... {len(text) - chars_max} characters left out ...]\n"
        kept = max(0, chars_max - len(mark))
        text = f"{text[: kept - kept // 2]}{mark}{text[len(text) - kept // 2 :]}"[:chars_max]
    return text.encode("utf-8", "replace").decode("utf-8")


def _message(error: BaseException) -> str:
    if isinstance(error, Cancelled):
        return "the handler raised Cancelled although nobody had asked it to stop"
    try:
        text = str(error)
    except BaseException as worse:  # noqa: BLE001 str() runs user code
        return f"<no message: its __str__ raised {_class_name(worse)}>"
    # A subclass of str may bring methods of its own.
    return str.__str__(text)


def _class_name(error: BaseException) -> str:
    # Not `type(error).__name__`: a metaclass may have its own idea of that.
    name: str = type.__dict__["__name__"].__get__(type(error))
    return cut(name, CLASS_NAME_CHARS_MAX)


def _unwrapped(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _user_part(where: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame that is not ours."""
    while where is not None and where.tb_frame.f_globals.get("__name__") in RUNNERS:
        where = where.tb_next
    return where


def _bad_result(value: object, reason: str, limits: Limits) -> Rejected:
    if inspect.iscoroutine(value):
        value.close()
        reason = "it is a coroutine: the function wraps an `async def` without being one"
    message = f"the value returned ({type(value).__name__}) cannot be the job's result: {reason}"
    return Rejected(JobError("BadResult", cut(message, limits.error_message_chars)))
