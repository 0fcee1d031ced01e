"""The demonstration: jobs are submitted, the server is killed and started again, and the books are compared.

What was promised is what the client was told ("acknowledged"); what was done is what the server's log says
when all is over. The client and the server are the ordinary ones; nothing here helps them.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import trio

from beaver_actors.client import Client, ClientError, Event, Job, NewJob, connect, new_job

COMMAND = (sys.executable, "-m", "beaver_actors")
JOBS_PER_MESSAGE = 50
"""Small, so that a kill hits between two answers and leaves some messages unanswered."""
PATIENCE_SECONDS = 30
# All of the log is wanted for the comparison at the end, so none of it may be replaced by a snapshot.
ENVIRONMENT = {**os.environ, "BEAVER_SNAPSHOT__INTERVAL": "1h"}


@dataclass
class Report:
    """What came of it."""

    jobs: int
    acknowledged: int = 0
    completed: int = 0
    lost: int = 0
    recorded_twice: int = 0
    attempts: int = 0
    kills: list[str] = field(default_factory=list)
    recoveries: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether the promises were kept."""
        return self.acknowledged == self.completed == self.jobs and not self.lost and not self.recorded_twice


class DemoFailed(Exception):
    """It cannot be shown; which is not the same as a broken promise."""


class Server:
    """The server's process, by its id, on one data directory and one port."""

    def __init__(self, directory: Path, report: Report) -> None:
        self.data_dir = directory / "data"
        self.url = ""
        self._log = directory / "server.log"
        self._report = report
        self._listen = "127.0.0.1:0"
        self._killing = trio.Lock()
        self._process: subprocess.Popen[str] | None = None

    async def start(self) -> None:
        """Start it and wait until it welcomes clients."""
        self._process = self._launch()  # not in a thread, which could outlive a deadline and leave a server
        assert self._process.stdout is not None
        line = await trio.to_thread.run_sync(self._process.stdout.readline, abandon_on_cancel=True)
        if not line:
            raise DemoFailed(f"the server did not start:\n{self._log.read_text()}")
        ready = json.loads(line)
        self.url = ready["listen"][0]
        self._listen = self.url.removeprefix("ws://")  # it must be found again
        self._report.recoveries.append(ready["recovery"])

    async def kill_and_start(self, when: str) -> None:
        """End it as a crash would end it, and start it again."""
        async with self._killing:
            self._report.kills.append(when)
            say(f"kill -9 {self.process.pid}: {when}")
            self.process.kill()
            await self._ended()
            await self.start()
        recovery = self._report.recoveries[-1]
        say(f"started again: {recovery['facts']:,} facts read back in {recovery['seconds'] * 1000:.0f} ms")

    async def stop(self) -> int:
        """Ask it to stop; returns its exit code."""
        self.process.terminate()
        return await self._ended()

    def close(self) -> None:
        """End it if it is still there."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None, "the server was started"
        return self._process

    def _launch(self) -> subprocess.Popen[str]:
        command = [
            *COMMAND, "run", "--json", "--data-dir", str(self.data_dir), "--listen", self._listen,
            "--metrics-listen", "127.0.0.1:0",
        ]  # fmt: skip
        with self._log.open("a") as log:
            return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=ENVIRONMENT)

    async def _ended(self) -> int:
        code = await trio.to_thread.run_sync(self.process.wait, abandon_on_cancel=True)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._process = None
        return code


async def demonstrate(report: Report, kills: int, directory: Path) -> None:
    """Run everything and fill in the report."""
    server = Server(directory, report)
    try:
        await server.start()
        say(f"server {server.process.pid} at {server.url}, data in {server.data_dir}")
        began = trio.current_time()
        jobs = make_jobs(report.jobs)
        async with connect(server.url, patience=PATIENCE_SECONDS) as client, trio.open_nursery() as nursery:
            # The first kill hits while jobs are still being submitted, the others while they run.
            half_way = trio.Event()
            if kills:
                nursery.start_soon(kill_when, server, half_way, "while jobs are being submitted")
            handles = await submit(client, jobs, half_way)
            report.acknowledged = len(handles)
            say(f"{report.acknowledged:,} jobs acknowledged")
            for number in range(1, kills):
                share = number / kills
                nursery.start_soon(
                    kill_at, client, server, share * report.jobs, f"{share:.0%} of the jobs are done"
                )
            await client.wait_all(handles)
        report.seconds = trio.current_time() - began
        code = await server.stop()
        if code != 0:
            raise DemoFailed(f"the server ended with {code}")
        compare([job.id for job in handles], server.data_dir, report)
    finally:
        server.close()


def make_jobs(number: int) -> list[NewJob]:
    """Half of them echo, half sleep 10 to 50 ms. They bear their ids from the start."""
    return [
        new_job("demo.sleep", {"seconds": 0.01 + 0.01 * (index // 2 % 5)})
        if index % 2
        else new_job("demo.echo", {"n": index})
        for index in range(number)
    ]


async def submit(client: Client, jobs: list[NewJob], half_way: trio.Event) -> list[Job]:
    """Submit all; returns what was acknowledged. The client sends again what was not answered."""
    handles: list[Job] = []
    for start in range(0, len(jobs), JOBS_PER_MESSAGE):
        if start >= len(jobs) // 2:
            half_way.set()
        handles += await client.enqueue_many(jobs[start : start + JOBS_PER_MESSAGE])
    return handles


async def kill_when(server: Server, event: trio.Event, when: str) -> None:
    await event.wait()
    await server.kill_and_start(when)


async def kill_at(client: Client, server: Server, completed_wanted: float, when: str) -> None:
    """Kill the server once so many jobs are completed, as seen on the live stream from its beginning."""
    completed = 0
    async with client.subscribe_events(1, events=["job_completed"]) as events:
        while completed < completed_wanted:
            completed += sum(isinstance(item, Event) for item in await events.batch())
    await server.kill_and_start(when)


def compare(acknowledged: list[str], data_dir: Path, report: Report) -> None:
    """Hold what was acknowledged against the server's log, read with the ordinary command."""
    names = ("job_started", "job_completed")
    command = [*COMMAND, "log", "--data-dir", str(data_dir), "--json", *(f"--event={name}" for name in names)]
    lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    events = [json.loads(line) for line in lines]
    completed = Counter(event["job_id"] for event in events if event["event"] == "job_completed")
    report.attempts = sum(event["event"] == "job_started" for event in events)
    report.completed = len(completed)
    report.recorded_twice = sum(count > 1 for count in completed.values())
    report.lost = sum(job_id not in completed for job_id in acknowledged)


def show(report: Report) -> None:
    """Print the report for people."""
    recoveries = ", ".join(f"{recovery['seconds'] * 1000:.0f} ms" for recovery in report.recoveries[1:])
    facts = ", ".join(f"{recovery['facts']:,}" for recovery in report.recoveries[1:])
    rows = (
        ("submitted", f"{report.jobs:,}"),
        ("acknowledged", f"{report.acknowledged:,}"),
        ("completed", f"{report.completed:,}"),
        ("lost", f"{report.lost:,}"),
        ("recorded twice", f"{report.recorded_twice:,}"),
        (
            "attempts",
            f"{report.attempts:,} (handed out again after a kill: {report.attempts - report.completed:,})",
        ),
        ("killed", f"{len(report.kills)} times with SIGKILL"),
        ("recovery", f"{recoveries or 'none'} (facts read back: {facts or 'none'})"),
        ("total", f"{report.seconds:.1f} s, {report.jobs / report.seconds:,.0f} jobs/s, kills included"),
    )
    print()
    for name, value in rows:
        print(f"  {name:<16}{value}")
    print()
    print("Nothing was lost, nothing was recorded twice." if report.good else "A PROMISE WAS BROKEN.")


def say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Returns 0 if every acknowledged job is completed, and recorded once."""
    parser = argparse.ArgumentParser(description="Kill the server and lose nothing.")
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--deadline", type=float, default=120, help="seconds for everything")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args()
    logging.basicConfig(format="  client: %(message)s")  # what the client says of lost connections
    report = Report(options.jobs)
    trouble = ""

    async def run(directory: Path) -> None:
        with trio.fail_after(options.deadline):
            await demonstrate(report, options.kills, directory)

    with tempfile.TemporaryDirectory(prefix="beaver-demo-") as directory:
        try:
            trio.run(partial(run, Path(directory)))
        except* trio.TooSlowError:
            trouble = f"it did not end within {options.deadline:g} s"
        except* (DemoFailed, ClientError) as group:
            trouble = "; ".join(str(error) for error in group.exceptions)
    if trouble:
        print(f"The demonstration failed: {trouble}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(asdict(report)))
    else:
        show(report)
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
