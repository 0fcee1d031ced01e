"""Schedules as asked for and as shown: what each field means, and what none may have."""

from __future__ import annotations

import json
from typing import Any

import pytest

from beaver_actors.codec.ids import JobIds
from beaver_actors.codec.wire_decode import Limits, decode_request, read
from beaver_actors.codec.wire_errors import WireError
from beaver_actors.codec.wire_jobs import Defaults
from beaver_actors.codec.wire_schedule_messages import ScheduleRequest, SchedulesRequest
from beaver_actors.codec.wire_schedule_objects import ScheduleObject
from beaver_actors.codec.wire_schedules import (
    NextTimes,
    read_schedule,
    schedule_object,
    schedules_ok,
    to_schedule_command,
)
from beaver_actors.core.answers import Schedules
from beaver_actors.core.commands import Fire, ListSchedules, PauseSchedule, SetSchedule, TriggerSchedule
from beaver_actors.core.job import Terms, Unique
from beaver_actors.core.schedule import Plan
from beaver_actors.testing.playbook import NOON_MS, Playbook

IDS = JobIds(lambda: NOON_MS, lambda bits: 7)
GOOD: dict[str, Any] = {"name": "s", "every": "5m", "job": {"kind": "k"}}


def command(kind: str, **fields: Any) -> Any:
    request = decode_request(json.dumps({"type": kind, "id": "7", **fields}), Limits())
    assert isinstance(request, ScheduleRequest)
    return to_schedule_command(request, NOON_MS, IDS, Limits(), Defaults(max_attempts=3))


def test_a_schedule_becomes_a_plan() -> None:
    """By example: the defaults of the server hold for its jobs."""
    job = {"kind": "k", "queue": "q", "args": {"a": 1}, "timeout": None, "tags": ["t"]}
    schedule = {"name": "s", "cron": "@daily", "tz": "Europe/Berlin", "job": job, "overlap": "skip"}
    terms = Terms("k", "q", max_attempts=3, timeout_ms=None, tags=("t",))
    plan = Plan(terms, b'{"a": 1}', "@daily", None, "Europe/Berlin", "one", "skip")
    assert command("set_schedule", schedule=schedule) == SetSchedule("s", plan, NOON_MS)
    own = {"expires_in": "1h", "unique_key": "u", "unique_until": "window", "unique_for": 60}
    own |= {"on_conflict": "replace", "concurrency_key": "c"}
    plan = Plan(Terms("k", max_attempts=3), every_ms=300_000)
    unique = Unique("u", "window", 60_000)
    asked = plan._replace(expires_in_ms=3_600_000, unique=unique, on_conflict="replace", concurrency_key="c")
    assert command("set_schedule", schedule={**GOOD, "job": {"kind": "k", **own}}).plan == asked
    book = Playbook()
    book.do(SetSchedule("s", asked, NOON_MS))
    answer = book.do(ListSchedules("s"))
    assert isinstance(answer, Schedules)
    job_shown = schedule_object(answer.schedules[0], []).job
    shown = {name: getattr(job_shown, name) for name in own}
    assert shown == {**own, "expires_in": 3600}
    assert command("set_schedule", schedule={**GOOD, "paused": True}) == SetSchedule("s", plan, NOON_MS, True)


def test_a_job_out_of_turn_has_an_id_from_the_start() -> None:
    """P5: the client's, or one that is made here."""
    assert command("trigger_schedule", name="s", job_id="mine") == TriggerSchedule("s", "mine")
    assert len(command("trigger_schedule", name="s").job_id) == 36


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"name": "a b"},
            'schedule.name: expected 1 to 100 of the characters A-Z a-z 0-9 _ . : -, got "a b"',
        ),
        ({"every": None}, "schedule.cron: expected cron or every, got neither"),
        ({"cron": "@daily"}, "schedule.cron: expected cron or every, got both"),
        ({"every": None, "cron": "61 * * * *"}, "schedule.cron: minute: expected 0 to 59"),
        ({"every": None, "cron": "0 0 31 2 *"}, "which never fires"),
        ({"tz": "UTC"}, "schedule.tz: expected none with every"),
        ({"every": "1ms"}, "schedule.every: expected 1 s to 366 d"),
        ({"catch_up": "perhaps"}, 'schedule.catch_up: expected none, one or all, got "perhaps"'),
        ({"overlap": "perhaps"}, 'schedule.overlap: expected allow, skip or cancel_old, got "perhaps"'),
        ({"job": {"kind": "a b"}}, "schedule.job.kind: expected 1 to 200"),
        ({"job": {"kind": "k", "args": [1]}}, "schedule.job.args: expected object, got list"),
        ({"job": {"kind": "k", "timeout": 0}}, "schedule.job.timeout: expected more than 0"),
        ({"job": {"kind": "k", "delay": 1}}, "schedule.job.delay: unknown field"),
        ({"job": {"kind": "k", "expires_at": "x"}}, "schedule.job.expires_at: unknown field"),
        ({"job": {"kind": "k", "expires_in": 0}}, "schedule.job.expires_in: expected more than 0, got 0"),
        (
            {"job": {"kind": "k", "unique_until": "started"}},
            "schedule.job.unique_until: expected a unique_key",
        ),
        ({"job": {"kind": "k", "unique_key": ""}}, "schedule.job.unique_key: expected 1 to 200"),
        ({"job": {"kind": "k", "concurrency_key": ""}}, "schedule.job.concurrency_key: expected 1 to 200"),
        ({"job": {"kind": "k", "id": "j"}}, "schedule.job.id: unknown field"),
        ({"crom": "@daily"}, 'schedule.crom: unknown field; did you mean "cron"?'),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    """By example: the field by its path, what was expected and what came."""
    with pytest.raises(WireError) as caught:
        command("set_schedule", schedule={**GOOD, **changes})
    assert message in caught.value.message
    assert (caught.value.code, caught.value.request_id) == ("bad_request", "7")


def test_as_many_times_are_shown_as_were_asked_for() -> None:
    """By example, over a fire and a pause: what is kept is reckoned anew when it lies behind."""
    book, known = Playbook(), NextTimes()
    book.do(SetSchedule("s", Plan(Terms("k"), cron="0 * * * *"), NOON_MS))
    at_ms = NOON_MS // 3_600_000 * 3_600_000 + 3_600_000

    def shown(wall_ms: int, **fields: Any) -> ScheduleObject:
        answer = book.do(ListSchedules("s"))
        assert isinstance(answer, Schedules)
        ok = schedules_ok(SchedulesRequest(id="1", **fields), answer, wall_ms, known)
        return read(list[ScheduleObject], ok.schedules)[0]  # type: ignore[arg-type]  # it was just put there

    assert len(shown(NOON_MS, name="s", next=5).next) == 5
    first = shown(NOON_MS).next
    assert first == shown(NOON_MS + 1).next
    book.do(Fire("s", 1, (at_ms,), at_ms))
    after = shown(at_ms)
    assert after.next > first
    assert (after.fired, after.last_job_state, after.job.kind, after.tz) == (1, "pending", "k", "UTC")
    assert shown(at_ms, next=0).next == []
    book.do(PauseSchedule("s"))
    assert shown(at_ms).next == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"every": "5m"}, "s.kind: required, but missing"),
        ({"every": "5m", "kind": 7}, "s.kind: expected text, got number"),
        ({"every": "5m", "kind": "k", "kinds": 7}, "s.kinds: unknown field"),
        ([], "s: expected a schedule, such as"),
    ],
)
def test_a_schedule_of_the_configuration_is_read_with_the_fields_of_its_job_beside_its_own(
    fields: Any, message: str
) -> None:
    """By example."""
    with pytest.raises(ValueError, match=message):
        read_schedule("s", fields)
    good = read_schedule("s", {"every": "5m", "kind": "k", "args": {"a": 1}, "queue": "q", "catch_up": "all"})
    assert (good.job.queue, good.catch_up, good.every) == ("q", "all", "5m")
