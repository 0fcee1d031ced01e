"""What few jobs ask for, as it stands on disk: `Extras` without its first field, which has a place of its own
since before the others were. Trailing fields that have their default are left out, so it can grow.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from beaver_actors.codec.ranges import Time
from beaver_actors.core.job import Extras, OnParentFailure, Unique, UniqueUntil


class UniqueRow(NamedTuple):
    """`Unique`, with its numbers in range."""

    key: str
    until: UniqueUntil = "finished"
    for_ms: Time | None = None


class MoreRow(NamedTuple):
    """`Extras` after `expires_at_ms`, field by field."""

    unique: UniqueRow | None = None
    depends_on: tuple[str, ...] = ()
    on_parent_failure: OnParentFailure = "cancel"
    concurrency_key: str | None = None
    enqueued_in: str | None = None


def contradiction(more: MoreRow | None) -> str | None:
    """What these ask for that no job can have; None if there is nothing."""
    unique = None if more is None else more.unique
    if unique is not None and unique.until == "window" and unique.for_ms is None:
        return "unique: a window without its length"
    if more is not None and len(set(more.depends_on)) < len(more.depends_on):
        return "depends_on: a parent that stands there twice"
    if more is not None and more.concurrency_key == "":
        return "concurrency_key: empty"
    return None


_DEFAULTS = tuple(MoreRow())


def more_values(extras: Extras | None) -> tuple[Any, ...] | None:
    """The values of a `MoreRow`, to the last field and as plain tuples inside; None if all have their
    default."""
    if extras is None or extras[1:] == _DEFAULTS:
        return None
    unique = extras.unique
    return (unique and unique[:], *extras[2:])


def trimmed(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """These values without the last ones that have their default."""
    end = len(values)
    while end and values[end - 1] == _DEFAULTS[end - 1]:
        end -= 1
    return values[:end]


def extras_from(expires_at_ms: int | None, more: MoreRow | None) -> Extras | None:
    """What was written; None if the job asks for nothing."""
    if more is None:
        return None if expires_at_ms is None else Extras(expires_at_ms)
    unique = None if more.unique is None else Unique(*more.unique)
    return Extras(
        expires_at_ms,
        unique,
        more.depends_on,
        more.on_parent_failure,
        more.concurrency_key,
        more.enqueued_in,
    )
