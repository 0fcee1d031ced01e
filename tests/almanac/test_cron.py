"""Cron expressions: when they are due, against an oracle that walks over the clock minute by minute."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings, strategies as st

from beaver_actors.almanac.cron import Cron, cron_times, parse_cron
from beaver_actors.almanac.zones import instant, zone

ZONES = (
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Beirut",
    "America/Havana", "Pacific/Apia", "Africa/Cairo", "Asia/Kathmandu", "Antarctica/Troll",
    "America/St_Johns", "Africa/Casablanca", "Pacific/Chatham", "America/Nuuk", "Asia/Gaza", "UTC",
)  # fmt: skip
"""Changes of half an hour, of two hours, of a whole day, at midnight and a minute after it, for Ramadan; and
offsets of three quarters of an hour."""


def changes(name: str) -> list[int]:
    """Hours, in seconds UTC, in which the clocks of a zone are changed, from 2000 to 2036."""
    where, found, before = ZoneInfo(name), [], None
    # Steps of half a day find the change, and then the hour is looked for.
    step = 43_200
    for at in range(946_684_800, 2_082_758_400, step):
        offset = datetime.fromtimestamp(at, where).utcoffset()
        if before not in (None, offset):
            hours = range(at - step, at + 1, 3600)
            hour = next(h for h in hours if datetime.fromtimestamp(h, where).utcoffset() == offset)
            found.append(hour)
        before = offset
    return found or [1_700_000_000]


CHANGES: dict[str, list[int]] = {}


def shows(cron: Cron, wall: datetime) -> bool:
    """Whether the expression fits what a clock shows."""
    return (
        wall.minute in cron.minutes
        and wall.hour in cron.hours
        and wall.month in cron.months
        and cron.days.match_day(wall.date())
    )


def oracle(cron: Cron, where: ZoneInfo, start: int, end: int) -> list[int]:
    """Minute by minute: what the clock shows now; or, for times of the day, whatever it shows for the first
    time, what it skips included."""
    found = []
    if not cron.fixed:
        minutes = range(start // 60 + 1, end // 60 + 1)
        return [at * 60 for at in minutes if shows(cron, datetime.fromtimestamp(at * 60, where))]
    latest = datetime.fromtimestamp(start - 2 * 86_400, where).replace(tzinfo=None)
    for minute in range(start // 60 - 2 * 1440 + 1, end // 60 + 1):
        wall = datetime.fromtimestamp(minute * 60, where).replace(tzinfo=None)
        fits = False
        while latest < wall:
            latest += timedelta(minutes=1)
            fits = fits or shows(cron, latest)
        if fits and minute * 60 > start:
            found.append(minute * 60)
    return found


def fields(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    spans = st.tuples(number, number).map(lambda ends: f"{min(ends)}-{max(ends)}")
    lists = st.lists(number.map(str), min_size=2, max_size=3).map(",".join)
    return st.sampled_from(["*", "*/2", "*/7", "*/15", "*/20"]) | number.map(str) | spans | lists


NEAR = st.sampled_from(["0", "1", "2", "3", "23", "0-3", "*/2", "*", "0,2,23"])
EXPRESSIONS = st.tuples(
    fields(0, 59),
    NEAR | fields(0, 23),
    st.just("*") | fields(1, 28),
    st.just("*"),
    st.just("*") | fields(0, 6),
).map(" ".join)


@given(st.data(), st.sampled_from(ZONES), EXPRESSIONS, st.integers(0, 40), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_an_expression_is_due_when_the_clocks_say_so(
    data: st.DataObject, name: str, text: str, before_hours: int, after_hours: int
) -> None:
    """Both changes of summer time, by property: around any change of any clock, the times are those of the
    slow walk, wherever one begins."""
    if name not in CHANGES:
        CHANGES[name] = changes(name)
    middle = data.draw(st.sampled_from(CHANGES[name]), label="change")
    start, end = middle - before_hours * 3600 + data.draw(st.integers(0, 3599)), middle + after_hours * 3600
    cron, where = parse_cron(text), zone(name)
    walk = cron_times(cron, where, start * 1000 + 999)
    assert [at // 1000 for at in takewhile(lambda at: at <= end * 1000, walk)] == oracle(
        cron, where, start, end
    )


def local(text: str, name: str, start: str, many: int) -> list[str]:
    """The next times of an expression after a moment in UTC, by the clocks of the zone."""
    begin = round(datetime.fromisoformat(start).replace(tzinfo=UTC).timestamp() * 1000)
    found = islice(cron_times(parse_cron(text), zone(name), begin), many)
    return [f"{datetime.fromtimestamp(at / 1000, zone(name)):%d %H:%M %z}" for at in found]


def test_a_time_that_the_clocks_skip_happens_when_they_go_on() -> None:
    """By example: 02:30 does not exist on that day in Berlin."""
    assert local("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00", 3) == [
        "28 02:30 +0100", "29 03:00 +0200", "30 02:30 +0200",
    ]  # fmt: skip


def test_a_time_that_the_clocks_show_twice_happens_once() -> None:
    """By example: the first 02:30 of that night, and not the second."""
    assert local("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", 2) == ["25 02:30 +0200", "26 02:30 +0100"]


def test_every_half_hour_goes_by_the_clock() -> None:
    """By example: twice in the hour that comes twice, and not at all in the one that is left out."""
    assert local("*/30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", 4) == [
        "25 02:00 +0200", "25 02:30 +0200", "25 02:00 +0100", "25 02:30 +0100",
    ]  # fmt: skip
    assert local("*/30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", 1) == ["30 02:00 +0200"]


def test_a_day_that_is_left_out_is_made_up_for_at_the_next() -> None:
    """By example: Samoa had no 30 December 2011."""
    assert local("0 9 30 12 *", "Pacific/Apia", "2011-12-29T00:00", 2)[0] == "31 00:00 +1400"


def test_a_change_of_half_an_hour_leaves_nothing_out() -> None:
    """By example: Lord Howe Island goes from 02:00 to 02:30."""
    assert local("*/10 3 * * *", "Australia/Lord_Howe", "2026-10-03T12:00", 3) == [
        "04 03:00 +1100", "04 03:10 +1100", "04 03:20 +1100",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("alias", "text"),
    [("@hourly", "0 * * * *"), ("@DAILY", "0 0 * * *"), ("@weekly", "0 0 * * 0"), ("@yearly", "0 0 1 1 *")],
)
def test_an_alias_is_what_it_stands_for(alias: str, text: str) -> None:
    """By example."""
    one, other = (list(islice(cron_times(parse_cron(t), zone("UTC"), 0), 3)) for t in (alias, text))
    assert one == other


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("61 * * * *", 'minute: expected 0 to 59, *, or lists, ranges and steps of these, got "61"'),
        ("* 5-2 * * *", 'hour: expected 0 to 23, *, or lists, ranges and steps of these, got "5-2"'),
        ("* * 0 * *", 'day of month: expected 1 to 31, L or LW'),
        ("* * * FOO *", 'month: expected 1 to 12 or JAN to DEC'),
        ("* * * * MON#9", 'day of week: expected 0 to 7 or SUN to SAT'),
        ("*/0 * * * *", "minute: expected"),
        ("* * * *", "expected five fields: minute, hour, day of month, month, day of week; got 4"),
        ("0 * * * * *", "got 6"),
        ("@reboot", "expected five fields or one of @yearly"),
        ("0 0 31 2 *", 'expected a time that comes, got "0 0 31 2 *", which never fires'),
        ("* * 30 2 *", "which never fires"),
        ("* " * 200, "expected at most 200 characters, got 400"),
        ("", "got 0"),
    ],
)  # fmt: skip
def test_an_expression_that_is_wrong_or_never_fires_is_refused(text: str, message: str) -> None:
    """By example: the field, what was expected and what came."""
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_cron(text)


def test_a_rare_day_is_found() -> None:
    """At the boundary: 29 February on a Monday, which comes every 28 years, and over 2100 later still."""
    at = next(iter(cron_times(parse_cron("0 0 29 2 */7"), zone("UTC"), 1_700_000_000_000)))
    moment = datetime.fromtimestamp(at / 1000, UTC)
    assert (moment.month, moment.day) == (2, 29)
    assert moment.isoweekday() == 7


def test_the_end_of_the_calendar_is_an_end() -> None:
    """At the boundary: no time after the year 9999, and no error."""
    last = 253_402_300_000_000
    for text in ("* * * * *", "0 0 1 1 *", "0 0 29 2 *"):
        for name in ("UTC", "Pacific/Apia", "America/New_York"):
            assert len(list(cron_times(parse_cron(text), zone(name), last))) <= 20


@pytest.mark.parametrize(
    "name", ["", "Nowhere/Atlantis", "../etc/passwd", "/etc/passwd", "Europe", "x" * 1000, "\0"]
)
def test_an_unknown_zone_is_refused(name: str) -> None:
    """By example: names that are none, or would lead out of the database."""
    with pytest.raises(ValueError, match="expected a time zone such as Europe/Berlin, got"):
        zone(name)


def test_a_zone_that_is_mistyped_is_guessed() -> None:
    with pytest.raises(ValueError, match='did you mean "Europe/Berlin"'):
        zone("Europe/Berln")


@given(st.sampled_from(ZONES), st.integers(0, 36 * 365 * 86_400))
def test_the_first_instant_of_a_wall_time_shows_it_or_what_follows_the_gap(name: str, second: int) -> None:
    """By property: nothing earlier shows it or anything later."""
    wall = datetime.fromisoformat("2000-01-01") + timedelta(seconds=second)
    where = zone(name)
    at = instant(where, wall)
    assert datetime.fromtimestamp(at, where).replace(tzinfo=None) >= wall
    assert datetime.fromtimestamp(at - 1, where).replace(tzinfo=None) < wall
