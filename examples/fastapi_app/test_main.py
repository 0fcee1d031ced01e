"""The FastAPI example: its routes on a kit, and the whole of it with a real server that is killed."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from beaver_actors.testing.kit import Kit, RealServer
from examples.fastapi_app.main import api, beaver as client_of


@pytest.fixture
def beaver_app() -> str:
    return "examples.fastapi_app.jobs:app"


def test_a_report_is_ordered_once_and_shown(beaver: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(api.dependency_overrides, client_of, lambda: beaver.async_client)
    web = TestClient(api)
    assert web.post("/reports", params={"month": "2027-03"}).json() == {
        "id": "report-2027-03",
        "duplicate": False,
    }
    assert web.post("/reports", params={"month": "2027-03"}).json()["duplicate"]
    assert web.get("/reports/report-2027-03").json()["state"] == "pending"
    beaver.drain_queue()
    assert web.get("/reports/report-2027-03").json()["report"] == {"month": "2027-03", "pages": 3}
    assert web.get("/reports/report-2027-03/wait").json() == {"month": "2027-03", "pages": 3}
    assert web.get("/reports/nothing").status_code == 404


@pytest.mark.process
def test_the_application_goes_on_when_the_server_is_killed(
    beaver_server: RealServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEAVER_URL", beaver_server.url)
    with TestClient(api) as web:
        first = web.post("/reports", params={"month": "2027-03"}).json()["id"]
        beaver_server.crash()
        second = web.post("/reports", params={"month": "2027-04"}).json()["id"]
        for job_id in (first, second):
            assert web.get(f"/reports/{job_id}/wait").json()["pages"] == 3
