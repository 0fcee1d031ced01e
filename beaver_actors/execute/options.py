"""The options of `App.job`, as people write them, to fields of `Terms`. This file alone knows the limits."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Sequence
from typing import Any

from beaver_actors.codec.wire_fields import (
    ATTEMPTS_MAX,
    DELAYS_MAX,
    PRIORITY_MAX,
    QUEUE_PATTERN,
    TAG_CHARS_MAX,
    TAGS_MAX,
)
from beaver_actors.core.durations import parse_duration_ms
from beaver_actors.core.job import Backoff


def read_options(
    queue: object,
    priority: object,
    max_attempts: object,
    timeout: object,
    backoff: object,
    retention: object,
    tags: object,
) -> dict[str, Any]:
    """The fields of `Terms` that were given: those that are not None. Their forms are told at `App.job`.

    Raises:
        ValueError: names the option, what was expected and what came.
    """
    options: dict[str, Any] = {}
    if queue is not None:
        if not isinstance(queue, str) or not re.fullmatch(QUEUE_PATTERN, queue):
            expected = 'a name of 1 to 128 letters, digits or any of "_.:-"'
            raise ValueError(f"queue: expected {expected}, got {shown(queue)}")
        options["queue"] = queue
    if priority is not None:
        options["priority"] = _whole("priority", priority, -PRIORITY_MAX, PRIORITY_MAX)
    if max_attempts is not None:
        options["max_attempts"] = _whole("max_attempts", max_attempts, 1, ATTEMPTS_MAX)
    if timeout is not None:
        options["timeout_ms"] = None if timeout == "none" else _positive_ms("timeout", timeout)
    if backoff is not None:
        options["backoff"] = _backoff(backoff)
    if retention is not None:
        options["retention_ms"] = _duration_ms("retention", retention)
    if tags is not None:
        options["tags"] = _tags(tags)
    return options


def _tags(value: object) -> tuple[str, ...]:
    if (
        not isinstance(value, Sequence)
        or isinstance(value, str)
        or len(value) > TAGS_MAX
        or not all(isinstance(tag, str) and 1 <= len(tag) <= TAG_CHARS_MAX for tag in value)
    ):
        expected = f"at most {TAGS_MAX} texts of 1 to {TAG_CHARS_MAX} characters"
        raise ValueError(f"tags: expected {expected}, got {shown(value)}")
    return tuple(value)


def _backoff(value: object) -> Backoff:
    if isinstance(value, Backoff):
        if value.kind == "list" and not value.delays_ms:
            raise ValueError("backoff: a list needs at least one delay")
        return value
    if isinstance(value, Sequence) and not isinstance(value, str):
        if not 1 <= len(value) <= DELAYS_MAX:
            raise ValueError(f"backoff: expected 1 to {DELAYS_MAX} delays, got {len(value)}")
        delays_ms = tuple(_duration_ms(f"backoff[{index}]", delay) for index, delay in enumerate(value))
        return Backoff("list", delays_ms=delays_ms, jitter=False)
    return Backoff("fixed", base_ms=_duration_ms("backoff", value), jitter=False)


def _whole(name: str, value: object, least: int, most: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    raise ValueError(f"{name}: expected a whole number from {least} to {most}, got {shown(value)}")


def _duration_ms(name: str, value: object) -> int:
    try:
        return parse_duration_ms(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _positive_ms(name: str, value: object) -> int:
    duration_ms = _duration_ms(name, value)
    if duration_ms == 0:
        raise ValueError(f'{name}: expected more than nothing ("none" means no limit), got {shown(value)}')
    return duration_ms


def shown(value: object) -> str:
    """A value that was not expected, for a message: never longer than a line."""
    return reprlib.repr(value)
