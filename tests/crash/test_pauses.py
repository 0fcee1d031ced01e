"""A server that stands still (SIGSTOP) for longer than its clients and its jobs wait, and goes on."""

from __future__ import annotations

import json
import queue
import random
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import pytest

from beaver_actors.client import sync_opening, websockets_peer
from beaver_actors.client.sync import connect, new_job
from tests.crash.figures import figures
from tests.crash.harness import SMALL, WAIT_SECONDS, Client, Message, Server, serving
from tests.crash.ledger import Ledger, all_jobs, follow, watch
from tests.crash.storm import drawn_seed

pytestmark = pytest.mark.process

PAUSES = 5
PAUSE_SECONDS = 1.0
PING_SECONDS = 0.2
"""And as long for the answer, and for a goodbye: a pause is longer than all of that together."""
FEEDERS = 3

SETTINGS = {
    **SMALL,
    "BEAVER_SERVER__PING_INTERVAL": "200ms",
    "BEAVER_SERVER__PING_TIMEOUT": "200ms",
    "BEAVER_WORKERS__TIMEOUT_GRACE": "100ms",
}


def batch_of(name: str, chance: random.Random) -> list[Message]:
    """Jobs that take no time, jobs that a pause makes too slow, jobs that fail once."""
    seconds = round(0.2 * chance.random(), 3)
    again: Message = {"backoff": [0.05]}
    return [
        {"id": f"{name}-echo", "kind": "demo.echo", "args": {"name": name}},
        {"id": f"{name}-sleep", "kind": "demo.sleep", "args": {"seconds": seconds}, "timeout": 0.5, **again},
        {"id": f"{name}-fail", "kind": "demo.fail", "args": {"times": 1}, **again},
    ]


class Feeders:
    """Threads with a client each, of those that users have: hand in some jobs, wait for their results."""

    def __init__(self, server: Server, ledger: Ledger, seed: int) -> None:
        self.rounds: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        """Gets something whenever a round is done; an error if it could not be."""
        self._server = server
        self._ledger = ledger
        self._enough = Event()
        self._threads = [
            Thread(target=self._feed, args=(f"feeder{n}", random.Random(f"{seed} {n}")))
            for n in range(FEEDERS)
        ]
        for thread in self._threads:
            thread.start()

    def await_rounds(self, count: int) -> None:
        for _ in range(count):
            error = self.rounds.get(timeout=WAIT_SECONDS)
            if error is not None:
                raise error

    def finish(self) -> None:
        """Let everyone finish the round that is under way."""
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def _feed(self, name: str, chance: random.Random) -> None:
        try:
            with connect(self._server.url, timeout=WAIT_SECONDS) as client:
                number = 0
                while not self._enough.is_set():
                    number += 1
                    batch = batch_of(f"{name}-{number}", chance)
                    self._ledger.send(batch)
                    jobs = client.enqueue_many([new_job(**job) for job in batch])
                    self._ledger.acknowledged.update(job.id for job in jobs)
                    for ended in client.wait_all(jobs, timeout=WAIT_SECONDS):
                        ended.value()
                    self.rounds.put(None)
        except BaseException as error:  # noqa: BLE001  # raised again by the one who waits for the rounds
            self.rounds.put(error)


def test_a_server_that_stands_still_for_a_while_finds_its_clients_and_its_jobs_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P3, P4, P5: clients take it for dead and come back, attempts are over time; every result is right."""
    for patience in ("PING_SECONDS", "PONG_SECONDS", "CLOSE_SECONDS"):
        monkeypatch.setattr(websockets_peer, patience, PING_SECONDS)
    connected: list[object] = []
    opening = sync_opening.Opener.open

    def open_counted(opener: sync_opening.Opener) -> sync_opening.Connection:
        connected.append(opener)
        return opening(opener)

    monkeypatch.setattr(sync_opening.Opener, "open", open_counted)
    seed = drawn_seed()
    chance = random.Random(seed)
    with figures("pause", seed) as told, serving(tmp_path, settings=SETTINGS) as server:
        server.start()
        ledger = Ledger()
        feeders = Feeders(server, ledger, seed)
        try:
            for told["pauses"] in range(1, PAUSES + 1):
                feeders.await_rounds(chance.randint(1, 10))
                server.stop_still()
                with pytest.raises(subprocess.TimeoutExpired):
                    server.process.wait(PAUSE_SECONDS)
                server.signal(signal.SIGCONT)
        finally:
            feeders.finish()
        feeders.await_rounds(feeders.rounds.qsize())
        with Client(server.url) as client, Client(server.url) as watcher:
            watch(watcher, ledger)
            while ledger.unfinished:
                follow(watcher, ledger)
            ledger.reconcile(all_jobs(client))
        assert server.stop() == 0
        assert "Traceback" not in server.errors(), server.errors()
        told |= {"connections": len(connected), "acknowledged": len(ledger.acknowledged), "lost": 0}
    sys.stdout.write(f"{json.dumps(told)}\n")
    assert len(connected) >= FEEDERS * (1 + PAUSES), "a pause was not noticed"
