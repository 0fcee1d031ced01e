"""Facts that are younger than the golden directories: the bytes of each, for ever (P6)."""

from __future__ import annotations

import pytest

from beaver_actors.codec.fact_codec import decode_facts, encode_facts
from beaver_actors.core.facts import SCHEDULE_FACTS, Fact, ScheduleFired, ScheduleRemoved, ScheduleSet
from beaver_actors.core.job import Terms
from beaver_actors.core.schedule import Plan

AT = 1_764_000_000_000
NIGHTLY = Plan(Terms("report", "mail"), b'{"n":1}', "0 3 * * *", None, "Europe/Berlin", "all", "cancel_old")
LATER: list[tuple[Fact, str]] = [
    (
        ScheduleSet("nightly", AT, NIGHTLY, AT, True, "config"),
        "818711676e696768746c791b0000019ab697e800583f874d82667265706f7274646d61696c477b226e223a317d"
        "69302033202a202a202af66d4575726f70652f4265726c696e63616c6c6a63616e63656c5f6f6c641b0000019a"
        "b697e800f566636f6e666967",
    ),
    (
        ScheduleSet("beat", AT, Plan(Terms("demo.echo"), every_ms=60_000), AT),
        "81871164626561741b0000019ab697e80054844b816964656d6f2e6563686f427b7df619ea601b0000019ab697"
        "e800f46772657175657374",
    ),
    (
        ScheduleRemoved("beat", AT, "undeclared"),
        "81841264626561741b0000019ab697e8006a756e6465636c61726564",
    ),
    (
        ScheduleFired("nightly", AT, AT + 1, "nightly@x"),
        "818713676e696768746c791b0000019ab697e8001b0000019ab697e801696e696768746c794078f601",
    ),
    (
        ScheduleFired("nightly", AT, AT + 2, None, "missed", 7),
        "818713676e696768746c791b0000019ab697e8001b0000019ab697e802f6666d697373656407",
    ),
]


@pytest.mark.parametrize(("fact", "written"), LATER, ids=lambda value: str(value)[:40])
def test_what_is_written_has_not_changed(fact: Fact, written: str) -> None:
    """P6, by bytes: it is written so, and what was written so is read."""
    assert encode_facts([fact]).hex() == written
    (read,) = decode_facts(bytes.fromhex(written))
    assert (type(read), read) == (type(fact), fact)


def test_no_fact_of_schedules_is_left_out() -> None:
    """P6: by class."""
    assert {type(fact) for fact, _ in LATER} == set(SCHEDULE_FACTS)
