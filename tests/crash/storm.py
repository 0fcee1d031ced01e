"""The storm: one server, killed again and again at moments of chance, under a load of everything.

One life: start, resume the watch, send again what was not answered, then new jobs and cancels as fast as they
are answered, until the kill. The seed decides what is sent and when the process is killed; what the machine
makes of it is its own, so a seed repeats the plan and not the run.
"""

from __future__ import annotations

import random
import subprocess
import time
from collections import deque
from dataclasses import dataclass
from threading import Thread, Timer

from tests.crash.harness import Client, Gone, Message, Server
from tests.crash.ledger import Ledger, all_jobs, follow, watch

JOBS_MAX = 150
"""New jobs in one life: more than the workers get done in it, few enough to be finished in the end."""
UNDER_WAY_MAX = 8
"""Requests that wait for their answer at the same time."""
SPANS = (0.1, 0.4, 0.4, 1.2, 1.2, 4.0)
"""Seconds within which the kill comes: mostly soon after the start, now and then after a snapshot."""

SETTINGS = {
    "BEAVER_WAL__SEGMENT_SIZE": "64KiB",
    "BEAVER_WAL__RESERVE_SIZE": "1MiB",
    # Snapshots all the time, so that kills meet them too; one more kept, for the watch to catch up.
    "BEAVER_SNAPSHOT__INTERVAL": "300ms",
    "BEAVER_SNAPSHOT__LOG_SIZE": "64KiB",
    "BEAVER_SNAPSHOT__KEEP": "3",
}


@dataclass
class Report:
    """What came of it."""

    lives: int = 0
    during_start: int = 0
    """Kills before the server was ready."""
    recovery_seconds_max: float = 0.0
    torn: int = 0
    """Recoveries that cut an interrupted write."""
    rescued: int = 0
    snapshots: int = 0

    def line(self, ledger: Ledger) -> str:
        names = [event["event"] for events in ledger.history.values() for event in events]
        return (
            f"{self.lives} kills ({self.during_start} during the start), "
            f"{len(ledger.acknowledged)} jobs acknowledged, {names.count('job_completed')} completed, "
            f"{names.count('job_cancelled')} cancelled, {names.count('job_died')} dead, 0 lost, 0 doubled, "
            f"{ledger.duplicates} resent and recognised, {self.rescued} attempts rescued, "
            f"{self.torn} torn writes cut, {self.snapshots} snapshots, {ledger.next_lsn - 1} events, "
            f"slowest recovery {self.recovery_seconds_max:.3f} s"
        )


class Storm:
    """A server, a ledger, and chance."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.ledger = Ledger()
        self.report = Report()
        self._chance = random.Random(seed)
        self._jobs = 0
        self._start_seconds = 0.5
        self._answers_left = 0
        self._under_way: deque[list[Message]] = deque()
        """Requests without an answer, in order: the batch of an enqueue, nothing for a cancel."""
        self._answered: deque[list[Message]] = deque(maxlen=100)

    def life(self) -> None:
        """Start the server, load it, and kill it at some moment."""
        self.report.lives += 1
        began = time.monotonic()
        self.server.spawn()
        if self._chance.random() < 0.15:
            self._kill_during_start()
            return
        self._note(self.server.await_ready())
        self._start_seconds = time.monotonic() - began
        # Half of the kills come after so many answers: in the middle of the load, with requests under way.
        self._answers_left = self._chance.choice((self._chance.randrange(60), 1_000_000))
        kill = Timer(self._chance.choice(SPANS) * self._chance.random(), self.server.kill)
        kill.start()
        try:
            self._load()
        finally:
            kill.join()

    def calm(self) -> None:
        """A last life without a kill: everything is finished and accounted for, and the end is orderly."""
        self._note(self.server.start().ready)
        with Client(self.server.url) as client:
            while self.ledger.unanswered:
                self._enqueue(client, self.ledger.unanswered.pop())
            while self._under_way:
                self._take_answer(client)
            with Client(self.server.url) as watcher:
                watch(watcher, self.ledger)
                while self.ledger.unfinished:
                    follow(watcher, self.ledger)
            self.ledger.reconcile(all_jobs(client))
        assert self.server.stop() == 0
        self.server.await_no_family()
        assert "Traceback" not in self.server.errors(), self.server.errors()
        self.report.snapshots = len(self.server.log_lines("snapshot taken"))

    def _kill_during_start(self) -> None:
        self.report.during_start += 1
        try:
            self.server.process.wait(self._chance.random() * self._start_seconds)
        except subprocess.TimeoutExpired:
            self.server.kill()
        else:
            raise AssertionError(f"the server ended by itself:\n{self.server.errors()}")

    def _note(self, ready: Message) -> None:
        recovery, report = ready["recovery"], self.report
        report.recovery_seconds_max = max(report.recovery_seconds_max, recovery["seconds"])
        report.torn += recovery["torn_bytes"] > 0
        report.rescued += recovery["rescued"]

    def _load(self) -> None:
        """Watch, and send what there is, until the server is gone."""
        failures: list[BaseException] = []
        watcher = Thread(target=self._watch, args=(failures,), name="watch")
        watcher.start()
        try:
            with Client(self.server.url) as client:
                while self.ledger.unanswered:
                    self._enqueue(client, self.ledger.unanswered.pop(0))
                most = self._jobs + JOBS_MAX
                while self._jobs < most:
                    self._request_something(client)
                while True:
                    self._take_answer(client)
        except Gone:
            pass
        finally:
            self.ledger.unanswered += [batch for batch in self._under_way if batch]
            self._under_way.clear()
            watcher.join()
        if failures:
            raise failures[0]

    def _watch(self, failures: list[BaseException]) -> None:
        try:
            with Client(self.server.url) as client:
                watch(client, self.ledger)
                while True:
                    follow(client, self.ledger)
        except Gone:
            pass
        except BaseException as error:  # noqa: BLE001  # raised again by the one who started this thread
            failures.append(error)

    def _request_something(self, client: Client) -> None:
        chance = self._chance.random()
        if chance < 0.1 and self._answered:
            batch = self._chance.choice(self._answered)
            job_ids = [job["id"] for job in self._chance.sample(batch, min(3, len(batch)))]
            self.ledger.cancelled.update(job_ids)
            self._under_way.append([])
            client.post("cancel", job_ids=job_ids)
        elif chance < 0.15 and self._answered:
            self._enqueue(client, self._chance.choice(self._answered))
        else:
            self._enqueue(client, [self._new_job() for _ in range(self._chance.choice((1, 1, 5, 20)))])
        while len(self._under_way) > self._chance.choice((0, UNDER_WAY_MAX)):
            self._take_answer(client)

    def _enqueue(self, client: Client, batch: list[Message]) -> None:
        self.ledger.send(batch)
        self._under_way.append(batch)
        client.post("enqueue", jobs=batch)

    def _take_answer(self, client: Client) -> None:
        """Replies come in the order of their requests."""
        reply = client.receive()
        self._answers_left -= 1
        if self._answers_left == 0:
            self.server.process.kill()
        batch = self._under_way.popleft()
        if batch:
            self.ledger.answer(batch, reply)
            self._answered.append(batch)
        else:
            assert reply["type"] == "ok", reply

    def _new_job(self) -> Message:
        self._jobs += 1
        number, chance = self._jobs, self._chance.random()
        job: Message = {"id": f"job-{number}", "queue": self._chance.choice(("default", "mail"))}
        if chance < 0.6:
            return {**job, "kind": "demo.echo", "args": {"number": number, "text": "é" * (number % 50)}}
        if chance < 0.7:
            delay = round(self._chance.random(), 3)
            return {**job, "kind": "demo.echo", "args": {"number": number}, "delay": delay}
        if chance < 0.8:
            seconds = round(0.2 * self._chance.random(), 3)
            return {**job, "kind": "demo.sleep", "args": {"seconds": seconds}}
        retry = {"kind": "demo.fail", "backoff": {"kind": "fixed", "delay": 0.05}}
        if chance < 0.95:
            return {**job, **retry, "args": {"times": self._chance.choice((1, 2))}}
        return {**job, **retry, "args": {"message": "no"}, "max_attempts": 2}
