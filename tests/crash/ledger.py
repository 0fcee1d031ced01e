"""The ledger: what a client has sent, what it was told, and whether the server's account agrees with it.

It is kept outside the server, by the other side of the bargain, and believes nothing: `record` checks each
event as it comes; `reconcile` adds the final state of every job and has the history checker judge it all, as
it judges simulations. It decides nothing about what is sent.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from beaver_actors.testing.history import Call, History
from beaver_actors.testing.history_check import Rules, check, explain
from tests.crash.harness import Client, Message

RULES = Rules(max_rescues=3, max_attempts=25)
"""The server's defaults."""

ENDS = frozenset({"job_completed", "job_died", "job_cancelled"})
"""The events that end a job."""


@dataclass
class Ledger:
    """Everything that one client knows."""

    told: History = field(default_factory=History)
    """All of it, in order, for the checker."""
    sent: dict[str, Message] = field(default_factory=dict)
    """Every job that ever left, by its id, as it was sent."""
    acknowledged: set[str] = field(default_factory=set)
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
    _open: dict[str, deque[Call]] = field(default_factory=dict)
    """Enqueues without an answer, by their first job; replies come in the order of their requests."""

    def send(self, batch: list[Message]) -> None:
        """A batch leaves."""
        self.sent.update({job["id"]: job for job in batch})
        call = self.told.call("client", {"type": "enqueue", "jobs": batch})
        self._open.setdefault(batch[0]["id"], deque()).append(call)

    def answer(self, batch: list[Message], reply: Message) -> None:
        """The answer to a batch has come."""
        assert reply["type"] == "ok", f"enqueue was refused: {reply}"
        assert [receipt["id"] for receipt in reply["jobs"]] == [job["id"] for job in batch]
        self.told.answer(self._open[batch[0]["id"]].popleft(), reply)
        for receipt in reply["jobs"]:
            self.duplicates += receipt["duplicate"]
            self.acknowledged.add(receipt["id"])

    def refuse(self, batch: list[Message], reply: Message) -> None:
        """A batch was refused, and nothing of it is there."""
        self.told.answer(self._open[batch[0]["id"]].popleft(), reply)

    def lose(self, batches: list[list[Message]]) -> None:
        """The connection is gone, and these have no answer: they may have been carried out, or may yet be."""
        self.unanswered += batches
        self._open.clear()

    def cancel(self, job_ids: list[str]) -> None:
        """A request to stop these jobs leaves. Whether it is answered changes nothing here."""
        self.told.call("client", {"type": "cancel", "job_ids": job_ids})

    def record(self, event: Message) -> None:
        """An event has come."""
        assert event["lsn"] == self.next_lsn, f"P10: expected event {self.next_lsn}, got {event}"
        self.next_lsn += 1
        self.told.see("watcher", event)
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
        listing = self.told.call("client", {"type": "list"})
        self.told.answer(listing, {"type": "ok", "jobs": jobs, "next": None})
        violations = check(self.told, RULES)
        assert not violations, explain(self.told, violations[:5])
        lost = self.acknowledged - {job["id"] for job in jobs}
        assert not lost, f"P3: {len(lost)} acknowledged jobs are lost, such as {sorted(lost)[:5]}"
        for job in jobs:
            names = [event["event"] for event in self.history[job["id"]]]
            assert names[-1] in ENDS, f"it has no end: {job['id']}: {names}"
            if job["state"] == "completed":
                self._check_result(job, names)
            elif job["state"] == "dead" and job["reason"] != "poison":
                assert job["reason"] == "max_attempts", job
                assert "times" not in self.sent[job["id"]]["args"], f"it should have succeeded: {job}"

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
