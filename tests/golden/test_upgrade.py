"""The upgrade: a real server of this version takes up a directory that an earlier one left, answers about its
jobs, and finishes them (P3, P6)."""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from beaver_actors.journal.disk import RealDisk
from beaver_actors.journal.verify import verify
from tests.crash.harness import SMALL, Client, serving
from tests.golden.test_golden import HERE, VERSIONS

pytestmark = pytest.mark.process
FOR_EVER = {f"BEAVER_RETENTION__{state}": "36500d" for state in ("COMPLETED", "CANCELLED", "DEAD")}
"""The jobs are older than what a server keeps unless told otherwise."""
FINISHED = ("completed", "dead", "cancelled")

TERMS = (
    "kind", "queue", "priority", "max_attempts", "timeout_ms", "backoff", "retention_ms", "tags", "meta",
)  # fmt: skip

Fields = dict[str, Any]


def written(version: str) -> tuple[dict[str, Fields], set[str]]:
    """The jobs as they were on the day the files were written, by id, and the queues that were paused."""
    state = json.loads((HERE / version / "state.json").read_text(encoding="utf-8"))
    return {job["id"]: job for job in state["jobs"]}, {name for name, paused, _ in state["queues"] if paused}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_takes_up_what_an_earlier_version_left(version: str, tmp_path: Path) -> None:
    """P3, P6, by a real server on the committed files: every job is there with what was recorded of it, and
    those that had yet to run are run."""
    data = tmp_path / "data"
    shutil.copytree(HERE / version, data)
    jobs, paused = written(version)
    waiting = {job_id: job for job_id, job in jobs.items() if job["state"] not in FINISHED}
    expired = {job_id for job_id, job in waiting.items() if job["expires_at_ms"] is not None}
    held = {job_id for job_id, job in waiting.items() if _terms(job)["queue"] in paused} - expired
    unwanted = {
        job_id for job_id, job in waiting.items() if job["trail"] and job["trail"]["cancel_requested"]
    }
    to_run = waiting.keys() - expired - held - unwanted
    # Its own retention ended while nobody looked.
    gone = {job_id for job_id in jobs.keys() - waiting if _terms(jobs[job_id])["retention_ms"] is not None}
    swept = {job_id for job_id, job in jobs.items() if _terms(job)["kind"] == "demo.swept"}
    with serving(tmp_path, settings=SMALL | FOR_EVER, data_dir=data) as server:
        server.start()
        with Client(server.url) as client:
            _await_events(client, job_completed=to_run, job_cancelled=unwanted, job_deleted=gone | swept)
            shown = {job["id"]: job for job in client.done("list", limit=1000)["jobs"]}
        assert server.stop() == 0, server.errors()
    assert shown.keys() == jobs.keys() - gone - swept
    for job_id, job in shown.items():
        _expect_same_job(jobs[job_id], job)
        if job_id in to_run:
            assert (job["state"], job["result"]) == ("completed", job["args"])
        elif job_id in held:
            assert (job["state"], job["waits_for"]) == ("pending", "queue_paused")
        elif job_id in expired:
            assert (job["state"], job["reason"]) == ("dead", "expired")
        elif job_id in unwanted:
            assert (job["state"], job["reason"]) == ("cancelled", None)
        else:
            _expect_same_outcome(jobs[job_id], job)
    assert verify(RealDisk(str(data))).ok


def test_only_the_attempt_on_the_board_is_blamed_for_the_end_of_the_server(tmp_path: Path) -> None:
    """P12, by a real server on the committed files: of two leased jobs the one that had begun is rescued."""
    data = tmp_path / "data"
    shutil.copytree(HERE / "v1-killed", data)
    with serving(tmp_path, settings=SMALL | FOR_EVER, data_dir=data) as server:
        server.start()
        with Client(server.url) as client:
            _await_events(client, job_completed={"job-6", "job-7"})
            begun, leased = (client.done("get", job_id=job_id)["job"] for job_id in ("job-6", "job-7"))
    assert (begun["attempt"], begun["rescues"], len(begun["errors"])) == (2, 1, 1)
    assert (leased["attempt"], leased["rescues"], leased["errors"]) == (1, 0, [])


def test_schedules_rules_and_operations_of_an_earlier_version_go_on(tmp_path: Path) -> None:
    """P3, by a real server on the committed files: an operation is brought to its end, schedules and rules
    are as they were, and jobs that wait for others run after them."""
    data = tmp_path / "data"
    shutil.copytree(HERE / "v1b", data)
    state = json.loads((HERE / "v1b" / "state.json").read_text(encoding="utf-8"))
    with serving(tmp_path, settings=SMALL | FOR_EVER, data_dir=data) as server:
        server.start()
        with Client(server.url) as client:
            _await_events(client, job_completed={"waits-too", "last"}, job_deleted={"swept-3"})
            waits, after, last = (
                client.done("get", job_id=name)["job"] for name in ("waits", "waits-too", "last")
            )
            (operation,) = client.done("operations", operation_id="sweep")["operations"]
            schedules = {one["name"]: one for one in client.done("schedules")["schedules"]}
            queues = client.done("status")["status"]["queues"]
    assert waits["fence"] > 0
    assert min(after["fence"], last["fence"]) > waits["fence"]
    assert (operation["state"], operation["changed"], operation["refused"]) == ("completed", 4, 0)
    assert operation["to_look_at"] == operation["looked_at"] == 27
    # What the code declared of an earlier server is declared no more: its file says so.
    assert schedules.keys() == {one["name"] for one in state["schedules"] if one["source"] == "request"}
    for old in state["schedules"]:
        if old["source"] == "request":
            now = schedules[old["name"]]
            assert (now["paused"], now["fired"], now["last_job_id"]) == (
                old["paused"], old["fired"], old["last_job_id"],
            )  # fmt: skip
            assert _ms(now["created_at"]) == old["created_ms"]
    assert queues["narrow"]["rules"]["concurrency"] == 1
    assert queues["drained"]["draining"]
    rules = queues["limited"]["rules"]
    assert (rules["jobs_max"], rules["rate"], rules["key_concurrency"], rules["ageing"]) == (500, None, 2, 30)
    assert rules["key_rate"] == {"limit": 5, "period": 60, "burst": 3}


def _terms(job: Fields) -> Fields:
    return dict(zip(TERMS, job["terms"], strict=True))


def _await_events(client: Client, **wanted: set[str]) -> None:
    """Wait until each of these has happened to these jobs, by the stream of all that ever happened."""
    client.done("subscribe", topic="events", from_lsn=1, filter={"events": list(wanted)})
    left = {(event, job_id) for event, job_ids in wanted.items() for job_id in job_ids}
    while left:
        push = client.push()
        assert push["type"] in ("event", "gap"), push
        left.discard((push.get("event", ""), push.get("job_id", "")))


def _expect_same_job(job: Fields, shown: Fields) -> None:
    """What was asked for is what is shown."""
    terms = _terms(job)
    for name in ("kind", "queue", "priority", "max_attempts", "tags"):
        assert shown[name] == terms[name], name
    assert shown["timeout"] == (None if terms["timeout_ms"] is None else terms["timeout_ms"] / 1000)
    assert shown["retention"] == (None if terms["retention_ms"] is None else terms["retention_ms"] / 1000)
    assert shown["meta"] == json.loads(terms["meta"] or "{}")
    assert shown["backoff"]["kind"] == terms["backoff"][0]
    assert shown["args"] == json.loads(job["args"])
    assert _ms(shown["created_at"]) == job["created_ms"]
    assert _ms(shown["expires_at"]) == job["expires_at_ms"]
    errors = job["trail"]["errors"] if job["trail"] else []
    assert [[error["type"], error["message"]] for error in shown["errors"]][: len(errors)] == [
        [error[2], error[3]] for error in errors
    ]


def _expect_same_outcome(job: Fields, shown: Fields) -> None:
    """A finished job has not been touched."""
    trail = job["trail"]
    assert shown["state"] == job["state"]
    for name in ("attempt", "rescues", "fence", "lsn"):
        assert shown[name] == job[name], name
    assert shown["reason"] == trail["reason"]
    assert shown["result"] == (None if trail["result"] is None else json.loads(trail["result"]))
    assert _ms(shown["finished_at"]) == trail["finished_ms"]
    assert len(shown["errors"]) == len(trail["errors"])


def _ms(text: str | None) -> int | None:
    return None if text is None else round(datetime.fromisoformat(text).timestamp() * 1000)
