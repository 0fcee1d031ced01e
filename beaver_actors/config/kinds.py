"""The kinds of settings: how a value is read, what is said when it cannot be, how editors are told.

Each function makes the annotation of one field in `settings.py`. msgspec judges plain values; a kind with a
`read` of its own (a duration, a size, an address) judges for itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Meta

from beaver_actors.almanac.timing import check_timing
from beaver_actors.config.address import parse_address
from beaver_actors.config.queues import QUEUES_SHAPE, read_queues
from beaver_actors.config.units import (
    DURATION_PATTERN,
    SIZE_PATTERN,
    Several,
    format_duration,
    format_size,
    parse_size,
    show,
)
from beaver_actors.core.durations import parse_duration_ms


def whole(description: str, least: int, most: int) -> Meta:
    """A whole number in a range."""
    expected = f"a whole number from {least} to {most}"
    return Meta(description=description, ge=least, le=most, extra={"expected": expected})


def share(description: str, most: float) -> Meta:
    """A number from nothing to `most`."""
    expected = f"a number from 0 to {most:g}"
    return Meta(description=description, ge=0, le=most, extra={"expected": expected})


def flag(description: str) -> Meta:
    """True or false."""
    return Meta(description=description, extra={"expected": "true or false"})


def choice(description: str, *names: str) -> Meta:
    """One of a few words."""
    return Meta(description=description, extra={"expected": "one of " + ", ".join(names)})


def text(description: str, expected: str) -> Meta:
    """Free text; its form is part of the field's type."""
    return Meta(description=description, extra={"expected": expected, "text": True})


def listing(description: str, expected: str) -> Meta:
    """A list of texts; their form is part of the field's type."""
    return Meta(description=description, extra={"expected": expected})


def table(description: str) -> Meta:
    """Schedules by name. When they are due is judged here, what their jobs may have where jobs are known."""

    def read(value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError(f"expected schedules, each as `name: {{cron: …, kind: …}}`, got {show(value)}")
        problems: list[str] = []
        for name, fields in value.items():
            if not isinstance(name, str):
                problems.append(f"expected schedules by name, got {show(name)}")
                continue
            if not isinstance(fields, dict):
                problems.append(f"{name}: expected the fields of a schedule, got {show(fields)}")
                continue
            try:
                check_timing(fields.get("cron"), fields.get("every"), fields.get("tz"))
            except ValueError as error:
                problems.append(f"{name}.{error}")
        if problems:
            raise Several(problems)
        return value

    shape = {"type": ["object"], "additionalProperties": {"type": "object"}}
    return Meta(description=description, extra={"read": read, "shape": shape})


def rules(description: str) -> Meta:
    """Rules of queues by name."""

    def read(value: object) -> dict[str, Any]:
        read_queues(value)
        assert isinstance(value, dict)
        return value

    return Meta(description=description, extra={"read": read, "shape": QUEUES_SHAPE})


def address(description: str) -> Meta:
    """Where to listen, kept as text; `parse_address` takes it apart."""

    def read(value: object) -> str:
        parse_address(value)
        return str(value)

    return Meta(description=description, extra={"read": read, "text": True})


def duration(description: str, least: str = "0s") -> Meta:
    """A length of time, kept in whole milliseconds."""
    least_ms = parse_duration_ms(least)

    def read(value: object) -> int:
        if not isinstance(value, str | int | float):
            raise ValueError(f"expected a duration, got {show(value)}")
        duration_ms = parse_duration_ms(value)
        if duration_ms < least_ms:
            raise ValueError(f"expected at least {least}, got {show(value)}")
        return duration_ms

    shape = {"type": ["number", "string"], "minimum": least_ms / 1000, "pattern": DURATION_PATTERN}
    return _measured(description, read, format_duration, shape)


def size(description: str, least: str = "1B", most: str = "1TiB") -> Meta:
    """An amount of memory or disk, kept in whole bytes."""
    least_bytes, most_bytes = parse_size(least), parse_size(most)

    def read(value: object) -> int:
        size_bytes = parse_size(value)
        if not least_bytes <= size_bytes <= most_bytes:
            raise ValueError(f"expected from {least} to {most}, got {show(value)}")
        return size_bytes

    shape = {
        "type": ["integer", "string"],
        "minimum": least_bytes,
        "maximum": most_bytes,
        "pattern": SIZE_PATTERN,
    }
    return _measured(description, read, format_size, shape)


def _measured(
    description: str, read: Callable[[object], int], write: Callable[[int], str], shape: dict[str, Any]
) -> Meta:
    """A kind that is written otherwise than it is kept: `write` undoes `read`, `shape` is its JSON Schema."""
    return Meta(description=description, extra={"read": read, "write": write, "shape": shape})
