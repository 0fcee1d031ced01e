"""Five million jobs through one server in one run: `python -m benchmarks.scale [--jobs N]`.

Finished jobs are kept for a moment only, so memory and log must stay what they are however many jobs have
passed. Told for each slice of the run: jobs a second, how long a batch waited for its answer, memory, bytes
on disk. In the end the server is killed and started again, and what it then knows is counted.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.about import LATEST, ROOT, circumstances, tidy_on_sigterm
from benchmarks.measures.throughput import complete
from benchmarks.server import Server

JOBS = 5_000_000
SLICES = 50
SETTINGS = {"RETENTION__COMPLETED_COUNT": "10000"}
"""All else as it comes, snapshots by size of the log included."""
MINUTES_MAX = 20.0


def main() -> None:
    """Run it, slice by slice."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--jobs", type=int, default=JOBS, metavar="N", help=f"default {JOBS:,}")
    parser.add_argument(
        "--minutes", type=float, default=MINUTES_MAX, help=f"at most (default {MINUTES_MAX:g})"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", default=LATEST / "scale.json")
    parser.add_argument("--directory", type=Path, default=ROOT / "build", help="default: build/")
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    tidy_on_sigterm()
    about = circumstances(options.directory)
    with tempfile.TemporaryDirectory(prefix="scale-", dir=options.directory) as name:
        result = run(Path(name), options.jobs, options.minutes * 60)
    options.json.write_text(json.dumps(about | result, indent=1) + "\n")
    print(
        f"{result['completed']:,} jobs completed in {result['seconds']:,.0f} s; after kill -9 and a restart "
        f"of {result['restart_seconds']:.2f} s {result['completed_after_restart']:,} are known to be, "
        f"{result['unfinished_after_restart']:,} are unfinished"
    )
    if result["completed_after_restart"] < result["completed"] or result["completed"] < options.jobs:
        sys.exit("that is fewer than were sent")


def run(directory: Path, jobs: int, seconds_max: float) -> dict[str, Any]:
    """Send the jobs through; returns the slices and what was there in the end."""
    began = time.monotonic()
    slices: list[dict[str, float]] = []
    size = jobs // SLICES
    with Server(directory, SETTINGS) as server:
        for number in range(SLICES):
            through = complete(server, size)
            reports = through.load.reports
            slices.append(
                {
                    "jobs": (number + 1) * size,
                    "rate": round(through.rate, 1),
                    "server_us": round(through.server_us, 2),
                    "p50_ms": round(max(report["p50_ms"] for report in reports), 3),
                    "p99_ms": round(max(report["p99_ms"] for report in reports), 3),
                    "rss_mb": round(server.rss_bytes() / 1e6, 1),
                    "log_mb": round(used_bytes(directory / "wal") / 1e6, 1),
                    "snapshots_mb": round(used_bytes(directory / "snapshots") / 1e6, 1),
                }
            )
            say(time.monotonic() - began, slices[-1])
            if time.monotonic() - began > seconds_max:
                break
        completed, seconds = server.completed(), time.monotonic() - began
        server.kill()
    with Server(directory, SETTINGS) as server:
        restart = (server.acknowledge_one() - server.started_ns) / 1e9
        status = server.status()
    unfinished = sum(status["states"][state] for state in ("scheduled", "pending", "blocked", "in_flight"))
    return {
        "seconds": round(seconds, 1),
        "completed": completed,
        "restart_seconds": round(restart, 2),
        "completed_after_restart": status["totals"]["completed"],
        "unfinished_after_restart": max(0, unfinished - 1),  # the one that was just acknowledged
        "slices": slices,
    }


def used_bytes(directory: Path) -> int:
    """Bytes in the files of a directory, room that is only reserved included."""
    if not directory.exists():
        return 0
    sizes = []
    for file in directory.iterdir():
        try:
            sizes.append(file.stat().st_size)
        except FileNotFoundError:
            continue  # it has just been trimmed
    return sum(sizes)


def say(seconds: float, seen: dict[str, float]) -> None:
    """Tell how far it is."""
    text = (
        f"{seconds:6.1f} s  {seen['jobs']:9,.0f} jobs  {seen['rate']:8,.0f}/s  "
        f"batch p50 {seen['p50_ms']:6.1f} ms, p99 {seen['p99_ms']:6.1f} ms  "
        f"{seen['rss_mb']:6.1f} MB of memory  log {seen['log_mb']:6.1f} MB"
    )
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
