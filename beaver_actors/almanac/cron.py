"""Cron expressions: five fields or an alias, and the times at which one is due in a time zone.

The library reads the fields and says which days fit; the times are found here, because its own walk over the
clock leaves out times around changes of half an hour and at midnight. The rule for those changes is Debian's:

- if neither minute nor hour begins with `*`, each time named happens once a day: one that the clocks skip
  happens as soon as they go on, one that they show twice happens the first time;
- else the expression is held against the clock, minute by minute: what is not shown does not happen, what is
  shown twice happens twice.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from cronsim.cronsim import Field

from beaver_actors.almanac.zones import instant
from beaver_actors.core.durations import shown

CRON_CHARS_MAX = 200
YEARS_MAX = 50
"""An expression that fits no day of so many years never fires. 29 February on a given weekday comes within
40, over the year that is not a leap year."""

ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
FIELDS = (
    (Field.MINUTE, "minute", "0 to 59"),
    (Field.HOUR, "hour", "0 to 23"),
    (Field.DAY, "day of month", "1 to 31, L or LW"),
    (Field.MONTH, "month", "1 to 12 or JAN to DEC"),
    (Field.DOW, "day of week", "0 to 7 or SUN to SAT, such as 5L or MON#1"),
)
_MARGIN = 180
"""Minutes that are looked over at once. Clocks are not changed twice in so many, nor by more of them at once
unless a whole day is left out."""


@dataclass(frozen=True, slots=True)
class Cron:
    """An expression, read."""

    fixed: bool
    """Whether it names times of the day, instead of holding a pattern against the clock."""
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: frozenset[int]
    days: CronSim
    """Knows which days fit."""
    to_minute: tuple[int, ...]
    """For each minute of an hour, how far it is to the next one that fits, or to the next hour."""

    def next_date(self, day: date) -> date | None:
        """The first day that fits, this one or later; None if there is none for `YEARS_MAX` years."""
        try:
            last = day.year + YEARS_MAX
            while day.year <= last:
                if day.month not in self.months:
                    day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
                elif self.days.match_day(day):
                    return day
                else:
                    day += timedelta(days=1)
        except (OverflowError, ValueError):
            pass  # the end of the calendar
        return None


@lru_cache(maxsize=4096)
def parse_cron(text: str) -> Cron:
    """Read an expression.

    Raises:
        ValueError: names the field, what was expected and what came; or says that it never fires.
    """
    if len(text) > CRON_CHARS_MAX:
        raise ValueError(f"expected at most {CRON_CHARS_MAX} characters, got {len(text)}")
    words = text.lower()
    if words.startswith("@") and words not in ALIASES:
        raise ValueError(f"expected five fields or one of {', '.join(ALIASES)}, got {shown(text)}")
    parts = ALIASES.get(words, text).upper().split()
    if len(parts) != len(FIELDS):
        expected = "expected five fields: minute, hour, day of month, month, day of week"
        raise ValueError(f"{expected}; got {len(parts)} in {shown(text)}")
    for part, (field, name, values) in zip(parts, FIELDS, strict=True):
        try:
            field.parse(part)
        except (CronSimError, AssertionError, RecursionError, TypeError, ValueError):
            form = f"{values}, *, or lists, ranges and steps of these"
            raise ValueError(f"{name}: expected {form}, got {shown(part)}") from None
    fixed = not parts[0].startswith("*") and not parts[1].startswith("*")
    never = ValueError(f"expected a time that comes, got {shown(text)}, which never fires")
    try:
        days = CronSim(" ".join(parts), datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError:
        raise never from None
    minutes, hours = tuple(sorted(days.minutes)), tuple(sorted(days.hours))
    ahead = tuple(min((m for m in minutes if m > minute), default=60) - minute for minute in range(60))
    cron = Cron(fixed, minutes, hours, frozenset(days.months), days, ahead)
    if cron.next_date(date(2000, 1, 1)) is None:
        raise never
    return cron


def cron_times(cron: Cron, where: ZoneInfo, after_ms: int) -> Iterator[int]:
    """All times after this one, milliseconds UTC, in order; it ends with the calendar."""
    walk = _named_times if cron.fixed else _matching_minutes
    try:
        for at in walk(cron, where, after_ms // 1000):
            yield at * 1000
    except (OverflowError, ValueError):
        return  # the end of the calendar


def _named_times(cron: Cron, where: ZoneInfo, after: int) -> Iterator[int]:
    """Seconds UTC of times of the day, each once a day that fits."""
    times = [time(hour, minute) for hour in cron.hours for minute in cron.minutes]
    # Clocks that skip a whole day take what was due then to the next one.
    since = datetime.fromtimestamp(after, where).date() - timedelta(days=1)
    while (day := cron.next_date(since)) is not None:

        def at(number: int, today: date = day) -> int:
            return instant(where, datetime.combine(today, times[number]))

        # They come in the order of the clock, whatever it does.
        for number in range(bisect_right(range(len(times)), after, key=at), len(times)):
            found = at(number)
            if found > after:
                after = found
                yield found
        since = day + timedelta(days=1)


def _matching_minutes(cron: Cron, where: ZoneInfo, after: int) -> Iterator[int]:
    """Seconds UTC of minutes at which the clock shows what fits."""
    hours, minutes = frozenset(cron.hours), frozenset(cron.minutes)
    minute = after // 60 + 1
    while True:
        local = datetime.fromtimestamp(minute * 60, where)
        today = local.date()
        day = cron.next_date(today)
        if day is None:
            return
        if day != today:
            begins = instant(where, datetime.combine(day, time())) // 60
            ahead = begins - _MARGIN - minute
            if ahead <= 0 or _offset(where, minute + _MARGIN) != local.utcoffset():
                ahead = _to(where, minute, local, 60 - local.minute)
        elif local.hour not in hours:
            later = next((hour for hour in cron.hours if hour > local.hour), 24)
            ahead = _to(where, minute, local, (later - local.hour) * 60 - local.minute)
        elif local.minute not in minutes or local.second:
            ahead = _to(where, minute, local, cron.to_minute[local.minute])
        else:
            yield minute * 60
            ahead = _to(where, minute, local, cron.to_minute[local.minute])
        minute += ahead


def _to(where: ZoneInfo, minute: int, local: datetime, ahead: int) -> int:
    """So many minutes ahead, or one if the clocks are changed on the way."""
    ahead = min(ahead, _MARGIN)
    return ahead if _offset(where, minute + ahead) == local.utcoffset() else 1


def _offset(where: ZoneInfo, minute: int) -> timedelta | None:
    return datetime.fromtimestamp(minute * 60, where).utcoffset()
