"""What is wrong with a message, in words: where, what was expected, what came.

This file turns the findings of the JSON library into our texts, so that a client sees one style of error
whatever found the mistake. It decodes nothing.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import get_args

from beaver_actors.codec.wire import REQUESTS
from beaver_actors.codec.wire_choices import CHOICES
from beaver_actors.codec.wire_event_objects import EventFilter
from beaver_actors.codec.wire_job_objects import BackoffRule, NewJobObject
from beaver_actors.codec.wire_schedule_objects import NewScheduleObject, ScheduledJobObject
from beaver_actors.codec.wire_worker_objects import FailureObject, ProgressObject, ReportObject
from beaver_actors.core.answers import RefusalCode
from beaver_actors.core.durations import escaped


class WireError(Exception):
    """A message that cannot be understood or is not allowed; the connection lives on.

    Attributes:
        code: for the error reply.
        message: for people; names the field by its path.
        request_id: the request's `id`, None if it could not be read.
    """

    def __init__(self, code: RefusalCode, message: str, request_id: str | None = None) -> None:
        super().__init__(message)
        self.code: RefusalCode = code
        self.message = message
        self.request_id = request_id


_WORDS = {
    "str": "text", "int": "whole number", "float": "number", "bool": "true or false", "null": "null",
    "array": "list", "object": "object",
}  # fmt: skip
_PARTS = (
    NewJobObject, EventFilter, ReportObject, FailureObject, ProgressObject,
    NewScheduleObject, ScheduledJobObject,
)  # fmt: skip
_FIELDS = sorted(
    {name for message in (*REQUESTS, *_PARTS, *get_args(BackoffRule)) for name in message.__struct_fields__}
)
_PLACED = re.compile(r"(.*?)(?: - at `\$\.?(.*)`)?", re.DOTALL)
_MISTYPED = re.compile(r"Expected `(.*?)`(?:, got `(.*)`)?")
_MISSING = re.compile(r"Object missing required field `(.*)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISCHOSEN = re.compile(r"Invalid (?:enum )?value '(.*)'", re.DOTALL)


def explain(found: str) -> str:
    """msgspec's finding in our words: where, what was expected, what came."""
    placed = _PLACED.fullmatch(found)
    what, path = (placed[1], placed[2] or "") if placed else (found, "")
    if match := _MISSING.fullmatch(what):
        return f"{_below(path, match[1])}: required, but missing"
    if match := _UNKNOWN.fullmatch(what):
        return f"{_below(path, shorten(match[1]))}: unknown field{_hint(match[1])}"
    if match := _MISCHOSEN.fullmatch(what):
        return f'{path}: expected {_one_of(path)}; got "{shorten(match[1])}"'
    path = path or "the message"
    if match := _MISTYPED.fullmatch(what):
        expected = [_WORDS.get(name, name) for name in match[1].split(" | ")]
        if "number" in expected and "whole number" in expected:
            expected.remove("whole number")
        got = {"int": "number", "float": "number with a fraction"}.get(
            match[2], _WORDS.get(match[2], match[2])
        )
        return f"{path}: expected {' or '.join(expected)}" + (f", got {got}" if got else "")
    return f"{path}: {what[:1].lower()}{shorten(what[1:])}"


def _one_of(path: str) -> str:
    name = re.sub(r"(\[.*?\])+$", "", path).rpartition(".")[2]
    choices = CHOICES.get(name, ("another value",))
    return f"one of {', '.join(choices)}" if len(choices) > 2 else " or ".join(choices)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _hint(name: str) -> str:
    """What may have been meant. A name that is in its place elsewhere is no misspelling."""
    if len(name) > 50 or name in _FIELDS:
        return ""
    near = get_close_matches(name, _FIELDS, n=1)
    return f'; did you mean "{near[0]}"?' if near else ""


def shorten(text: str, chars: int = 60) -> str:
    """Cut what a stranger sent to a length that an error message can bear; no terminal obeys it."""
    return escaped(text) if len(text) <= chars else f"{escaped(text[:chars])}…"


def explain_malformed(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "the message: nested too deeply"
    if isinstance(error, UnicodeError):
        return "the message: expected UTF-8, got other bytes"
    found = str(error).removeprefix("JSON is malformed: ")
    return f"the message: expected JSON; {'it ends too early' if 'truncated' in found else found}"
