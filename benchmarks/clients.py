"""Starts client processes, lets them begin together, and adds up what they report."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple, Self

RESULT_SECONDS = 300.0


class Client:
    """One client process that has connected and waits for `go`.

    Args:
        task: what it does, a name of `benchmarks.load`.
        options: of the task.
    """

    def __init__(self, task: str, **options: Any) -> None:
        self._start([sys.executable, "-m", "benchmarks.load", json.dumps({"task": task} | options)], None)

    @classmethod
    def of_command(cls, command: list[str], environment: Mapping[str, str]) -> Self:
        """A client of another program that begins, works and reports in the same way."""
        client = cls.__new__(cls)
        client._start(command, environment)
        return client

    def _start(self, command: list[str], environment: Mapping[str, str] | None) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError(f"a client ended with exit code {self._process.wait()}: {command}")

    def go(self) -> None:
        """Let it begin; said again, it tells a watching client to stop."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def is_working(self) -> bool:
        """Whether it has not begun to report yet."""
        assert self._process.stdout is not None
        return not select.select([self._process.stdout], [], [], 0)[0]

    def result(self) -> dict[str, Any]:
        """Wait for its end; returns what it reports."""
        assert self._process.stdout is not None
        text, _ = self._process.communicate(timeout=RESULT_SECONDS)
        if self._process.returncode != 0:
            raise RuntimeError(f"a client ended with exit code {self._process.returncode}")
        result: dict[str, Any] = json.loads(text)
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class Load(NamedTuple):
    """What several clients did together."""

    jobs: int
    messages: int
    began_ns: int
    ended_ns: int
    cpu_seconds: float
    """Of all client processes."""
    reports: list[dict[str, Any]]

    @property
    def seconds(self) -> float:
        """From the first send to the last answer."""
        return (self.ended_ns - self.began_ns) / 1e9

    @property
    def rate(self) -> float:
        """Jobs acknowledged a second."""
        return self.jobs / self.seconds


class Clients:
    """Several processes that run one closed loop together.

    Args:
        url: `ws://…` or `redis://…`.
        jobs: in all.
        batch: jobs a message.
        clients: connections in all.
        window: messages under way on each.
        processes: to spread the connections over.
    """

    def __init__(
        self,
        url: str,
        *,
        jobs: int,
        batch: int = 1,
        clients: int = 1,
        window: int = 1,
        processes: int = 1,
        kind: str = "bench.noop",
    ) -> None:
        self._stack = ExitStack()
        shared = {"url": url, "kind": kind, "batch": batch, "window": window, "clients": clients // processes}
        messages = jobs // batch // processes
        with ExitStack() as stack:
            self._processes = [
                stack.enter_context(Client("closed_loop", **shared, messages=messages))
                for _ in range(processes)
            ]
            self._stack = stack.pop_all()

    def run(self) -> Load:
        """Begin, and wait until everything was answered."""
        for process in self._processes:
            process.go()
        return total([process.result() for process in self._processes])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def total(reports: list[dict[str, Any]]) -> Load:
    """The sum of what clients report."""
    return Load(
        jobs=sum(report["jobs"] for report in reports),
        messages=sum(report.get("messages", 0) for report in reports),
        began_ns=min(report["began_ns"] for report in reports),
        ended_ns=max(report["ended_ns"] for report in reports),
        cpu_seconds=sum(report["cpu_seconds"] for report in reports),
        reports=reports,
    )
