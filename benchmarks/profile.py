"""Where the server's time goes under the load of the end-to-end measurement: `make profile`.

py-spy looks at the running server from outside, a few hundred times a second, and writes the stack of the
thread that holds the interpreter, if any does; here they become a flame graph and a table of time by module.
Time in system calls, such as waiting for the disk, is not in it: what is seen is what bounds the throughput.
Needs py-spy, which `make profile` installs, and the right to look into another process.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from benchmarks.about import LATEST, ROOT, circumstances, tidy_on_sigterm
from benchmarks.flame import Stacks, flame_graph
from benchmarks.measures.throughput import complete
from benchmarks.server import Server

SECONDS, RATE_HZ = 15, 250
JOBS_AT_A_TIME = 40_000
LOOP = "unrolled_run (trio/_core/_run.py)"


def main() -> None:
    """Record, draw, and count."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--seconds", type=int, default=SECONDS, help=f"default {SECONDS}")
    parser.add_argument("--svg", type=Path, default=LATEST / "profile.svg", metavar="FILE")
    parser.add_argument("--json", type=Path, default=LATEST / "profile.json", metavar="FILE")
    parser.add_argument("--directory", type=Path, default=ROOT / "build", help="default: build/")
    options = parser.parse_args()
    for path in (options.svg.parent, options.json.parent, options.directory):
        path.mkdir(parents=True, exist_ok=True)
    tidy_on_sigterm()
    about = circumstances(options.directory)
    with tempfile.TemporaryDirectory(prefix="profile-", dir=options.directory) as name:
        stacks, jobs = record(Path(name), options.seconds)
    busy = sum(stacks.values()) / (options.seconds * RATE_HZ)
    own = own_time(stacks)
    title = f"The server under full load, end to end, batches of 100: {sum(stacks.values()):,} samples"
    options.svg.write_text(flame_graph(title, stacks))
    samples = sum(own.values())
    shares = [{"module": module, "share": round(count / samples, 4)} for module, count in own.most_common(25)]
    options.json.write_text(
        json.dumps(about | {"jobs": jobs, "busy": round(busy, 3), "own_time": shares}, indent=1) + "\n"
    )
    for share in shares[:15]:
        print(f"{share['share']:6.1%}  {share['module']}")


def record(directory: Path, seconds: int) -> tuple[Stacks, int]:
    """Sample a server while jobs go through it; returns the stacks with their counts, and how many jobs."""
    raw = directory / "stacks.txt"
    spy = str(Path(sys.executable).with_name("py-spy"))
    with Server(directory / "data") as server:
        complete(server, JOBS_AT_A_TIME // 4)
        command = [spy, "record", "--pid", str(server.pid), "--duration", str(seconds), "--format", "raw"]
        command += ["--rate", str(RATE_HZ), "--output", str(raw), "--nolineno", "--gil"]
        recorder = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        jobs = 0
        while recorder.poll() is None:
            complete(server, JOBS_AT_A_TIME)
            jobs += JOBS_AT_A_TIME
        if recorder.returncode != 0:
            raise RuntimeError(f"py-spy ended with exit code {recorder.returncode}")
    stacks: Stacks = Counter()
    for line in raw.read_text().splitlines():
        frames, _, count = line.rpartition(" ")
        stacks[without_foundations([shorten(frame) for frame in frames.split(";")])] += int(count)
    return stacks, jobs


def without_foundations(frames: list[str]) -> tuple[str, ...]:
    """A stack without what is below the event loop, which is the same for all."""
    if LOOP in frames:
        return ("the event loop", *frames[frames.index(LOOP) + 1 :])
    return ("threads", *frames)


def shorten(frame: str) -> str:
    """A frame without the directories of this machine: `run (beaver_actors/actors/wal_writer.py)`."""
    function, _, path = frame.rpartition(" (")
    path = path.rstrip(")")
    for root in ("site-packages/", "python3.11/", f"{ROOT}/"):
        path = path.rpartition(root)[2]
    return f"{function} ({path.lstrip('/')})"


def own_time(stacks: Stacks) -> Counter[str]:
    """Samples by the module that was running, not by those that had called it."""
    own: Counter[str] = Counter()
    for frames, count in stacks.items():
        own[frames[-1].rpartition(" (")[2].rstrip(")")] += count
    return own


if __name__ == "__main__":
    main()
