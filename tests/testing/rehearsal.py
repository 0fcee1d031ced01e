"""A queue without a server, whose clients, watchers and handlers tell a history and an oracle what they hear.

The core decides, and requests and answers take the way over the wire. Each request can be left waiting, be
carried out later, and have its answer delayed or lost, so that everything can overlap.
"""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import count
from random import Random
from typing import Any

import msgspec
from hypothesis import strategies as st

from beaver_actors.client.views import OperationInfo
from beaver_actors.codec.ids import JobIds
from beaver_actors.codec.wire_answers import NodeView, reply, status_reply
from beaver_actors.codec.wire_commands import to_command
from beaver_actors.codec.wire_decode import Limits, decode_request, encode
from beaver_actors.codec.wire_events import event_json
from beaver_actors.codec.wire_jobs import Defaults
from beaver_actors.core.answers import LeasedJob, Status
from beaver_actors.core.commands import Command, Enqueue, Policy, StartOperation, Tick
from beaver_actors.core.job import JobError
from beaver_actors.core.operation import OPERATION_WORDS
from beaver_actors.core.outcome import (
    Crashed,
    Failed,
    Outcome,
    Rejected,
    Released,
    Snoozed,
    Stopped,
    Succeeded,
    TimedOut,
)
from beaver_actors.core.state import State
from beaver_actors.testing.history import Call, History
from beaver_actors.testing.oracle import Oracle
from beaver_actors.testing.playbook import Playbook

WISHES = ("cancel", "retry", "delete")
OUTCOMES: tuple[Outcome, ...] = (
    Succeeded(b"1"),
    Succeeded(b'{"pages": [1, 2]}'),
    Succeeded(),
    Failed(JobError("KeyError", "k")),
    Failed(JobError("KeyError", "k"), 0),
    TimedOut(JobError("Timeout", "too slow")),
    Rejected(JobError("ValueError", "never")),
    Crashed(JobError("WorkerDied", "gone")),
    Snoozed(5),
    Stopped(),
    Released(),
)


@dataclass(eq=False)
class Letter:
    """A request on its way."""

    call: Call
    command: Command
    answer: dict[str, Any] | None = None


class Rehearsal:
    """One queue and everyone around it."""

    def __init__(self, policy: Policy | None = None, *, retention: bool = False) -> None:
        self.book = Playbook(policy)
        self.history = History()
        self.oracle = Oracle(self.book.policy, retention=retention)
        self.oracle.recovered(deepcopy(self.book.state))
        self.running: list[LeasedJob] = []
        self.places: dict[str, int] = {}

    def leave(self, client: str, kind: str, **fields: object) -> Letter:
        """A request leaves its client."""
        request = {"type": kind, **fields}
        decoded: Any = decode_request(json.dumps({**request, "id": "1"}), Limits())
        command = to_command(decoded, JobIds(lambda: 0, Random(0).getrandbits), Limits(), Defaults())
        if isinstance(command, Enqueue):
            self.oracle.sent(command.jobs)
        elif kind in WISHES:
            self.oracle.asked(kind, decoded.job_ids)
        elif isinstance(command, StartOperation):
            self.oracle.sweeps.sent(command.operation_id, command.word, command.wanted)
        return Letter(self.history.call(client, request), command)

    def carry_out(self, letter: Letter) -> None:
        """It reaches the queue."""
        answer = self.book.do(letter.command)
        if isinstance(answer, Status):
            message = encode(
                status_reply("1", answer, NodeView("1", 0, False, 1, 1), self.book.now_ms), "json"
            )
        else:
            message = encode(reply("1", answer), "json")
        letter.answer = json.loads(message)

    def hear(self, letter: Letter) -> dict[str, Any]:
        """Its answer reaches the client."""
        answer, kind = letter.answer, letter.call.request["type"]
        assert answer is not None, "it was not carried out yet"
        self.history.answer(letter.call, answer)
        granted = answer["type"] == "ok"
        if isinstance(letter.command, Enqueue):
            if granted:
                self.oracle.answered(letter.command.jobs, _arrivals(answer), answer["lsn"])
            else:
                self.oracle.refused(letter.command.jobs, answer["code"], answer["retry_after"])
        elif kind in WISHES and granted:
            self.oracle.changed(kind, answer["changes"], answer["lsn"])
        elif kind in WISHES:
            self.oracle.denied(kind, letter.call.request["job_ids"])
        elif isinstance(letter.command, StartOperation):
            info = msgspec.convert(answer["operation"], OperationInfo) if granted else None
            self.oracle.sweeps.answered(info, letter.command.operation_id)
        elif granted and kind in ("get", "list"):
            for job in answer["jobs"] if kind == "list" else [answer["job"]]:
                self.oracle.shown(job)
        return answer

    def ask(self, kind: str, client: str = "ann", **fields: object) -> dict[str, Any]:
        """All of it at once."""
        letter = self.leave(client, kind, **fields)
        self.carry_out(letter)
        return self.hear(letter)

    def enqueue(self, *job_ids: str, **fields: object) -> dict[str, Any]:
        """Enqueue jobs of the kind `work`, alike but for their ids."""
        return self.ask("enqueue", jobs=[{"kind": "work", **fields, "id": job_id} for job_id in job_ids])

    def watch(self, watcher: str, from_lsn: int = 1) -> None:
        """Subscribe, or do so again."""
        self.places[watcher] = from_lsn
        self.history.watch(watcher, from_lsn)
        self.oracle.subscribed(watcher, from_lsn)

    def follow(self, watcher: str, count: int | None = None) -> None:
        """The watcher is told of that many events, or of all."""
        first = self.places[watcher]
        facts = self.book.log[first - 1 :][:count]
        for lsn, fact in enumerate(facts, first):
            event = json.loads(event_json(lsn, fact))
            self.history.see(watcher, event)
            self.oracle.event(watcher, event)
        self.places[watcher] = first + len(facts)

    def skip(self, watcher: str, count: int) -> None:
        """The watcher is told that that many events are gone."""
        first = self.places[watcher]
        last = min(first + count - 1, self.book.state.lsn)
        if last >= first:
            self.history.miss(watcher, first, last)
            self.oracle.gap(watcher, first, last)
            self.places[watcher] = last + 1

    def begin(self, limit: int = 1) -> list[LeasedJob]:
        """Handlers begin."""
        leases = list(self.book.lease(limit))
        for lease in leases:
            self.history.began(lease.job_id, lease.attempt, lease.fence)
            self.oracle.began(lease.job_id, lease.attempt, lease.fence)
        self.running += leases
        return leases

    def end(self, lease: LeasedJob, outcome: Outcome, *, report: bool = True) -> None:
        """A handler ends; without a report, only it knows."""
        self.running.remove(lease)
        if isinstance(outcome, Succeeded):
            result = None if outcome.result is None else json.loads(outcome.result)
            self.history.ended(lease.job_id, lease.fence, "succeeded", result)
        else:
            self.history.ended(lease.job_id, lease.fence, type(outcome).__name__.lower())
        self.oracle.ended(lease.job_id, lease.fence, outcome)
        if report:
            self.book.finish(lease, outcome)

    def run(self, outcome: Outcome, limit: int = 1) -> None:
        """Handlers begin and end."""
        for lease in self.begin(limit):
            self.end(lease, outcome)

    def crash(self, *, blame: bool = True) -> None:
        """The server dies, and comes back with what it had written."""
        self.oracle.recovered(self.book.replayed())
        self.book.crash(lease.fence for lease in self.running if blame)
        self.running.clear()

    def wait(self, time_ms: int) -> None:
        """Time passes, and does what it must."""
        self.book.pass_time(time_ms)
        self.book.do(Tick())

    def state(self) -> State:
        """The state as replayed from the disk; changing it changes nothing."""
        return self.book.replayed()

    def look_at_everything(self) -> None:
        """All events are told to two watchers, all jobs shown one by one and in one listing."""
        for watcher in ("first", "second"):
            self.watch(watcher)
            self.follow(watcher)
        for job_id in self.oracle.notes.jobs:
            self.ask("get", job_id=job_id)
        self.ask("list", limit=1000)
        self.ask("status")


class Chance:
    """What happens in a rehearsal, drawn from a seed: anything that may happen around a correct queue."""

    def __init__(self, seed: int, *, retention: bool, sweeps: bool) -> None:
        self.random = random = Random(seed)
        rules = Policy(frozenset({"work"}), pending_jobs_max=random.choice((4, 1000)))
        if retention:
            rules = replace(rules, completed_kept=1, dead_kept=1, cancelled_kept=1)
        self.play = Rehearsal(rules, retention=retention)
        self.play.watch("carl")
        self._steps = [*STEPS, "sweep"] if sweeps else STEPS
        self.sent: list[dict[str, Any]] = []
        self.letters: list[Letter] = []
        """Requests that have not arrived, or whose answers have not."""

    def step(self) -> None:
        """Something happens."""
        random, play = self.random, self.play
        letter = random.choice(self.letters) if self.letters else None
        lease = random.choice(play.running) if play.running else None
        match random.choice(self._steps):
            case "enqueue":
                self.enqueue(1)
            case "batch":
                self.enqueue(3)
            case "again" if self.sent:
                self.post("enqueue", jobs=[random.choice(self.sent)])
            case "other" if self.sent:
                self.post("enqueue", jobs=[random.choice(self.sent) | {"args": {"n": -1}}])
            case "wish" if self.sent:
                job_ids = sorted({job["id"] for job in random.choices(self.sent[-6:], k=2)})
                self.post(random.choice(WISHES), job_ids=job_ids)
            case "sweep":
                word, state = random.choice(OPERATION_WORDS), random.choice(("dead", "cancelled"))
                operation_id = f"sweep-{len(self.play.oracle.notes.sweeps)}"
                self.post("operate", operation_id=operation_id, word=word, state=state)
            case "get" if self.sent:
                self.post("get", job_id=random.choice(self.sent)["id"])
            case "list" | "status" as kind:
                self.post(kind)
            case "begin":
                play.begin(random.randint(1, 2))
            case "end" if lease is not None:
                play.end(lease, random.choice(OUTCOMES), report=random.random() < 0.9)
            case "wait":
                play.wait(random.choice((1, 10, 60_000, 1_900_000)))
            case "crash":
                play.crash(blame=random.random() < 0.7)
            case "follow":
                play.follow("carl", random.randint(1, 9))
            case "skip":
                play.skip("carl", random.randint(1, 3))
            case "hear" if letter is not None:
                if letter.answer is None:
                    play.carry_out(letter)
                else:
                    play.hear(letter)
                    self.letters.remove(letter)
            case "forget" if letter is not None:
                self.letters.remove(letter)  # whether or not it was carried out, nobody will hear

    def enqueue(self, count: int) -> None:
        jobs: list[dict[str, Any]] = []
        for _ in range(count):
            number = len(self.sent) + len(jobs) + 1
            extra: dict[str, Any] = self.random.choice(
                ({}, {"delay": 0.005}, {"queue": "slow", "tags": ["t"]})
            )
            max_attempts = self.random.choice((1, 2, 25))
            jobs.append(
                {"id": f"job-{number}", "kind": "work", "args": {"n": number}, "max_attempts": max_attempts}
                | extra
            )
        self.sent += jobs
        self.post("enqueue", jobs=jobs)

    def post(self, kind: str, **fields: object) -> None:
        """A request leaves; it may arrive now or later, and its answer too."""
        letter = self.play.leave(self.random.choice(("ann", "bob")), kind, **fields)
        patience = self.random.random()
        if patience < 0.8:
            self.play.carry_out(letter)
        if patience < 0.6:
            self.play.hear(letter)
        else:
            self.letters.append(letter)


STEPS = (
    ["enqueue"] * 4 + ["begin"] * 6 + ["end"] * 6 + ["hear"] * 4 + ["wish"] * 3 + ["get"] * 2 + ["follow"] * 2
    + ["wait"] * 2 + ["batch", "again", "other", "list", "status", "crash", "skip", "forget"]
)  # fmt: skip


def rehearse(seed: int, steps: int, retention: bool, sweeps: bool = False) -> Rehearsal:
    """Let so much happen, then look at everything closely. `sweeps`: with operations on many jobs, after
    which nobody can be sure of any."""
    chance = Chance(seed, retention=retention, sweeps=sweeps)
    for _ in range(steps):
        chance.step()
    chance.play.follow("carl")
    chance.play.look_at_everything()
    chance.play.oracle.check(chance.play.state())
    return chance.play


def rehearsals(*, retention: bool | None = None) -> st.SearchStrategy[Rehearsal]:
    """Rehearsals of up to 120 steps.

    Args:
        retention: whether time deletes jobs; None for either.
    """
    either = st.booleans() if retention is None else st.just(retention)
    return st.builds(rehearse, st.integers(0, 2**32), st.integers(1, 120), either, st.booleans())


def _arrivals(answer: dict[str, Any]) -> list[int | None]:
    """For each receipt the LSN of its job's arrival; None for a duplicate."""
    receipts, lsn = answer["jobs"], answer["lsn"]
    fresh = count(lsn + 1 - sum(not receipt["duplicate"] for receipt in receipts))
    return [None if receipt["duplicate"] else receipt.get("lsn", next(fresh)) for receipt in receipts]
