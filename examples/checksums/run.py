"""Checksums of a directory tree, like `sha256sum`, computed by jobs.

    python examples/checksums/run.py DIRECTORY [--url ws://127.0.0.1:7440] [--output FILE]

The server is named as for the command line: by --url, else by the variable BEAVER_URL; BEAVER_TOKEN holds its
token, if it has one.

Hands in one job for each file and collects the results over the live stream. The server may be killed and
started again meanwhile, and so may this program: a job's id is made of its file's path, size and time of
change, so whoever asks a second time gets the job of the first.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import trio

from beaver_actors.client import Client, ConnectFailed, FinishedJob, Job, NewJob, Refused, connect, new_job

JOBS_PER_MESSAGE = 500
"""Accepted all or none; fewer make more round trips, many more delay what else goes over the connection."""
PATIENCE_SECONDS = 60
"""How long to wait in all when the server has no room for more jobs at the moment."""


def main() -> int:
    """Returns the exit code: 1 if any file has no checksum, 3 without a server."""
    parser = argparse.ArgumentParser(description="SHA-256 of every file in a tree, computed by jobs.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--url", default=os.environ.get("BEAVER_URL") or "ws://127.0.0.1:7440")
    parser.add_argument("--output", type=Path, help="where to write; standard output if not given")
    parser.add_argument("--pattern", default="*", help='only files whose names fit, such as "*.py"')
    options = parser.parse_args()
    if not options.directory.is_dir():
        parser.error(f"{options.directory} is no directory")
    paths = list(files(options.directory, options.pattern))
    try:
        ended = trio.run(compute, options.url, os.environ.get("BEAVER_TOKEN") or None, paths)
    except (ConnectFailed, Refused) as error:
        print(f"checksums: {error}", file=sys.stderr)
        return 3
    lines = "".join(f"{job.result}  {path}\n" for path, job in ended if job.state == "completed")
    if options.output is None:
        sys.stdout.write(lines)
    else:
        options.output.write_text(lines, encoding="utf-8")
    failed = [(path, job) for path, job in ended if job.state != "completed"]
    for path, job in failed:
        why = job.errors[-1].message if job.errors else job.state or "its job was deleted"
        print(f"checksums: {path}: {why}", file=sys.stderr)
    print(f"checksums: {len(ended) - len(failed)} of {len(ended)} files", file=sys.stderr)
    return 1 if failed else 0


def files(directory: Path, pattern: str) -> Iterator[Path]:
    """The ordinary files of a tree that fit, in order, by their full names. Links are not followed."""
    for parent, directories, names in os.walk(directory.resolve()):
        directories.sort()
        for name in sorted(names):
            path = Path(parent, name)
            if path.match(pattern) and path.is_file() and not path.is_symlink():
                yield path


async def compute(url: str, token: str | None, paths: Iterable[Path]) -> list[tuple[Path, FinishedJob]]:
    """Hand in the jobs and wait for all of them; returns how each ended, in order."""
    wanted = [(path, job_for(path)) for path in paths]
    async with connect(url, token=token, patience=PATIENCE_SECONDS) as client:
        handles = await hand_in(client, [job for _, job in wanted])
        ended = await client.wait_all(handles)
    return [(path, job) for (path, _), job in zip(wanted, ended, strict=True)]


def job_for(path: Path) -> NewJob:
    """The job for a file, under an id that stands for this file as it is now."""
    stat = path.stat()
    identity = f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}"
    name = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()
    return new_job("checksums.sha256", {"path": str(path)}, id=f"checksums-{name[:40]}", queue="checksums")


async def hand_in(client: Client, jobs: list[NewJob]) -> list[Job]:
    """Hand in all jobs, some hundred in each message."""
    handles: list[Job] = []
    for start in range(0, len(jobs), JOBS_PER_MESSAGE):
        handles += await client.enqueue_many(jobs[start : start + JOBS_PER_MESSAGE])
    return handles


if __name__ == "__main__":
    sys.exit(main())
