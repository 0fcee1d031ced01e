"""Time zones by their IANA names, and the instants of their wall clocks."""

from __future__ import annotations

import re
from datetime import datetime
from difflib import get_close_matches
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from beaver_actors.core.durations import shown

_NAME = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
NAME_CHARS_MAX = 64


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """The time zone of this name.

    Raises:
        ValueError: there is none, or the machine has no time zone database.
    """
    try:
        if len(name) > NAME_CHARS_MAX or not _NAME.fullmatch(name):
            raise ValueError
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):
        known = available_timezones()
        if not known:
            hint = "; this machine has no time zone database, the package tzdata brings one"
        else:
            near = get_close_matches(name[:NAME_CHARS_MAX], known, n=1)
            hint = f'; did you mean "{near[0]}"?' if near else ""
        raise ValueError(f"expected a time zone such as Europe/Berlin, got {shown(name)}{hint}") from None


def instant(where: ZoneInfo, wall: datetime) -> int:
    """When the wall clocks of a zone first show this time, in seconds UTC; for a time that they skip, when
    they go on after the gap.

    Args:
        wall: without a time zone.
    """
    at = round(wall.replace(tzinfo=where).timestamp())
    if datetime.fromtimestamp(at, where).replace(tzinfo=None) == wall:
        return at
    # In a gap the first reading (fold 0) is reckoned with the offset before it, and so lies after it.
    before = round(wall.replace(tzinfo=where, fold=1).timestamp())
    after, offset = at, datetime.fromtimestamp(at, where).utcoffset()
    while after - before > 1:
        middle = (before + after) // 2
        if datetime.fromtimestamp(middle, where).utcoffset() == offset:
            after = middle
        else:
            before = middle
    return after
