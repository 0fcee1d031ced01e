"""The schedule: what it asks for, and what has become of it.

When it is due is reckoned elsewhere (`almanac`), because that takes a time zone database; here times are
given. A nominal time is one that the timing names, however late it is acted upon.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from beaver_actors.core.job import Extras, OnConflict, Terms, Unique

CatchUp = Literal["none", "one", "all"]
CATCH_UP: tuple[CatchUp, ...] = ("none", "one", "all")
Overlap = Literal["allow", "skip", "cancel_old"]
OVERLAP: tuple[Overlap, ...] = ("allow", "skip", "cancel_old")
ScheduleSource = Literal["request", "code", "config"]
SCHEDULE_SOURCES: tuple[ScheduleSource, ...] = ("request", "code", "config")
"""Who says so: someone who asked, the app's code, or the configuration. What the last two say holds anew at
every start."""


class Plan(NamedTuple):
    """What a schedule asks for. Exactly one of `cron` and `every_ms` is given."""

    terms: Terms
    args: bytes = b"{}"
    cron: str | None = None
    """Five fields, or an alias such as `@daily`."""
    every_ms: int | None = None
    """An interval, counted from 1970."""
    tz: str = "UTC"
    """Whose wall clocks the expression is about."""
    catch_up: CatchUp = "one"
    """What becomes of times that passed while the server was not there."""
    overlap: Overlap = "allow"
    """What to do while the job of the fire before is not finished."""
    expires_in_ms: int | None = None
    """A job that still waits so long after it came has expired."""
    unique: Unique | None = None
    """The key that each of its jobs takes."""
    on_conflict: OnConflict = "reject"
    """If another job holds that key: no job comes, or, with `replace`, one that still waits makes way."""
    concurrency_key: str | None = None

    @property
    def timing(self) -> tuple[str | None, int | None, str]:
        return self.cron, self.every_ms, self.tz

    def extras(self, now_ms: int) -> Extras | None:
        """What a job that comes now asks for beside its terms."""
        expires_at_ms = None if self.expires_in_ms is None else now_ms + self.expires_in_ms
        extras = Extras(expires_at_ms, self.unique, concurrency_key=self.concurrency_key)
        return None if extras == Extras() else extras


@dataclass(slots=True, eq=True)
class Schedule:
    """One named schedule. Times are milliseconds UTC."""

    name: str
    plan: Plan
    paused: bool
    source: ScheduleSource
    created_ms: int
    revision: int
    """The LSN of its latest `ScheduleSet`."""
    through_ms: int
    """Every nominal time up to this one is dealt with. Those that it fires for are later."""
    fired: int = 0
    """Jobs that came of it."""
    skipped: int = 0
    """Nominal times of which no job came, each told by a `ScheduleFired` with its reason."""
    last_ms: int | None = None
    """The nominal time of its latest job; the time of asking, if that was asked for by hand."""
    last_job_id: str | None = None


def fire_id(schedule: str, nominal_ms: int) -> str:
    """The id of the job for this nominal time: the same however often it is asked for (P5)."""
    second, rest_ms = divmod(nominal_ms, 1000)
    days, second = divmod(second, 86_400)
    year, month, day = _date(days)
    rest = f".{rest_ms:03}" if rest_ms else ""
    clock = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    return f"{schedule}@{year:04}-{month:02}-{day:02}T{clock}{rest}Z"


def _date(days: int) -> tuple[int, int, int]:
    """Year, month and day so many days after 1970 began. Reckoned in years that begin in March, so that the
    leap day is the last one (H. Hinnant, "chrono-compatible low-level date algorithms", civil_from_days)."""
    era, day_of_era = divmod(days + 719_468, 146_097)
    year = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year + year // 4 - year // 100)
    month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month + 2) // 5 + 1
    month = month + 3 if month < 10 else month - 9
    return year + era * 400 + (month <= 2), month, day
