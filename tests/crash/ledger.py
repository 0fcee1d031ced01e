"""The ledger: what a client has sent, what it was told, and whether the server's account agrees with it.

It is kept outside the server, by the other side of the bargain, and believes nothing: `record` checks each
event as it comes, `reconcile` checks the final state of every job against answers and events. It decides
nothing about what is sent.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.crash.harness import Client, Message

MAX_RESCUES = 3
"""The server's default: after so many deaths under it, a job is poison."""

ENDS = {"job_completed": "completed", "job_died": "dead", "job_cancelled": "cancelled"}
"""The events that end a job, and the state they leave it in."""


@dataclass
class Ledger:
    """Everything that one client knows."""

    sent: dict[str, Message] = field(default_factory=dict)
    """Every job that ever left, by its id, as it was sent."""
    acknowledged: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    """Jobs that were asked to stop, whether or not the answer came."""
    unanswered: list[list[Message]] = field(default_factory=list)
    """Batches whose fate is unknown; to be sent again as they are (P5)."""
    duplicates: int = 0
    """Jobs that were answered as known already."""
    next_lsn: int = 1
    """The next event that is missing here."""
    history: dict[str, list[Message]] = field(default_factory=dict)
    """The events of each job, in order."""
    ended: set[str] = field(default_factory=set)
    """Jobs whose end was seen."""

    def send(self, batch: list[Message]) -> None:
        """A batch leaves."""
        self.sent.update({job["id"]: job for job in batch})

    def answer(self, batch: list[Message], reply: Message) -> None:
        """The answer to a batch has come."""
        assert reply["type"] == "ok", f"enqueue was refused: {reply}"
        assert [receipt["id"] for receipt in reply["jobs"]] == [job["id"] for job in batch]
        for receipt in reply["jobs"]:
            job_id = receipt["id"]
            if job_id in self.acknowledged:
                assert receipt["duplicate"], f"P5: {job_id} was acknowledged, and taken a second time"
            self.duplicates += receipt["duplicate"]
            self.acknowledged.add(job_id)

    def record(self, event: Message) -> None:
        """An event has come."""
        assert event["lsn"] == self.next_lsn, f"P10: expected event {self.next_lsn}, got {event}"
        self.next_lsn += 1
        job_id = event.get("job_id")
        if job_id is not None:
            self.history.setdefault(job_id, []).append(event)
            if event["event"] in ENDS:
                self.ended.add(job_id)

    @property
    def unfinished(self) -> set[str]:
        """Acknowledged jobs whose end has not been seen."""
        return self.acknowledged - self.ended

    def reconcile(self, jobs: list[Message]) -> None:
        """Hold the server's jobs, all of them, against what is written here."""
        listed = Counter(job["id"] for job in jobs)
        doubled = [job_id for job_id, count in listed.items() if count > 1]
        assert not doubled, f"P3: in more than one place: {doubled[:5]}"
        lost = self.acknowledged - listed.keys()
        assert not lost, f"P3: {len(lost)} acknowledged jobs are lost, such as {sorted(lost)[:5]}"
        assert listed.keys() <= self.sent.keys(), "jobs that nobody sent"
        for job in jobs:
            self._check(job)

    def _check(self, job: Message) -> None:
        job_id = job["id"]
        events = self.history.get(job_id, [])
        names = [event["event"] for event in events]
        story = f"{job_id}: {' '.join(names)}"
        assert names.count("job_enqueued") == 1, f"P5: enqueued more or less than once: {story}"
        assert names.count("job_completed") <= 1, f"P4: completed twice: {story}"
        end = events[-1]
        assert end["event"] in ENDS, f"P4: it went on after its end, or had none: {story}"
        assert job["state"] == ENDS[end["event"]], f"P3: {job['state']}, but {story}"
        starts = [event["lsn"] for event in events if event["event"] == "job_started"]
        assert all(event["fence"] in starts for event in events if "fence" in event), f"P2, P4: {story}"
        match job["state"]:
            case "completed":
                assert job["result"] == end["result"]
                self._check_result(job, names)
            case "cancelled":
                assert job_id in self.cancelled, f"cancelled by nobody: {story}"
            case "dead":
                self._check_death(job, names)

    def _check_result(self, job: Message, names: list[str]) -> None:
        sent = self.sent[job["id"]]
        args: dict[str, Any] = sent["args"]
        expected: object
        match sent["kind"]:
            case "demo.echo":
                expected = args
            case "demo.sleep":
                expected = args["seconds"]
            case _:  # demo.fail: it succeeds with the number of the attempt
                expected = names.count("job_started") - names.count("job_released")
                assert expected > args["times"]
        assert job["result"] == expected, f"{job['id']}: {job['result']}, expected {expected}"

    def _check_death(self, job: Message, names: list[str]) -> None:
        if job["reason"] == "poison":
            assert names.count("job_rescued") == MAX_RESCUES - 1, f"P12: {job['id']}: {names}"
        else:
            assert job["reason"] == "max_attempts", job
            assert "times" not in self.sent[job["id"]]["args"], f"it should have succeeded: {job}"


def all_jobs(client: Client) -> list[Message]:
    """Every job there is, page by page."""
    jobs: list[Message] = []
    after = None
    while True:
        page = client.done("list", limit=1000, after=after)
        jobs += page["jobs"]
        after = page["next"]
        if after is None:
            return jobs


def watch(client: Client, ledger: Ledger) -> None:
    """Subscribe from where the ledger ends. Read on with `follow`."""
    client.done("subscribe", topic="events", from_lsn=ledger.next_lsn, batch=500)


def follow(client: Client, ledger: Ledger) -> None:
    """Record the next push."""
    push = client.push()
    assert push["type"] == "events", f"P10: expected events from {ledger.next_lsn} on, got {json.dumps(push)}"
    for event in push["events"]:
        ledger.record(event)
