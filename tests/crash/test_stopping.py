"""SIGTERM and SIGINT: running jobs finish or go back, clients are told, and nothing is left behind."""

from __future__ import annotations

import json
import signal
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.crash.harness import WAIT_SECONDS, Client, Gone, Message, Server, serving

pytestmark = pytest.mark.process


def job_of(client: Client, job_id: str) -> Message:
    job: Message = client.done("get", job_id=job_id)["job"]
    return job


def events_until(client: Client, last: str, job_id: str) -> list[str]:
    """Read event pushes until this one; the names of those about the job."""
    names: list[str] = []
    while True:
        event = client.push()
        if event["type"] == "event" and event["job_id"] == job_id:
            names.append(event["event"])
            if event["event"] == last:
                return names


def await_draining(client: Client) -> None:
    """Wait until the server says that it is stopping."""
    client.done("subscribe", topic="status", interval=0.1)
    while not ((push := client.push())["type"] == "status" and push["status"]["draining"]):
        pass


def await_goodbye(client: Client) -> None:
    """Read until the server has closed the connection."""
    with suppress(Gone):
        while True:
            client.receive()


def expect_clean_end(server: Server, code: int = 0) -> None:
    """It ends with this code, alone, and without complaint."""
    assert server.end() == code, server.errors()
    server.await_no_family()
    for word in ("Traceback", "Warning", "Exception ignored", '"level": "error"', '"level": "warning"'):
        assert word not in server.errors(), server.errors()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_asked_to_stop_lets_running_jobs_finish(
    tmp_path: Path, number: signal.Signals
) -> None:
    """P1, P3: the outcome that came during the drain is there after the next start."""
    with serving(tmp_path) as server:
        server.start()
        with Client(server.url) as client:
            client.done("subscribe", topic="events")
            client.done("enqueue", jobs=[{"id": "long", "kind": "demo.sleep", "args": {"seconds": 1}}])
            events_until(client, "job_started", "long")
            server.signal(number)
            assert events_until(client, "job_completed", "long")[-1] == "job_completed"
        expect_clean_end(server)
        server.start()
        with Client(server.url) as client:
            job = job_of(client, "long")
            assert (job["state"], job["result"], job["attempt"]) == ("completed", 1, 1)


def test_a_job_that_outlasts_the_grace_goes_back_without_using_an_attempt(tmp_path: Path) -> None:
    """P3, P12: released, not rescued; it runs again after the next start, as its first attempt."""
    settings = {"BEAVER_WORKERS__GRACE": "200ms"}
    with serving(tmp_path, settings=settings) as server:
        server.start()
        jobs = [{"id": f"long{n}", "kind": "demo.sleep", "args": {"seconds": 3600}} for n in range(20)]
        with Client(server.url) as client:
            client.done("subscribe", topic="events", from_lsn=1)
            client.done("enqueue", jobs=jobs)
            events_until(client, "job_started", "long7")
        server.signal(signal.SIGTERM)
        expect_clean_end(server)
        ready = server.start().ready
        assert (ready["recovery"]["rescued"], ready["recovery"]["released"]) == (0, 0)
        with Client(server.url) as client:
            client.done("subscribe", topic="events", from_lsn=1)
            names = events_until(client, "job_released", "long0")
            assert names == ["job_enqueued", "job_started", "job_released"]
            for job in jobs:
                shown = job_of(client, str(job["id"]))
                assert shown["state"] in ("pending", "in_flight")
                assert shown["attempt"] == (1 if shown["state"] == "in_flight" else 0)
                assert shown["rescues"] == 0


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    """With a grace far longer than this test waits for anything."""
    settings = {"BEAVER_WORKERS__GRACE": f"{10 * WAIT_SECONDS:g}s"}
    with serving(tmp_path, settings=settings) as server:
        server.start()
        with Client(server.url) as client:
            client.done("subscribe", topic="events")
            client.done("enqueue", jobs=[{"id": "long", "kind": "demo.sleep", "args": {"seconds": 3600}}])
            events_until(client, "job_started", "long")
            server.signal(signal.SIGTERM)
            await_draining(client)
            server.signal(signal.SIGTERM)
            assert server.end() == 0
        server.await_no_family()
        server.start()
        with Client(server.url) as client:
            job = job_of(client, "long")
            assert (job["attempt"], job["rescues"]) == (1 if job["state"] == "in_flight" else 0, 0)


def test_a_stopping_server_refuses_new_jobs_and_says_so_to_everyone(tmp_path: Path) -> None:
    """P11: `draining` to clients, 503 to balancers, and reads are still answered."""
    settings = {"BEAVER_WORKERS__GRACE": f"{10 * WAIT_SECONDS:g}s"}
    with serving(tmp_path, settings=settings) as server:
        server.start()
        with Client(server.url) as client:
            client.done("subscribe", topic="events")
            client.done("enqueue", jobs=[{"id": "long", "kind": "demo.sleep", "args": {"seconds": 3600}}])
            events_until(client, "job_started", "long")
            server.signal(signal.SIGTERM)
            await_draining(client)
            refused = client.ask("enqueue", jobs=[{"id": "late", "kind": "demo.echo"}])
            assert (refused["type"], refused["code"]) == ("error", "draining")
            assert client.ask("get", job_id="late")["code"] == "not_found"
            assert job_of(client, "long")["state"] == "in_flight"
            with pytest.raises(HTTPError) as unready:
                urlopen(server.http("/readyz"), timeout=WAIT_SECONDS)
            assert unready.value.code == 503
            assert json.load(unready.value)["reason"] == "draining"
            unready.value.close()
            client.done("cancel", job_ids=["long"])  # nothing is left to wait for
            await_goodbye(client)
        expect_clean_end(server)


def test_a_stop_with_clients_and_worker_processes_leaves_nothing_behind(tmp_path: Path) -> None:
    """Idle watchers, a connection that never said a word, and a worker process that waits for more work."""
    with serving(tmp_path) as server:
        server.start()
        jobs = [{"id": "crash", "kind": "demo.crash"}, {"id": "echo", "kind": "demo.echo"}]
        with Client(server.url) as silent, Client(server.url) as watcher, Client(server.url) as client:
            watcher.done("subscribe", topic="status", interval=0.1)
            watcher.done("subscribe", topic="events", from_lsn=1)
            client.done("enqueue", jobs=jobs)
            events_until(watcher, "job_died", "crash")
            server.signal(signal.SIGTERM)
            for connection in (silent, watcher, client):
                await_goodbye(connection)
        expect_clean_end(server)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_worker_processes_and_their_children_end_with_the_server(tmp_path: Path, how: signal.Signals) -> None:
    """P4: a handler in a process of its own has started another; neither outlives the server."""
    started = tmp_path / "started"
    settings = {"BEAVER_WORKERS__GRACE": "0s"}
    with serving(tmp_path, "--app", "tests.crash.jobs:app", settings=settings) as server:
        server.start()
        with Client(server.url) as client:
            client.done("subscribe", topic="status", interval=0.1)
            client.done("enqueue", jobs=[{"kind": "bad.parent", "args": {"started": str(started)}}])
            while not started.exists():
                client.push()
        assert len(server.family()) == 3
        server.signal(how)
        assert server.end() == (-signal.SIGKILL if how == signal.SIGKILL else 0)
        server.await_no_family()
