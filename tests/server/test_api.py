"""The HTTP routes, over the real actors; how bytes become requests is the transport's test."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, get_args

import pytest
from trio.testing import MockClock

from beaver_actors.actors.publisher import Chunk
from beaver_actors.codec.ids import JobIds
from beaver_actors.codec.wire_decode import Limits
from beaver_actors.core.answers import RefusalCode
from beaver_actors.core.commands import Policy
from beaver_actors.core.job import JobState
from beaver_actors.kernel.mailbox import Closed
from beaver_actors.server import api
from beaver_actors.server.http import Request, Response, Routes
from beaver_actors.server.refusals import STATUS_BY_CODE
from beaver_actors.server.service import Service
from tests.server.house import Node, NoFleet, open_house


def routes_for(service: Service) -> Routes:
    """All routes, with metrics that say what was asked for."""

    async def metrics(accept: str | None) -> tuple[bytes, str]:
        return f"metrics for {accept}".encode(), "text/plain; version=0.0.4"

    routes = Routes()
    api.add_job_routes(routes, service)
    node: Any = service.node
    api.add_health_routes(routes, node, metrics, metrics_guarded=True)
    return routes


async def ask(
    service: Service, method: str, path: str, body: bytes | dict[str, Any] = b"", **headers: str
) -> tuple[int, Any, dict[str, str]]:
    """The status, the JSON body and the headers of the answer."""
    response = await respond(service, method, path, body, **headers)
    return response.status, json.loads(response.body), dict(response.headers)


async def respond(
    service: Service, method: str, path: str, body: bytes | dict[str, Any] = b"", **headers: str
) -> Response:
    path, _, query = path.partition("?")
    pairs = dict(pair.split("=") for pair in query.split("&")) if query else {}
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(method, path, pairs, named, data)
    found = routes_for(service).find(request)
    if isinstance(found, Response):
        return found
    route, params = found
    return await route.handler(replace(request, params=params))


async def test_a_job_is_posted_and_looked_at(autojump_clock: MockClock) -> None:
    """P1, P5: 201 once it is in the log, 200 when it was there; what it says is what WebSocket says."""
    async with open_house() as house:
        job = {"kind": "work", "id": "mine", "args": {"a": 1}}
        status, body, headers = await ask(house.service, "POST", "/api/v1/jobs", job)
        assert (status, body) == (201, {"jobs": [{"id": "mine", "duplicate": False}], "lsn": 1})
        assert headers["Location"] == "/api/v1/jobs/mine"
        assert (await ask(house.service, "POST", "/api/v1/jobs", job))[0] == 200
        await house.world.until("mine", JobState.COMPLETED)
        status, body, _ = await ask(house.service, "GET", "/api/v1/jobs/mine")
        assert status == 200
        assert body == {"job": (await house.connect().ask({"type": "get", "job_id": "mine"}))["job"]}
        status, body, _ = await ask(house.service, "GET", "/api/v1/jobs/mine/explain")
        explained = await house.connect().ask({"type": "explain", "job_id": "mine"})
        assert (status, body) == (200, {"explanation": explained["explanation"]})
        assert (await ask(house.service, "GET", "/api/v1/jobs/nobody/explain"))[0] == 404


async def test_several_jobs_are_posted_together(autojump_clock: MockClock) -> None:
    """All or none, 201 if any of them is new."""
    async with open_house() as house:
        await house.world.enqueue("old")
        jobs = {"jobs": [{"kind": "work", "id": "old"}, {"kind": "work", "id": "new"}]}
        status, body, headers = await ask(house.service, "POST", "/api/v1/jobs", jobs)
        assert (status, [job["duplicate"] for job in body["jobs"]]) == (201, [True, False])
        assert "Location" not in headers
        jobs["jobs"].append({"kind": "other", "id": "new"})
        assert (await ask(house.service, "POST", "/api/v1/jobs", jobs))[0] == 409


@pytest.mark.parametrize(
    ("body", "status", "code", "message"),
    [
        (b"", 400, "bad_request", "the message: expected JSON; it ends too early"),
        (b"{}", 400, "bad_request", "kind: required, but missing"),
        (b'{"kind":"a b"}', 400, "bad_request", "kind: expected 1 to 200"),
        (b'{"jobs":[]}', 400, "bad_request", "jobs: expected at least 1 job, got none"),
        (b'{"jobs":[{"kind":"a"},{"kind":"a","delay":-1}]}', 400, "bad_request", "jobs[1].delay: expected"),
        (b'{"kind":"' + b"a" * 300 + b'"}', 413, "too_large", "the message: expected at most 300 bytes"),
    ],
)
async def test_a_bad_body_is_told_what_is_wrong(
    autojump_clock: MockClock, body: bytes, status: int, code: str, message: str
) -> None:
    """The same checks as over WebSocket, with a status code; counted like them."""
    async with open_house(limits=Limits(message_bytes=300)) as house:
        found, told, _ = await ask(house.service, "POST", "/api/v1/jobs", body)
        assert (found, told["error"]["code"]) == (status, code)
        assert told["error"]["message"].startswith(message)
        assert house.node.refusals == [code]
        assert house.world.log.head == 0


async def test_another_content_type_is_refused(autojump_clock: MockClock) -> None:
    """415; JSON with a parameter, or what curl says by itself, is taken."""
    async with open_house() as house:
        for content_type, status in [
            ("text/plain", 415),
            ("Application/JSON; charset=utf-8", 201),
            ("application/x-www-form-urlencoded", 201),
        ]:
            found = await ask(
                house.service, "POST", "/api/v1/jobs", {"kind": "work"}, content_type=content_type
            )
            assert found[0] == status


async def test_a_refusal_says_when_to_come_back(autojump_clock: MockClock) -> None:
    """P7, P11: 429 for a full queue and for too much at once, 503 for a full disk and a draining server."""
    async with open_house(policy=Policy(queue_jobs_max=1), waiting_bytes_max=10) as house:
        two = {"jobs": [{"kind": "work"}, {"kind": "work"}]}

        async def refused() -> tuple[int, str, str]:
            status, body, headers = await ask(house.service, "POST", "/api/v1/jobs", two)
            return status, body["error"]["code"], headers["Retry-After"]

        assert await refused() == (429, "queue_full", "1")
        house.service.waiting_bytes = 10
        assert await refused() == (429, "overloaded", "1")
        house.service.waiting_bytes = 0
        house.world.full = True
        assert await refused() == (503, "storage_full", "5")
        house.node.draining = True
        assert await refused() == (503, "draining", "1")
        assert house.service.waiting_bytes == 0


async def test_what_is_not_there_is_404(autojump_clock: MockClock) -> None:
    """A job that does not exist; an id that no job can have is a bad request."""
    async with open_house() as house:
        assert (await ask(house.service, "GET", "/api/v1/jobs/x"))[0] == 404
        status, body, _ = await ask(house.service, "GET", "/api/v1/jobs/%20")
        assert (status, body["error"]["code"]) == (400, "bad_request")
        assert body["error"]["message"].startswith("job_id: expected 1 to 200 printable")
        assert (await ask(house.service, "DELETE", "/api/v1/jobs/x"))[0] == 405


async def test_jobs_are_listed_by_pages(autojump_clock: MockClock) -> None:
    """The query has the fields of the request; unknown ones are refused."""
    async with open_house() as house:
        await house.world.enqueue("a", "b", "c", delay_ms=1_000_000)
        _, first, _ = await ask(house.service, "GET", "/api/v1/jobs?state=scheduled&limit=2")
        _, second, _ = await ask(house.service, "GET", f"/api/v1/jobs?limit=2&after={first['next']}")
        assert [job["id"] for job in first["jobs"] + second["jobs"]] == ["c", "b", "a"]
        assert second["next"] is None
        for query, message in [
            ("limit=0", "limit: expected a number from 1 to 1000, got 0"),
            (
                "stat=dead",
                "stat: unknown parameter; there are state, queue, kind, tag, reason, limit, after, "
                "error_type, created_after, created_before, finished_after, finished_before",
            ),
        ]:
            status, body, _ = await ask(house.service, "GET", f"/api/v1/jobs?{query}")
            assert (status, body["error"]["message"]) == (400, message)


async def test_the_status_is_that_of_the_protocol(autojump_clock: MockClock) -> None:
    """Field for field."""
    async with open_house() as house:
        await house.world.enqueue("a", delay_ms=1_000_000)
        status, body, _ = await ask(house.service, "GET", "/api/v1/status")
        assert status == 200
        assert body == {"status": (await house.connect().ask({"type": "status"}))["status"]}


async def test_health_and_readiness_are_two_things(autojump_clock: MockClock) -> None:
    """Alive while the loop turns; ready while clients are welcome. Both are open to all, metrics are not."""
    async with open_house() as house:
        assert (await ask(house.service, "GET", "/healthz"))[:2] == (
            200,
            {"status": "ok", "version": "0.1.0"},
        )
        assert (await ask(house.service, "GET", "/readyz"))[:2] == (200, {"ready": True})
        house.node.unready = "recovering"
        assert (await ask(house.service, "GET", "/readyz"))[:2] == (
            503,
            {"ready": False, "reason": "recovering"},
        )
        assert (await ask(house.service, "GET", "/healthz"))[0] == 200
        metrics = await respond(house.service, "GET", "/metrics", accept="application/openmetrics-text")
        assert metrics.body == b"metrics for application/openmetrics-text"
        assert dict(metrics.headers)["Content-Type"] == "text/plain; version=0.0.4"
        guarded = {}
        for path in ("/healthz", "/readyz", "/metrics", "/api/v1/status"):
            found = routes_for(house.service).find(Request("GET", path))
            assert not isinstance(found, Response)
            guarded[path] = found[0].guarded
        assert guarded == {"/healthz": False, "/readyz": False, "/metrics": True, "/api/v1/status": True}


class Gone:
    """The way to a node that goes down."""

    has_room = False

    async def ask(self, command: object) -> Any:
        raise Closed("job_manager")

    post = ask

    def post_nowait(self, command: object) -> Any:
        raise Closed("job_manager")

    async def read(self, after_lsn: int, limit: int) -> Chunk:
        raise Closed("publisher")


async def test_a_node_that_goes_down_says_what_is_not_known() -> None:
    """P1: 503, and no word that could be taken for an answer about the jobs."""
    ids = JobIds(lambda: 0, lambda bits: 0)
    service = Service(Gone(), Gone(), Node(), fleet=NoFleet(), now_ms=lambda: 0, ids=ids)
    status, body, headers = await ask(service, "POST", "/api/v1/jobs", {"kind": "work"})
    assert (status, body["error"]["code"], headers["Retry-After"]) == (503, "draining", "1")
    assert "may or may not have accepted" in body["error"]["message"]
    assert (await ask(service, "GET", "/api/v1/jobs/a"))[0] == 503
    assert (await ask(service, "GET", "/api/v1/status"))[0] == 503
    assert service.waiting_bytes == 0


def test_every_code_has_a_status() -> None:
    """None of the protocol's codes is left to a KeyError."""
    assert set(STATUS_BY_CODE) == set(get_args(RefusalCode))
