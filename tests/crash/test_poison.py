"""Jobs that kill: their worker, or the whole server. They stop; their neighbours do not (P12)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.harness import Client, Gone, Message, Server, serving

pytestmark = pytest.mark.process
APP = ("--app", "tests.crash.jobs:app")
ENDED = ("completed", "dead", "cancelled")


def await_ends(client: Client, job_ids: set[str]) -> dict[str, Message]:
    """Watch until all of these have ended; the jobs."""
    client.done("subscribe", topic="events", from_lsn=1)
    waiting = set(job_ids)
    while waiting:
        push = client.push()
        if push["event"] in ("job_completed", "job_died", "job_cancelled"):
            waiting.discard(push["job_id"])
    return {job["id"]: job for job in client.done("list", limit=1000)["jobs"] if job["id"] in job_ids}


def run_to_the_end(server: Server, jobs: list[Message], lives_max: int) -> tuple[dict[str, Message], int]:
    """Start the server as often as it dies, until all jobs have ended; they, and the number of deaths."""
    for deaths in range(lives_max):
        server.start()
        try:
            with Client(server.url) as client:
                client.done("enqueue", jobs=jobs)  # known already from the second life on (P5)
                return await_ends(client, {str(job["id"]) for job in jobs}), deaths
        except Gone:
            server.end()
    raise AssertionError(f"the server died {lives_max} times")


def test_a_job_that_kills_its_worker_process_is_poison_and_the_server_stays(tmp_path: Path) -> None:
    """P12: three deaths of a worker process, with neighbours on the loop and in processes of their own."""
    with serving(tmp_path) as server:
        server.start()
        crash = {"id": "crash", "kind": "demo.crash"}
        neighbours = [{"id": f"n{n}", "kind": "demo.sleep", "args": {"seconds": 0.05}} for n in range(40)]
        with Client(server.url) as client:
            client.done("enqueue", jobs=[*neighbours[:20], crash, *neighbours[20:]])
            jobs = await_ends(client, {"crash", *(str(job["id"]) for job in neighbours)})
        bad = jobs.pop("crash")
        assert (bad["state"], bad["reason"], bad["rescues"]) == ("dead", "poison", 3)
        assert all("SIGKILL" in error["message"] for error in bad["errors"]), bad["errors"]
        assert {(job["state"], job["rescues"]) for job in jobs.values()} == {("completed", 0)}
        assert server.stop() == 0


@pytest.mark.parametrize("kind", ["bad.exit", "bad.signal"])
def test_a_job_that_kills_the_server_is_poison_and_who_ran_beside_it_completes(
    tmp_path: Path, kind: str
) -> None:
    """P12, P3: every neighbour is under way at each death, and yet only the culprit is given up."""
    with serving(tmp_path, *APP) as server:
        bad = {"id": "bad", "kind": kind}
        neighbours = [{"id": f"n{n}", "kind": "demo.sleep", "args": {"seconds": 0.6}} for n in range(7)]
        jobs, deaths = run_to_the_end(server, [bad, *neighbours], lives_max=6)
        assert deaths == 3
        culprit = jobs.pop("bad")
        assert (culprit["state"], culprit["reason"], culprit["rescues"]) == ("dead", "poison", 3)
        assert {error["type"] for error in culprit["errors"]} == {"WorkerDied"}
        assert {job["state"] for job in jobs.values()} == {"completed"}
        assert server.stop() == 0


def test_no_attempt_runs_that_the_log_does_not_know_and_no_two_share_a_fence(tmp_path: Path) -> None:
    """P2, P4: each attempt leaves a mark outside with its fence; after kills, the log knows them all."""
    marks = tmp_path / "marks"
    marks.mkdir()
    settings = {"BEAVER_WORKERS__COUNT": "16"}
    with serving(tmp_path, *APP, settings=settings) as server:
        jobs: list[Message] = []
        for life in range(4):
            server.start()
            jobs += [
                {"id": f"w{life}-{n}", "kind": "bad.witness", "args": {"directory": str(marks)}}
                for n in range(60)
            ]
            with Client(server.url) as client:
                client.done("subscribe", topic="events")
                client.done("enqueue", jobs=jobs)
                completed = 0
                while completed < 10:
                    completed += client.push()["event"] == "job_completed"
            server.kill()
        ended, deaths = run_to_the_end(server, jobs, lives_max=1)
        assert deaths == 0
        with Client(server.url) as client:
            client.done("subscribe", topic="events", from_lsn=1)
            starts: set[str] = set()
            results: dict[str, int] = {}
            while len(results) < sum(job["state"] == "completed" for job in ended.values()):
                event = client.push()
                if event["event"] == "job_started":
                    starts.add(f"{event['job_id']}.{event['fence']}")
                elif event["event"] == "job_completed":
                    assert event["job_id"] not in results, "P4: completed twice"
                    results[event["job_id"]] = event["fence"]
        assert {mark.name for mark in marks.iterdir()} <= starts
        assert all(ended[job_id]["result"] == fence for job_id, fence in results.items())
        assert server.stop() == 0
