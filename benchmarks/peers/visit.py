"""One visit to one peer: a fresh broker and clients that only hand in, then a worker and all through it."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.clients import Client, Load, total
from benchmarks.peers.apps.shared import BATCH
from benchmarks.peers.brokers import end
from benchmarks.peers.catalogue import ROOT, Peer
from benchmarks.server import IDLE, Server

PROCESSES, CLIENTS = 2, 4
"""Client processes, and clients in each; more do not fit on two cores beside broker and worker."""
ENQUEUE_SECONDS = 1.0
WARM_SECONDS = 40.0
"""Within which a worker must have run its first job."""
SETTLE_SECONDS = 0.5
RUN_SECONDS = 6.0
"""After which a run end to end is over, whatever is left."""


class Visit(NamedTuple):
    """What came of it."""

    one_p50_ms: float
    """One client, one job a call."""
    one_by_one: float
    """Eight clients, one job a call: jobs a second."""
    batches: float | None
    """Eight clients, a hundred jobs a call; None where the peer cannot."""
    end_to_end: float
    """Handed in the fastest way, by eight clients: jobs a second until the last has run."""
    end_to_end_one: float | None
    """The same, one job a call; None where there is no other way anyhow."""


def visit(peer: Peer, directory: Path) -> Visit:
    """Measure one peer once."""
    with tempfile.TemporaryDirectory(dir=directory) as name, _home(peer, Path(name), IDLE) as home:
        alone = home.produce("one", 1, 1, seconds=ENQUEUE_SECONDS / 2).run()
        one = home.produce("one", PROCESSES, CLIENTS, seconds=ENQUEUE_SECONDS).run()
        many = None
        if peer.batches:
            many = home.produce("many", PROCESSES, CLIENTS, seconds=ENQUEUE_SECONDS).run()
    with (
        tempfile.TemporaryDirectory(dir=directory) as name,
        _home(peer, Path(name), {}) as home,
        home.working(),
    ):
        single = home.through("one", peer.jobs // 4, settle=True) if peer.batches else None
        rate = home.through("many" if peer.batches else "one", peer.jobs)
    return Visit(alone.reports[0]["p50_ms"], one.rate, many.rate if many else None, rate, single)


class _Producers:
    """Client processes that are ready to begin."""

    def __init__(self, clients: list[Client]) -> None:
        self._clients = clients

    def run(self) -> Load:
        for client in self._clients:
            client.go()
        return total([client.result() for client in self._clients])

    def start(self) -> None:
        for client in self._clients:
            client.go()

    def finish(self) -> Load:
        return total([client.result() for client in self._clients])


class _Home:
    """A peer's broker, with everything it needs to be used.

    Args:
        peer: whose.
        url: of the broker.
        count_file: where its jobs leave a byte each.
        stack: what is to be ended with it.
        completed: for a server of ours, the jobs it has recorded as completed.
    """

    def __init__(
        self, peer: Peer, url: str, count_file: Path, stack: ExitStack, completed: Callable[[], int] | None
    ) -> None:
        self._peer = peer
        self._url = url
        self.environment = os.environ | {"BENCH_URL": url, "BENCH_COUNT": str(count_file)}
        self._count_file = count_file
        self._stack = stack
        self._completed = completed

    def produce(
        self,
        method: str,
        processes: int,
        clients: int,
        *,
        calls: int | None = None,
        seconds: float | None = None,
    ) -> _Producers:
        options = {"module": self._peer.module, "method": method, "clients": clients}
        options |= {"calls": None if calls is None else calls // processes, "seconds": seconds}
        command = [self._peer.python, "-m", "benchmarks.peers.produce", json.dumps(options)]
        started = [
            self._stack.enter_context(Client.of_command(command, environment=self.environment))
            for _ in range(processes)
        ]
        return _Producers(started)

    @contextmanager
    def working(self) -> Iterator[None]:
        """With its worker, which has proved that it works."""
        with ExitStack() as stack:
            for _ in range(self._peer.workers if self._peer.worker else 0):
                arguments = [word.format(url=self._url) for word in self._peer.worker]
                process = subprocess.Popen(
                    [self._peer.python, *arguments],
                    env=self.environment,
                    cwd=ROOT,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
                stack.callback(end, process, True)
            deadline = time.monotonic() + WARM_SECONDS
            while not self._ran():
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{self._peer.name}: no job has run within {WARM_SECONDS:g} s")
                self.produce("one", 1, 1, calls=1).run()
                _wait(lambda: self._ran() > 0, 2.0)
            time.sleep(SETTLE_SECONDS)
            yield

    def through(self, method: str, jobs: int, *, settle: bool = False) -> float:
        """Jobs a second from the first call until the last has run, or until the time is over.

        What is left then may still run while others wait for it: `settle` grants it as much time again.
        """
        calls = jobs // (BATCH if method == "many" else 1)
        producers = self.produce(method, PROCESSES, CLIENTS, calls=calls, seconds=RUN_SECONDS)
        before = self._ran()
        began = time.monotonic_ns()
        producers.start()
        _wait(lambda: self._ran() - before >= jobs, RUN_SECONDS)
        ran, ended = self._ran() - before, time.monotonic_ns()
        load = producers.finish()
        if settle:
            _wait(lambda: self._ran() - before >= load.jobs, RUN_SECONDS)
        return ran / ((ended - max(began, load.began_ns)) / 1e9)

    def _ran(self) -> int:
        return self._completed() if self._completed else self._count_file.stat().st_size


@contextmanager
def _home(peer: Peer, directory: Path, settings: dict[str, str]) -> Iterator[_Home]:
    count_file = directory / "count"
    count_file.touch()
    data = directory / "data"
    data.mkdir()
    with ExitStack() as stack:
        if peer.broker is None:
            server = stack.enter_context(Server(data, settings, {"BENCH_COUNT": str(count_file)}))
            yield _Home(peer, server.url, count_file, stack, server.completed)
            return
        url = stack.enter_context(peer.broker(data))
        home = _Home(peer, url, count_file, stack, None)
        if peer.prepare:
            subprocess.run(
                [peer.python, *peer.prepare], env=home.environment, cwd=ROOT, check=True,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        yield home


def _wait(is_done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not is_done() and time.monotonic() < deadline:
        time.sleep(0.005)
