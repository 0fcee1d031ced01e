"""Arguments of the clients' methods: a mistake is told by the argument's name, with what was expected and
what came, before anything is sent.

Only kinds of values are looked at here, and what no server could allow. All else is the server's to say.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from beaver_actors.client.errors import refused
from beaver_actors.codec.wire_fields import ID_PATTERN

T = TypeVar("T")


def came(value: object) -> str:
    """What came, in few words."""
    if value is None or isinstance(value, bool | int | float):
        return f"{value!r:.60}"
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    name = type(value).__name__
    return f"{'an' if name[:1] in 'AEIOUaeiou' else 'a'} {name}"


def mistyped(name: str, expected: str, value: object) -> TypeError:
    """The error for an argument of another kind."""
    return TypeError(f"{name}: expected {expected}, got {came(value)}")


def text(name: str, value: str) -> str:
    """Returns the text; TypeError if it is none."""
    if not isinstance(value, str):
        raise mistyped(name, "text", value)
    return value


def text_or_none(name: str, value: str | None) -> str | None:
    """Returns the text; TypeError if it is none, and not None either."""
    return None if value is None else text(name, value)


def texts(name: str, values: Iterable[str]) -> tuple[str, ...]:
    """Returns the texts of a list; TypeError if it is none. A text alone is no list of its letters."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise mistyped(name, "a list of texts", values)
    if isinstance(values, Mapping):
        raise mistyped(name, "a list of texts", values)
    found = tuple(values)
    for place, value in enumerate(found):
        if not isinstance(value, str):
            raise mistyped(f"{name}[{place}]", "text", value)
    return found


def whole(name: str, value: int, least: int | None = None, most: int | None = None) -> int:
    """Returns the whole number; TypeError if it is none, ValueError if it is out of range."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise mistyped(name, "a whole number", value)
    if (least is not None and value < least) or (most is not None and value > most):
        span = f"{least} or more" if most is None else f"{least} to {most}"
        raise ValueError(f"{name}: expected {span}, got {came(value)}")
    return value


def seconds(name: str, value: float, *, zero: bool = True) -> float:
    """Returns the number of seconds; TypeError if it is no number, ValueError if it is below 0 or no time.

    Args:
        name: of the argument.
        value: what was given.
        zero: whether 0 will do.
    """
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise mistyped(name, "a number of seconds", value)
    if math.isnan(value) or value < 0 or (value == 0 and not zero):
        raise ValueError(
            f"{name}: expected {'0 seconds or more' if zero else 'more than 0 seconds'}, got {value}"
        )
    return value


def duration(name: str, value: float | str | timedelta) -> float | str:
    """Returns it as the wire has it; TypeError if it is none."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        raise mistyped(name, 'seconds, text such as "5m", or a timedelta', value)
    return value


def flag(name: str, value: bool) -> bool:
    """Returns it; TypeError if it is neither True nor False."""
    if not isinstance(value, bool):
        raise mistyped(name, "True or False", value)
    return value


def one_of(name: str, value: T, choices: Collection[T]) -> T:
    """Returns the word; TypeError if it is no text, ValueError if it is none of these."""
    if not isinstance(value, str):
        raise mistyped(name, "text", value)
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(map(str, choices))}; got {came(value)}")
    return value


def function_or_none(name: str, value: Callable[..., Any] | None) -> Callable[..., Any] | None:
    """Returns it; TypeError if it is neither a function nor None."""
    if value is not None and not callable(value):
        raise mistyped(name, "a function", value)
    return value


def functions(name: str, values: Sequence[T]) -> tuple[T, ...]:
    """Returns functions of a list; TypeError if they are something else."""
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        raise mistyped(name, "a list of functions", values)
    found = tuple(values)
    for place, value in enumerate(found):
        if not callable(value):
            raise mistyped(f"{name}[{place}]", "a function", value)
    return found


def checked_id(job_id: str, name: str = "job_id") -> str:
    """Returns the id.

    Raises:
        TypeError: it is no text.
        BadRequest: no job can have it.
    """
    if not re.fullmatch(ID_PATTERN, text(name, job_id)):
        expected = "1 to 200 printable ASCII characters without spaces"
        raise refused("bad_request", f"{name}: expected {expected}, got {job_id[:60]!r}")
    return job_id
