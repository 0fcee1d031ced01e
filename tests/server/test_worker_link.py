"""A worker's conversation with the real session and actors: what is granted, what is refused and how, and
what is pushed."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from beaver_actors.codec.wire_decode import Limits
from beaver_actors.codec.wire_fields import FENCES_MAX, REPORTS_MAX
from beaver_actors.core.fold import fold
from beaver_actors.core.job import JobState
from beaver_actors.core.state import State
from tests.actors.world import MemoryLog
from tests.server.house import Client, House, open_house

REGISTER = {"type": "register", "worker_id": "far", "kinds": ["remote"]}
ERROR = {"type": "E", "message": "no"}


async def registered(house: House, **fields: Any) -> Client:
    client = house.connect()
    reply = await client.ask({**REGISTER, **fields})
    assert reply["type"] == "ok", reply
    return client


async def holding_a_job(house: House, **options: Any) -> tuple[Client, int]:
    """A worker that holds job `a`, and the fence."""
    client = await registered(house, slots=1)
    await house.world.enqueue("a", kind="remote", **options)
    (job,) = (await client.hear())["jobs"]
    return client, job["fence"]


def report(fence: int, outcome: str = "succeeded", **fields: Any) -> dict[str, Any]:
    return {
        "type": "report",
        "reports": [{"job_id": "a", "fence": fence, "outcome": outcome, **fields}],
    }


async def test_a_worker_runs_a_job(autojump_clock: MockClock) -> None:
    """P2, P4: register, ready, lease, heartbeat, progress, report."""
    async with open_house() as house:
        client = house.connect()
        welcome = await client.ask(REGISTER)
        assert (welcome["lease"], welcome["heartbeat"]) == (60, 15)
        assert welcome["limits"]["result_bytes"] == 1024 * 1024
        await house.world.enqueue("a", kind="remote", timeout_ms=30_000)
        assert (await client.ask({"type": "ready", "slots": 1}))["type"] == "ok"
        lease = await client.hear()
        (job,) = lease["jobs"]
        assert lease["type"] == "lease"
        assert (job["job_id"], job["attempt"], job["max_attempts"]) == ("a", 1, 25)
        assert (job["args"], job["timeout"]) == ({}, 30)
        standing = await client.ask({"type": "heartbeat", "fences": [job["fence"], 999]})
        assert (standing["lost"], standing["cancel"], standing["overdue"]) == ([999], [], [])
        word = {"job_id": "a", "fence": job["fence"], "progress": {"percent": 50}}
        assert (await client.ask({"type": "report", "progress": [word]}))["reports"] == []
        assert (await house.world.show("a")).progress == b'{"percent": 50}'
        told = await client.ask(report(job["fence"], result=[1, "ü"]))
        assert told["reports"] == [
            {
                "job_id": "a",
                "fence": job["fence"],
                "recorded": True,
                "code": None,
                "current_fence": job["fence"],
            }
        ]
        assert (await house.world.show("a")).result == b'[1, "\\u00fc"]'


async def test_a_worker_may_speak_cbor(autojump_clock: MockClock) -> None:
    """P4: pushes come in the form in which it registered."""
    async with open_house() as house:
        client = house.connect()
        await client.ask({**REGISTER, "slots": 1}, cbor=True)
        await house.world.enqueue("a", kind="remote")
        push = await client.hear_raw()
        assert isinstance(push, bytes)


async def test_a_stale_report_is_told_the_current_fence(autojump_clock: MockClock) -> None:
    """P4: lease_lost, in its place among others, and nothing changes."""
    async with open_house() as house:
        client, fence = await holding_a_job(house)
        await client.ask({"type": "ready", "slots": 0})
        await trio.sleep(61)
        assert await client.hear() == {"type": "notice", "lost": [fence]}
        facts = len(house.world.log.facts)
        (receipt,) = (await client.ask(report(fence)))["reports"]
        assert (receipt["recorded"], receipt["code"]) == (False, "lease_lost")
        assert receipt["current_fence"] == fence
        assert len(house.world.log.facts) == facts


async def test_an_answered_report_is_on_disk(autojump_clock: MockClock) -> None:
    """P1: the log has it when the reply comes."""
    async with open_house() as house:
        client, fence = await holding_a_job(house)
        assert (await client.ask(report(fence)))["reports"][0]["recorded"]
        assert house.world.kinds()[-1] == "JobCompleted"


async def test_a_cancel_is_pushed_and_repeated(autojump_clock: MockClock) -> None:
    """P3: as a notice, and in the reply to each heartbeat."""
    async with open_house() as house:
        client, fence = await holding_a_job(house)
        other = house.connect()
        await other.ask({"type": "cancel", "job_ids": ["a"]})
        assert await client.hear() == {"type": "notice", "cancel": [fence]}
        assert (await client.ask({"type": "heartbeat", "fences": [fence]}))["cancel"] == [fence]
        assert (await client.ask(report(fence, "stopped")))["reports"][0]["recorded"]
        assert (await house.world.show("a")).state is JobState.CANCELLED


async def test_a_timeout_is_warned_of(autojump_clock: MockClock) -> None:
    """P4: before the job is taken."""
    async with open_house() as house:
        client, fence = await holding_a_job(house, timeout_ms=1_000)
        assert await client.hear() == {"type": "notice", "overdue": [fence]}
        assert (await client.ask({"type": "heartbeat", "fences": [fence]}))["overdue"] == [fence]


async def test_a_worker_that_leaves_is_suspect_and_may_come_back(autojump_clock: MockClock) -> None:
    """P4: shown so at once; on a new connection it resumes what it names."""
    async with open_house() as house:
        client, fence = await holding_a_job(house)
        client.leave()
        await wait_all_tasks_blocked()
        onlooker = house.connect()
        (shown,) = (await onlooker.ask({"type": "workers"}))["workers"]
        assert (shown["state"], shown["in_flight"], shown["connected_at"]) == ("suspect", 1, None)
        again = await registered(house, slots=1, fences=[fence])
        (shown,) = (await onlooker.ask({"type": "workers"}))["workers"]
        assert (shown["state"], shown["worker_id"], shown["slots"]) == ("ready", "far", 1)
        assert (await again.ask(report(fence)))["reports"][0]["recorded"]


async def test_the_connection_that_was_left_behind_is_refused(autojump_clock: MockClock) -> None:
    """P4: another speaks for the worker by now."""
    async with open_house() as house:
        old, fence = await holding_a_job(house)
        new = await registered(house, slots=1, fences=[fence])
        refused = await old.ask(report(fence))
        assert (refused["type"], refused["code"]) == ("error", "conflict")
        assert (await new.ask(report(fence)))["reports"][0]["recorded"]


async def test_a_lease_that_ends_before_it_is_sent_is_never_sent(autojump_clock: MockClock) -> None:
    """P4: to a worker that does not read, with a full outbox."""
    async with open_house() as house:
        client = house.connect(outbox_max=1)
        await client.ask({**REGISTER, "slots": 3})
        for name in "abc":
            await house.world.enqueue(name, kind="remote")
            await wait_all_tasks_blocked()
        await trio.sleep(61)
        heard = [await client.hear() for _ in range(3)]
        assert [message["type"] for message in heard] == ["lease", "lease", "notice"]
        fences = [message["jobs"][0]["fence"] for message in heard[:2]]
        assert heard[2]["lost"] == fences
        await wait_all_tasks_blocked()
        assert not client.outbox


async def test_many_large_jobs_come_in_several_messages(autojump_clock: MockClock) -> None:
    """P11: a lease of a hundred megabytes would be no message."""
    async with open_house() as house:
        await house.world.enqueue(*(f"job-{number}" for number in range(6)), kind="remote", meta=b"")
        client = house.connect()
        big = {"kind": "remote", "args": {"x": "y" * 400_000}}
        await client.ask({"type": "enqueue", "jobs": [{"id": f"big-{n}", **big} for n in range(6)]})
        worker = house.connect()
        await worker.ask({**REGISTER, "slots": 12})
        counts: list[int] = []
        while sum(counts) < 12:
            counts.append(len((await worker.hear())["jobs"]))
        assert counts == [8, 2, 2]


async def test_a_restarted_server_closes_with_1012_and_the_worker_resumes(autojump_clock: MockClock) -> None:
    """P4: its jobs are not run again."""
    log = MemoryLog()
    async with open_house(log=log, drain=False) as house:
        _, fence = await holding_a_job(house)
    state = State()
    for fact in log.facts:
        fold(state, fact)
    async with open_house(log=log, state=state) as house:
        again = await registered(house, slots=1, fences=[fence])
        assert (await again.ask(report(fence)))["reports"][0]["recorded"]
        assert (await house.world.show("a")).attempt == 1


@pytest.mark.parametrize("word", ["ready", "heartbeat", "report", "deregister"])
async def test_who_has_not_registered_is_no_worker(word: str, autojump_clock: MockClock) -> None:
    """By example: each of the other messages says so."""
    fields: dict[str, dict[str, Any]] = {
        "ready": {"slots": 1},
        "heartbeat": {"fences": []},
        "report": {"reports": [{"job_id": "a", "fence": 1, "outcome": "released"}]},
        "deregister": {},
    }
    async with open_house() as house:
        refused = await house.connect().ask({"type": word, **fields[word]})
        assert (refused["code"], refused["re"]) == ("conflict", "q")
        assert refused["message"] == f"{word}: register on this connection first"


async def test_a_connection_is_that_of_one_worker(autojump_clock: MockClock) -> None:
    """By example: another name on it is refused; the same may change what it says of itself."""
    async with open_house() as house:
        client = await registered(house)
        refused = await client.ask({**REGISTER, "worker_id": "other"})
        assert (refused["code"], refused["message"]) == (
            "conflict", "worker_id: this connection is that of worker far",
        )  # fmt: skip
        await client.ask({**REGISTER, "kinds": ["other"], "queues": {"mail": 2, "low": 1}})
        (shown,) = (await client.ask({"type": "workers"}))["workers"]
        assert (shown["kinds"], shown["queues"]) == (["other"], {"mail": 2, "low": 1})


async def test_a_worker_that_says_goodbye_is_forgotten(autojump_clock: MockClock) -> None:
    """P4: its job goes back without using an attempt; afterwards it would have to register anew."""
    async with open_house() as house:
        client, _ = await holding_a_job(house)
        await client.ask({"type": "deregister"})
        assert (await house.world.show("a")).attempt == 0
        assert (await client.ask({"type": "workers"}))["workers"] == []
        assert (await client.ask({"type": "ready", "slots": 1}))["code"] == "conflict"


REFUSED_REGISTRATIONS: list[tuple[dict[str, Any], str]] = [
    ({"worker_id": ""}, 'worker_id: expected 1 to 200 printable ASCII characters without spaces, got ""'),
    ({"worker_id": 7}, "worker_id: expected text, got number"),
    ({"kinds": []}, "kinds: expected 1 to 1000 kinds, got 0"),
    ({"kinds": ["a b"]}, 'kinds[0]: expected 1 to 200 of the characters A-Z a-z 0-9 _ . : -, got "a b"'),
    ({"kinds": ["x"] * 1001}, "kinds: expected 1 to 1000 kinds, got 1001"),
    ({"queues": {}}, "queues: expected 1 to 100 queues, got 0"),
    ({"queues": {"q": 0}}, "queues.q: expected a number from 1 to 1000, got 0"),
    ({"queues": {"a": 600, "b": 401}}, "queues: expected weights of at most 1000 together, got 1001"),
    ({"queues": {"a b": 1}}, 'queues: expected 1 to 128 of the characters A-Z a-z 0-9 _ . : -, got "a b"'),
    ({"queues": {str(n): 1 for n in range(101)}}, "queues: expected 1 to 100 queues, got 101"),
    ({"slots": -1}, "slots: expected a number from 0 to 10000, got -1"),
    ({"slots": 1.5}, "slots: expected whole number, got number with a fraction"),
    ({"fences": [0]}, f"fences[0]: expected a number from 1 to {2**63 - 1}, got 0"),
    ({"fences": [1] * (FENCES_MAX + 1)}, f"fences: expected at most {FENCES_MAX} leases, got 10001"),
    ({"host": "x" * 201}, "host: expected at most 200 characters, got 201"),
    ({"version": "x" * 201}, "version: expected at most 200 characters, got 201"),
    ({"pid": -1}, f"pid: expected a number from 0 to {2**31 - 1}, got -1"),
    ({"kind": ["x"]}, "kind: unknown field"),
]


@pytest.mark.parametrize(("fields", "message"), REFUSED_REGISTRATIONS)
async def test_a_registration_that_cannot_be_is_refused_by_its_field(
    fields: dict[str, Any], message: str, autojump_clock: MockClock
) -> None:
    """By example: the connection lives, and nobody is registered."""
    async with open_house() as house:
        client = house.connect()
        refused = await client.ask({**REGISTER, **fields})
        assert (refused["code"], refused["message"]) == ("bad_request", message)
        assert (await client.ask({"type": "workers"}))["workers"] == []


LIMITS = Limits(result_bytes=20, error_message_chars=20, traceback_chars=20)
REFUSED_REPORTS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "bad_request", "reports: expected at least 1 report or progress, got none"),
    ({"reports": [{}] * (REPORTS_MAX + 1)}, "bad_request", "reports[0].job_id: required, but missing"),
    ({"outcome": "finished"}, "bad_request",
     "reports[0].outcome: expected one of succeeded, failed, timed_out, rejected, snoozed, stopped, "
     'released, crashed; got "finished"'),
    ({"fence": 0}, "bad_request", f"reports[0].fence: expected a number from 1 to {2**63 - 1}, got 0"),
    ({"job_id": ""}, "bad_request",
     "reports[0].job_id: expected 1 to 200 printable ASCII characters without spaces, got \"\""),
    ({"outcome": "failed"}, "bad_request", "reports[0].error: required for failed, but missing"),
    ({"outcome": "crashed"}, "bad_request", "reports[0].error: required for crashed, but missing"),
    ({"outcome": "snoozed"}, "bad_request", "reports[0].delay: required for snoozed, but missing"),
    ({"outcome": "released", "result": 1}, "bad_request",
     "reports[0].result: only for succeeded, got one for released"),
    ({"error": ERROR}, "bad_request",
     "reports[0].error: only for failed, timed_out, rejected and crashed, got one for succeeded"),
    ({"outcome": "rejected", "error": ERROR, "delay": 1}, "bad_request",
     "reports[0].delay: only for failed and snoozed, got one for rejected"),
    ({"outcome": "snoozed", "delay": "soon"}, "bad_request", "reports[0].delay: "),
    ({"outcome": "failed", "error": {"type": ""}}, "bad_request",
     "reports[0].error.type: expected 1 to 200 characters, got 0"),
    ({"outcome": "failed", "error": {"type": "E", "message": "x" * 21}}, "too_large",
     "reports[0].error.message: expected at most 20 characters, got 21"),
    ({"outcome": "failed", "error": {"type": "E", "traceback": "x" * 21}}, "too_large",
     "reports[0].error.traceback: expected at most 20 characters, got 21"),
    ({"result": "x" * 19}, "too_large", "reports[0].result: expected at most 20 bytes, got 21"),
    ({"result": "@deep"}, "bad_request", "reports[0].result: expected at most 64 levels"),
    ({"progress": [{"job_id": "a", "fence": 1, "progress": "x" * 65_535}]}, "too_large",
     "progress[0].progress: expected at most 65536 bytes, got 65537"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "code", "message"), REFUSED_REPORTS)
async def test_a_report_that_cannot_be_is_refused_by_its_field(
    fields: dict[str, Any], code: str, message: str, autojump_clock: MockClock
) -> None:
    """By example: the whole message is refused, and the good report in it is not recorded either."""
    async with open_house(limits=LIMITS) as house:
        client, fence = await holding_a_job(house)
        if not fields or "reports" in fields or "progress" in fields:
            request: dict[str, Any] = {"type": "report", **fields}
        else:
            if fields.get("result") == "@deep":
                deep: Any = 1
                for _ in range(65):
                    deep = [deep]
                fields, limit = {"result": deep}, Limits()
                house.service.limits = limit
            good = {"job_id": "a", "fence": fence, "outcome": "released"}
            request = {"type": "report", "reports": [{**good, "outcome": "succeeded", **fields}, good]}
        refused = await client.ask(request)
        assert refused["code"] == code, refused
        assert refused["message"].startswith(message), refused["message"]
        assert (await house.world.show("a")).state is JobState.IN_FLIGHT


async def test_too_many_reports_are_refused(autojump_clock: MockClock) -> None:
    """P11: one more than the limit."""
    async with open_house() as house:
        client, fence = await holding_a_job(house)
        one = {"job_id": "a", "fence": fence, "outcome": "released"}
        refused = await client.ask({"type": "report", "reports": [one] * (REPORTS_MAX + 1)})
        assert refused["message"] == f"reports: expected at most {REPORTS_MAX}, got {REPORTS_MAX + 1}"


async def test_a_snooze_is_a_second_at_least(autojump_clock: MockClock) -> None:
    """P11: it uses no attempt, so nothing else would end a row of them."""
    async with open_house() as house:
        client, fence = await holding_a_job(house)
        assert (await client.ask(report(fence, "snoozed", delay=0)))["reports"][0]["recorded"]
        view = await house.world.show("a")
        assert view.run_at_ms == 1_001_000
        assert (await client.hear())["type"] == "lease"


@pytest.mark.parametrize(
    ("outcome", "fields", "state"),
    [
        ("failed", {"error": ERROR, "delay": "1h"}, "scheduled"),
        ("timed_out", {"error": ERROR}, "scheduled"),
        ("rejected", {"error": ERROR}, "dead"),
        ("snoozed", {"delay": 5}, "scheduled"),
        ("succeeded", {"result": None}, "completed"),
    ],
)
async def test_each_outcome_means_what_it_says(
    outcome: str, fields: dict[str, Any], state: str, autojump_clock: MockClock
) -> None:
    """P4: by example."""
    async with open_house() as house:
        client, fence = await holding_a_job(house)
        await client.ask({"type": "ready", "slots": 0})
        assert (await client.ask(report(fence, outcome, **fields)))["reports"][0]["recorded"]
        assert (await house.world.show("a")).state == state
        assert (await client.ask(report(fence, outcome, **fields)))["reports"][0]["recorded"]
