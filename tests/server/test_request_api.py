"""The HTTP routes for schedules and operations: the same requests, answers and refusals as over WebSocket."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

from beaver_actors.codec.ids import JobIds
from beaver_actors.core.job import JobState
from beaver_actors.server.service import Service
from tests.server.house import Node, NoFleet, open_house
from tests.server.test_api import Gone, ask

POLL: dict[str, Any] = {"every": 3600, "job": {"kind": "other", "args": {"feed": 7}}}
SCHEDULES = "/api/v1/schedules"
OPERATIONS = "/api/v1/operations"


async def test_a_schedule_is_set_shown_changed_and_deleted(autojump_clock: MockClock) -> None:
    """P1: each answer has the fields of the reply, and what is shown is what WebSocket shows."""
    async with open_house() as house:
        service = house.service
        status, body, _ = await ask(service, "PUT", f"{SCHEDULES}/poll", POLL)
        change = {"name": "poll", "changed": True, "code": None, "state": None}
        assert (status, body) == (200, {"lsn": 1, "changes": [change]})
        status, body, _ = await ask(service, "PUT", f"{SCHEDULES}/poll", {"name": "poll", **POLL})
        assert (status, body["changes"][0]["changed"]) == (200, False)
        over_websocket = await house.connect().ask({"type": "schedules", "name": "poll", "next": 3})
        status, body, _ = await ask(service, "GET", f"{SCHEDULES}/poll?next=3")
        assert (status, body) == (200, {"schedules": over_websocket["schedules"]})
        assert len(body["schedules"][0]["next"]) == 3
        for word, paused in (("pause", True), ("resume", False)):
            assert (await ask(service, "POST", f"{SCHEDULES}/poll/{word}"))[0] == 200
            status, body, _ = await ask(service, "GET", SCHEDULES)
            assert [one["paused"] for one in body["schedules"]] == [paused]
        assert (await ask(service, "DELETE", f"{SCHEDULES}/poll"))[0] == 200
        assert (await ask(service, "GET", SCHEDULES))[1] == {"schedules": []}
        assert (await ask(service, "DELETE", f"{SCHEDULES}/poll"))[0] == 404


async def test_a_job_of_a_schedule_comes_out_of_turn_once(autojump_clock: MockClock) -> None:
    """P5: 201, and 200 for the same id again."""
    async with open_house() as house:
        await ask(house.service, "PUT", f"{SCHEDULES}/poll", POLL)
        trigger = f"{SCHEDULES}/poll/trigger"
        status, body, headers = await ask(house.service, "POST", trigger, {"job_id": "mine"})
        assert (status, body["jobs"]) == (201, [{"id": "mine", "duplicate": False}])
        assert headers["Location"] == "/api/v1/jobs/mine"
        assert (await ask(house.service, "POST", trigger, {"job_id": "mine"}))[0] == 200
        status, body, _ = await ask(house.service, "POST", trigger)
        assert status == 201
        assert body["jobs"][0]["id"] != "mine"


async def test_an_operation_is_started_looked_at_and_stopped(autojump_clock: MockClock) -> None:
    """P5: 202 and where to look; repeated under its id it is the same one."""
    async with open_house() as house:
        await house.world.enqueue("a")
        await house.world.until("a", JobState.COMPLETED)
        wanted = {"word": "delete", "operation_id": "sweep", "state": "completed"}
        status, body, headers = await ask(house.service, "POST", OPERATIONS, wanted)
        assert (status, body["operation"]["id"]) == (202, "sweep")
        assert headers["Location"] == f"{OPERATIONS}/sweep"
        assert (await ask(house.service, "POST", OPERATIONS, wanted))[0] == 202
        status, body, _ = await ask(house.service, "GET", f"{OPERATIONS}/sweep")
        assert (status, [one["id"] for one in body["operations"]]) == (200, ["sweep"])
        assert [one["id"] for one in (await ask(house.service, "GET", OPERATIONS))[1]["operations"]] == [
            "sweep"
        ]
        status, body, _ = await ask(house.service, "POST", f"{OPERATIONS}/sweep/stop")
        assert (status, body["operation"]["id"]) == (200, "sweep")
        assert (await ask(house.service, "POST", f"{OPERATIONS}/nobody/stop"))[0] == 404
        assert (await ask(house.service, "POST", OPERATIONS, {**wanted, "word": "retry"}))[0] in (400, 409)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "message"),
    [
        ("PUT", "/schedules/poll", {"every": 1}, 400, "bad_request", "schedule.job: required, but missing"),
        ("PUT", "/schedules/poll", {**POLL, "every": "1ms"}, 400, "bad_request", "schedule.every: expected"),
        ("PUT", "/schedules/poll", {**POLL, "crom": 1}, 400, "bad_request", "schedule.crom: unknown field"),
        ("PUT", "/schedules/poll", {**POLL, "name": "x"}, 400, "bad_request", "name: expected 'poll', as in"),
        ("PUT", "/schedules/a%20b", POLL, 400, "bad_request", "schedule.name: expected 1 to 100"),
        ("PUT", "/schedules/poll", b"[]", 400, "bad_request", "the body: expected an object"),
        (
            "PUT",
            "/schedules/poll",
            b'{"a',
            400,
            "bad_request",
            "the message: expected JSON; it ends too early",
        ),
        ("PUT", "/schedules/poll", b'{"a\xff":1}', 400, "bad_request", "the message: expected UTF-8"),
        ("PUT", "/schedules/poll", {**POLL, "type": "get"}, 400, "bad_request", "type: unknown field"),
        ("GET", "/schedules?next=many", b"", 400, "bad_request", "next: expected"),
        ("GET", "/schedules?next=7", b"", 400, "bad_request", "next: expected 0 or 1 without a name"),
        ("GET", "/schedules?limit=7", b"", 400, "bad_request", "limit: unknown parameter; there is next"),
        ("GET", "/schedules/nobody", b"", 404, "not_found", "schedule nobody does not exist"),
        ("POST", "/schedules/nobody/trigger", b"", 404, "not_found", "schedule nobody does not exist"),
        ("POST", "/schedules/nobody/pause", {"paused": 1}, 400, "bad_request", "paused: unknown field"),
        ("GET", "/operations/nobody", b"", 404, "not_found", "operation nobody"),
        ("GET", "/operations?next=1", b"", 400, "bad_request", "next: unknown parameter; there are none"),
        ("POST", "/operations", {}, 400, "bad_request", "word: required, but missing"),
        ("POST", "/operations", {"word": "retry", "id": "x"}, 400, "bad_request", "id: unknown field"),
        ("POST", "/operations", {"word": "retry", "kind": 7}, 400, "bad_request", "kind: expected text"),
    ],
)
async def test_what_is_wrong_is_told_as_over_websocket(
    autojump_clock: MockClock, method: str, path: str, body: Any, status: int, code: str, message: str
) -> None:
    """The same codes and words, with the status that belongs to them; nothing is written."""
    async with open_house() as house:
        found, told, _ = await ask(house.service, method, f"/api/v1{path}", body)
        assert (found, told["error"]["code"]) == (status, code)
        assert told["error"]["message"].startswith(message)
        assert house.node.refusals == [code]
        assert house.world.log.head == 0


async def test_a_server_that_stops_takes_no_new_schedules(autojump_clock: MockClock) -> None:
    """503; what there is can be looked at and paused."""
    async with open_house() as house:
        await ask(house.service, "PUT", f"{SCHEDULES}/poll", POLL)
        house.node.draining = True
        assert (await ask(house.service, "PUT", f"{SCHEDULES}/new", POLL))[0] == 503
        assert (await ask(house.service, "POST", f"{SCHEDULES}/poll/trigger"))[0] == 503
        assert (await ask(house.service, "POST", f"{SCHEDULES}/poll/pause"))[0] == 200


async def test_a_node_that_goes_down_does_not_say_whether_it_is_done() -> None:
    """P1: 503, and no word that could be taken for an answer."""
    ids = JobIds(lambda: 0, lambda bits: 0)
    service = Service(Gone(), Gone(), Node(), fleet=NoFleet(), now_ms=lambda: 0, ids=ids)
    status, body, headers = await ask(service, "PUT", f"{SCHEDULES}/poll", POLL)
    assert (status, body["error"]["code"], headers["Retry-After"]) == (503, "draining", "1")
    assert "may or may not have done this" in body["error"]["message"]
