"""The storm: one server, ended again and again at moments of chance, under a load of everything.

One life: start, resume the watch, send again what was not answered, then new jobs and cancels as fast as
they are answered, until the end. The seed decides what is sent and when the end comes; what the machine makes
of it is its own, so a seed repeats the plan and not the run. How a life is ended, by `kill -9` or worse, is
the caller's business.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock, Thread, Timer
from typing import Any

from tests.crash.harness import Client, Gone, Message, Server
from tests.crash.ledger import Ledger, all_jobs, follow, watch

SEED = "BEAVER_CRASH_SEED"

JOBS_MAX = 60
"""New jobs in one life: more than the workers get done in it, few enough to be finished in the end."""
UNDER_WAY_MAX = 8
"""Requests that wait for their answer at the same time."""
SPANS = (0.05, 0.2, 0.2, 0.6, 0.6, 2.0)
"""Seconds within which the end comes: mostly soon after the start, now and then after a snapshot."""
COLD = 0.05
"""The share of lives that are started by the plain command, imports and all."""
DURING_START = 0.15
"""The share of lives that end before the server is ready."""

SETTINGS = {
    "BEAVER_WAL__SEGMENT_SIZE": "64KiB",
    "BEAVER_WAL__RESERVE_SIZE": "1MiB",
    # Snapshots all the time, so that the end meets them too; one more kept, for the watch to catch up.
    "BEAVER_SNAPSHOT__INTERVAL": "300ms",
    "BEAVER_SNAPSHOT__LOG_SIZE": "64KiB",
    "BEAVER_SNAPSHOT__KEEP": "3",
}


def drawn_seed() -> int:
    """A new seed, or the one that BEAVER_CRASH_SEED asks for. It is printed: pytest shows it on failure."""
    seed = int(os.environ.get(SEED) or random.SystemRandom().getrandbits(32))
    sys.stdout.write(f"\n{SEED}={seed}\n")
    return seed


@dataclass
class Report:
    """What came of it."""

    lives: int = 0
    during_start: int = 0
    """Ends before the server was ready."""
    recovery_seconds_max: float = 0.0
    torn: int = 0
    """Recoveries that cut an interrupted write."""
    rescued: int = 0
    refused: int = 0
    """Requests that found no room."""
    snapshots: int = 0

    def figures(self, ledger: Ledger) -> dict[str, Any]:
        """To be called when everything has added up: nothing is lost or doubled then."""
        names = [event["event"] for events in ledger.history.values() for event in events]
        return {
            "lives": self.lives,
            "during_start": self.during_start,
            "acknowledged": len(ledger.acknowledged),
            "completed": names.count("job_completed"),
            "cancelled": names.count("job_cancelled"),
            "dead": names.count("job_died"),
            "lost": 0,
            "doubled": 0,
            "resent": ledger.duplicates,
            "refused": self.refused,
            "rescued": self.rescued,
            "torn": self.torn,
            "snapshots": self.snapshots,
            "events": ledger.next_lsn - 1,
            "recovery_seconds_max": round(self.recovery_seconds_max, 3),
        }


class Storm:
    """A server, a ledger, and chance.

    Args:
        strike: how a life is ended, by default with `kill -9`; the server is gone, or about to go, when it
            returns. Called once per life, from any thread.
        may_refuse: the disk may be full: jobs that find no room are sent again later.
    """

    def __init__(
        self,
        server: Server,
        seed: int,
        *,
        strike: Callable[[], None] | None = None,
        may_refuse: bool = False,
    ) -> None:
        self.server = server
        self.ledger = Ledger()
        self.report = Report()
        self.chance = random.Random(seed)
        self._strike_hard = strike or server.kill
        self._may_refuse = may_refuse
        self._striking = Lock()
        self._struck = False
        self._jobs = 0
        self._start_seconds = {True: 0.5, False: 0.05}
        """What a start takes: a cold one, a forged one."""
        self._answers_left = 0
        self._under_way: deque[list[Message]] = deque()
        """Requests without an answer, in order: the batch of an enqueue, nothing for a cancel."""
        self._answered: deque[list[Message]] = deque(maxlen=100)

    def life(self, start: Callable[[], None] | None = None, *, strike_after: float | None = None) -> int:
        """Start the server, load it, and end it at some moment.

        Args:
            start: starts the process in a way of its own; it is not struck before it is ready then.
            strike_after: seconds, for one that is expected to end by itself before that.

        Returns:
            The exit code.
        """
        self.report.lives += 1
        self._struck = False
        cold = self.chance.random() < COLD
        began = time.monotonic()
        if start is not None:
            start()
        elif cold:
            self.server.spawn()
        else:
            self.server.fork()
        if start is None and self.chance.random() < DURING_START:
            self._strike_during_start(cold)
        elif self.server.comes_up():
            self._note(self.server.ready)
            if start is None:
                self._start_seconds[cold] = time.monotonic() - began
            self._load_until_struck(strike_after)
        return self.server.end()

    def calm(self) -> None:
        """A last life without an end: everything is finished and accounted for, and the stop is orderly."""
        self._note(self.server.start().ready)
        with Client(self.server.url) as client:
            while self.ledger.unanswered or self._under_way:
                while self.ledger.unanswered:
                    self._enqueue(client, self.ledger.unanswered.pop(0))
                self._take_answer(client)
            with Client(self.server.url) as watcher:
                watch(watcher, self.ledger)
                while self.ledger.unfinished:
                    follow(watcher, self.ledger)
            self.ledger.reconcile(all_jobs(client))
        assert self.server.stop() == 0
        self.server.await_no_family()
        self.report.snapshots = len(self.server.log_lines("snapshot taken"))

    def _strike(self) -> None:
        with self._striking:
            if not self._struck:
                self._struck = True
                self._strike_hard()

    def _strike_during_start(self, cold: bool) -> None:
        self.report.during_start += 1
        try:
            self.server.process.wait(self.chance.random() * self._start_seconds[cold])
        except subprocess.TimeoutExpired:
            self._strike()
        else:
            raise AssertionError(f"the server ended by itself:\n{self.server.errors()}")

    def _note(self, ready: Message) -> None:
        recovery, report = ready["recovery"], self.report
        report.recovery_seconds_max = max(report.recovery_seconds_max, recovery["seconds"])
        report.torn += recovery["torn_bytes"] > 0
        report.rescued += recovery["rescued"]

    def _load_until_struck(self, seconds: float | None) -> None:
        self._answers_left = 1_000_000
        if seconds is None:
            # Half of the ends come after so many answers: in the middle of the load, with requests under way.
            self._answers_left = self.chance.choice((self.chance.randrange(60), 1_000_000))
            seconds = self.chance.choice(SPANS) * self.chance.random()
        timer = Timer(seconds, self._strike)
        timer.start()
        try:
            self._load()
        finally:
            timer.cancel()
            timer.join()

    def _load(self) -> None:
        """Watch, and send what there is, until the server is gone."""
        failures: list[BaseException] = []
        watcher = Thread(target=self._watch, args=(failures,), name="watch")
        watcher.start()
        try:
            with Client(self.server.url) as client:
                for _ in range(len(self.ledger.unanswered)):
                    self._enqueue(client, self.ledger.unanswered.pop(0))
                most = self._jobs + JOBS_MAX
                while self._jobs < most:
                    self._request_something(client)
                while True:
                    self._take_answer(client)
        except Gone:
            pass
        finally:
            self.ledger.lose([batch for batch in self._under_way if batch])
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
        chance = self.chance.random()
        if chance < 0.1 and self._answered:
            batch = self.chance.choice(self._answered)
            job_ids = [job["id"] for job in self.chance.sample(batch, min(3, len(batch)))]
            self.ledger.cancel(job_ids)
            self._under_way.append([])
            client.post("cancel", job_ids=job_ids)
        elif chance < 0.15 and self._answered:
            self._enqueue(client, self.chance.choice(self._answered))
        else:
            self._enqueue(client, [self._new_job() for _ in range(self.chance.choice((1, 1, 5, 20)))])
        while len(self._under_way) > self.chance.choice((0, UNDER_WAY_MAX)):
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
            self._strike()
        batch = self._under_way.popleft()
        if batch and self._may_refuse and reply.get("code") == "storage_full":
            self.report.refused += 1
            self.ledger.refuse(batch, reply)
            self.ledger.unanswered.append(batch)
        elif batch:
            self.ledger.answer(batch, reply)
            self._answered.append(batch)
        else:
            assert reply["type"] == "ok", reply

    def _new_job(self) -> Message:
        self._jobs += 1
        number, chance = self._jobs, self.chance.random()
        job: Message = {"id": f"job-{number}", "queue": self.chance.choice(("default", "mail"))}
        if chance < 0.6:
            return {**job, "kind": "demo.echo", "args": {"number": number, "text": "é" * (number % 50)}}
        if chance < 0.7:
            delay = round(self.chance.random(), 3)
            return {**job, "kind": "demo.echo", "args": {"number": number}, "delay": delay}
        if chance < 0.8:
            seconds = round(0.1 * self.chance.random(), 3)
            return {**job, "kind": "demo.sleep", "args": {"seconds": seconds}}
        retry = {"kind": "demo.fail", "backoff": {"kind": "fixed", "delay": 0.05}}
        if chance < 0.95:
            return {**job, **retry, "args": {"times": self.chance.choice((1, 2))}}
        return {**job, **retry, "args": {"message": "no"}, "max_attempts": 2}
