"""Worker processes against a real server, and a proxy between them that can go silent. It never sleeps but
where time itself is what is tested."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from tests.crash.harness import ROOT, SMALL, WAIT_SECONDS, Client, Server, serving

T = TypeVar("T")

APP = "tests.remote.jobs:app"
LEASE_SECONDS = 4.0
"""Long enough for a machine that does much else at the same time."""
SETTINGS = {
    **SMALL,
    "BEAVER_FLEET__LEASE": f"{LEASE_SECONDS:g}s",
    "BEAVER_FLEET__HEARTBEAT": "500ms",
    "BEAVER_WORKERS__COUNT": "0",
}


class Worker:
    """One worker process.

    Args:
        url: of the server.
        log: gets its standard error.
        options: of `worker`.
    """

    def __init__(self, url: str, log: Path, *options: str, app: str = APP) -> None:
        self.log = log
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("BEAVER_")}
        paths = os.pathsep.join(filter(None, (str(ROOT), inherited.get("PYTHONPATH"))))
        command = [sys.executable, "-m", "beaver_actors", "worker", "--url", url, "--app", app]
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [*command, "--log-format", "json", *options],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                env={**inherited, "PYTHONPATH": paths}, start_new_session=True,
            )  # fmt: skip

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        """Ask it to stop and return its exit code."""
        self.process.terminate()
        return self.end()

    def end(self) -> int:
        """Wait for its end and return its exit code."""
        return self.process.wait(WAIT_SECONDS)

    def errors(self) -> str:
        return self.log.read_text(errors="replace")

    def close(self) -> None:
        """End whatever is left of it."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(WAIT_SECONDS)


class House:
    """A server, workers, and the files by which jobs are seen and let go."""

    def __init__(self, server: Server, directory: Path) -> None:
        self.server = server
        self.directory = directory
        self.trace = directory / "trace"
        self.gate = directory / "gate"
        self.workers: list[Worker] = []

    def worker(self, *options: str, url: str | None = None) -> Worker:
        """Start another worker; returns at once."""
        log = self.directory / f"worker-{len(self.workers)}.log"
        worker = Worker(url or self.server.url, log, *options)
        self.workers.append(worker)
        return worker

    def enqueue(self, *names: str, kind: str = "hold", **options: Any) -> None:
        args = {"path": str(self.trace), "until": str(self.gate)}
        jobs = [{"id": name, "kind": kind, "args": args, **options} for name in names]
        with Client(self.server.url) as client:
            client.done("enqueue", jobs=jobs)

    def open_gate(self) -> None:
        """Let all jobs end."""
        self.gate.touch()

    def starts(self) -> list[list[str]]:
        """What the jobs have left: id, attempt, fence, process."""
        if not self.trace.exists():
            return []
        return [line.split() for line in self.trace.read_text().splitlines()]

    def await_starts(self, count: int) -> list[list[str]]:
        """Wait until so many attempts have begun."""
        return await_that(lambda: self.starts() if len(self.starts()) >= count else None)

    def job(self, name: str) -> dict[str, Any]:
        with Client(self.server.url) as client:
            job: dict[str, Any] = client.done("get", job_id=name)["job"]
        return job

    def await_job(self, name: str, *states: str) -> dict[str, Any]:
        """Wait until the job is in one of these states."""

        def look() -> dict[str, Any] | None:
            job = self.job(name)
            return job if job["state"] in states else None

        return await_that(look)

    def shown(self) -> list[dict[str, Any]]:
        """The workers, as the server shows them."""
        with Client(self.server.url) as client:
            workers: list[dict[str, Any]] = client.done("workers")["workers"]
        return workers

    def await_workers(self, **states: int) -> list[dict[str, Any]]:
        """Wait until there are so many workers in each of these states, and no others."""

        def look() -> list[dict[str, Any]] | None:
            shown = self.shown()
            found = {state: sum(worker["state"] == state for worker in shown) for state in states}
            return shown if found == states and len(shown) == sum(states.values()) else None

        return await_that(look)


def await_that(look: Callable[[], T | None]) -> T:
    """Look again and again until there is something."""
    until = time.monotonic() + WAIT_SECONDS
    while not (found := look()):
        assert time.monotonic() < until, "it has not come about"
        time.sleep(0.05)
    return found


@contextmanager
def house(directory: Path, **settings: str) -> Iterator[House]:
    """A server that runs, without workers of its own; no process is left behind."""
    with serving(directory, settings={**SETTINGS, **settings}) as server:
        server.start()
        home = House(server, directory)
        try:
            yield home
        finally:
            for worker in home.workers:
                worker.close()


class Proxy:
    """Passes bytes on between a worker and the server, until it is told to fall silent or to cut."""

    def __init__(self, server_url: str) -> None:
        host, _, port = server_url.removeprefix("ws://").partition(":")
        self._server = host, int(port)
        self._door = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self._door.getsockname()[1]}"
        self._silent = threading.Event()
        self._closed = threading.Event()
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def fall_silent(self) -> None:
        """From now on nothing arrives any more; connections stay open, and new ones get no answer."""
        self._silent.set()

    def recover(self) -> None:
        """Cut what was silent, and pass on what comes from now on."""
        self._silent.clear()
        self.cut()

    def cut(self) -> None:
        """End all connections."""
        sockets, self._sockets = self._sockets, []
        for one in sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._closed.set()
        self._door.close()
        self.cut()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._door.accept()
                server = socket.create_connection(self._server)
            except OSError:
                continue
            self._sockets += [client, server]
            threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()

    def _pass_on(self, client: socket.socket, server: socket.socket) -> None:
        with selectors.DefaultSelector() as selector, client, server, suppress(OSError):
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in selector.select(1):
                    source, target = key.fileobj, key.data
                    assert isinstance(source, socket.socket)
                    data = source.recv(65_536)
                    if not data:
                        return
                    if not self._silent.is_set():
                        target.sendall(data)


@contextmanager
def proxy_to(url: str) -> Iterator[Proxy]:
    """A proxy to this server."""
    proxy = Proxy(url)
    try:
        yield proxy
    finally:
        proxy.close()
