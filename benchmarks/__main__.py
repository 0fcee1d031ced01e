"""Runs the measurements, prints one table, keeps the figures as JSON: `python -m benchmarks [--quick]`."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.floors import EchoServer, sync_ms
from benchmarks.server import Server


class Row(NamedTuple):
    """One line of the table."""

    what: str
    value: float
    unit: str
    spread: str
    note: str = ""


def main() -> None:
    """Measure everything; takes some minutes, `--quick` half a minute."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repeats, smaller backlogs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    parser.add_argument(
        "--directory", type=Path, help="where data directories are made (default: a temporary one)"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        rows = list(measure(Path(directory), quick=options.quick))
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    machine = f"{os.cpu_count()} cores, {system}"
    today = dt.datetime.now(tz=dt.UTC).date()  # the date on the table
    print(f"\n{today}, {machine}; every acknowledgement synced, ~100 bytes of arguments\n")
    print(table(rows))
    if options.json is not None:
        document = {"date": str(today), "machine": machine, "rows": [row._asdict() for row in rows]}
        options.json.write_text(json.dumps(document, indent=1) + "\n")


def measure(directory: Path, *, quick: bool) -> Iterator[Row]:
    """Yield the rows of the table as they are measured."""
    repeats = 1 if quick else 3
    scale = 1 if quick else 4
    sync = sync_ms(directory)
    yield _say(Row("floor: one write and fdatasync", sync, "ms", ""))
    with EchoServer() as url:
        one = repeat(repeats, lambda: load(url, "echo", messages=1000 * scale, clients=1))
        yield _say(Row("floor: one echo, 1 client, p50", middle(one, "p50_ms"), "ms", spread(one, "p50_ms")))
        many = repeat(repeats, lambda: load(url, "echo", messages=2000 * scale, clients=32))
        echo_rate = rate(many)
        yield _say(Row("floor: echoes, 32 clients", echo_rate, "/s", rate_spread(many)))
    echo_ms = middle(one, "p50_ms")

    with fresh(directory, WORKERS__QUEUES='["nobody"]') as server:
        for clients, jobs in ((1, 500), (8, 2000), (32, 4000)):
            runs = repeat(repeats, lambda c=clients, j=jobs: enqueue(server, jobs=j * scale, clients=c))  # type: ignore[misc]  # bound now
            what = f"enqueue, 1 job a message, {clients} client{'s' * (clients > 1)}"
            note = f"{rate(runs) / echo_rate:.2f} x echo" if clients == 32 else ""
            yield _say(Row(what, rate(runs), "jobs/s", rate_spread(runs), note))
            if clients == 1:
                note = f"{middle(runs, 'p50_ms') / (sync + echo_ms):.1f} x (sync + echo)"
                yield _say(Row(f"{what}, p50", middle(runs, "p50_ms"), "ms", spread(runs, "p50_ms"), note))
        for batch in (100, 1000):
            runs = repeat(repeats, lambda b=batch: enqueue(server, jobs=20_000 * scale, batch=b, window=8))  # type: ignore[misc]  # bound now
            yield _say(Row(f"enqueue, batches of {batch}", rate(runs), "jobs/s", rate_spread(runs)))

    with fresh(directory) as server:
        for batch in (1, 100):
            jobs = 2000 if batch == 1 else 20_000
            clients = 8 if batch == 1 else 1
            runs = repeat(
                repeats,
                lambda b=batch, j=jobs, c=clients: enqueue(
                    server, jobs=j * scale, batch=b, clients=c, window=8, wait=True
                ),  # type: ignore[misc]  # bound now
            )
            what = f"end to end, enqueue to recorded completion, batches of {batch}"
            yield _say(Row(what, rate(runs, "done_seconds"), "jobs/s", rate_spread(runs, "done_seconds")))
        runs = repeat(repeats, lambda: load(server.url, "start_latency", jobs=50 * scale, pause=0.005))
        yield _say(
            Row("enqueue to start, idle server, p50", middle(runs, "p50_ms"), "ms", spread(runs, "p50_ms"))
        )
        yield _say(
            Row("enqueue to start, idle server, p99", middle(runs, "p99_ms"), "ms", spread(runs, "p99_ms"))
        )

    for backlog in (100_000,) if quick else (100_000, 1_000_000):
        yield from recovery(directory, backlog)


def recovery(directory: Path, backlog: int) -> Iterator[Row]:
    """Fill a server with pending jobs, kill it, and start it again: from the log, then from a snapshot."""
    data = directory / f"backlog-{backlog}"
    quiet = {"WORKERS__QUEUES": '["nobody"]', "LIMITS__QUEUE_JOBS": "2000000"}
    with Server(data, **quiet, SNAPSHOT__INTERVAL="1h", SNAPSHOT__LOG_SIZE="64GiB") as server:
        empty = server.rss_bytes()
        enqueue(server, jobs=backlog, batch=1000, window=4)
        per_job = (server.rss_bytes() - empty) / backlog
        server.kill()
    yield _say(Row(f"memory a pending job, {backlog:,} pending", per_job, "bytes", ""))
    with Server(data, **quiet, SNAPSHOT__INTERVAL="1s", SNAPSHOT__MIN_GROWTH="0") as server:
        yield _say(Row(f"recovery of {backlog:,} pending jobs, log only", server.recovery_seconds, "s", ""))
        wait_for_snapshot(data)
        server.kill()
    with Server(data, **quiet) as server:
        yield _say(Row(f"recovery of {backlog:,} pending jobs, snapshot", server.recovery_seconds, "s", ""))


def wait_for_snapshot(data: Path) -> None:
    """Wait until a snapshot lies in the directory, two minutes at most."""
    subprocess.run(
        [
            "timeout",
            "120",
            "sh",
            "-c",
            'until ls "$0"/snapshots/*.snap >/dev/null 2>&1; do sleep 0.2; done',
            str(data),
        ],
        check=True,
    )


@contextmanager
def fresh(directory: Path, **settings: str) -> Iterator[Server]:
    """A server on an empty directory."""
    with tempfile.TemporaryDirectory(dir=directory) as data, Server(Path(data), **settings) as server:
        yield server


def enqueue(server: Server, **options: Any) -> dict[str, Any]:
    """One enqueue measurement with defaults for what is not said."""
    given = {"batch": 1, "clients": 1, "window": 1, "wait": False, "kind": "demo.echo"} | options
    return load(server.url, "enqueue", **given)


def load(url: str, task: str, **options: Any) -> dict[str, Any]:
    """Run one task in a client process and return its figures."""
    text = json.dumps({"task": task, "url": url} | options)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", text], stdout=subprocess.PIPE, check=True, timeout=600
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def repeat(times: int, run: Callable[[], dict[str, Any]]) -> list[dict[str, Any]]:
    """Measure several times."""
    return [run() for _ in range(times)]


def middle(runs: list[dict[str, Any]], key: str) -> float:
    """The median of a figure."""
    return float(statistics.median(run[key] for run in runs))


def rate(runs: list[dict[str, Any]], key: str = "seconds") -> float:
    """The median rate, jobs a second."""
    return float(statistics.median(run["jobs"] / run[key] for run in runs))


def spread(runs: list[dict[str, Any]], key: str) -> str:
    """The smallest and the largest."""
    values = [run[key] for run in runs]
    return f"{min(values):,.2f} – {max(values):,.2f}" if len(values) > 1 else ""


def rate_spread(runs: list[dict[str, Any]], key: str = "seconds") -> str:
    """The slowest and the fastest."""
    values = [run["jobs"] / run[key] for run in runs]
    return f"{min(values):,.0f} – {max(values):,.0f}" if len(values) > 1 else ""


def table(rows: list[Row]) -> str:
    """The figures as a Markdown table."""
    lines = ["| what | median | min – max | |", "|---|---:|---:|---|"]
    for row in rows:
        figure = f"{row.value:,.0f}" if row.value >= 100 else f"{row.value:.2f}"
        lines.append(f"| {row.what} | {figure} {row.unit} | {row.spread} | {row.note} |")
    return "\n".join(lines)


def _say(row: Row) -> Row:
    figure = f"{row.value:,.0f}" if row.value >= 100 else f"{row.value:.2f}"
    print(f"  {row.what}: {figure} {row.unit} {row.note}", file=sys.stderr, flush=True)
    return row


if __name__ == "__main__":
    main()
