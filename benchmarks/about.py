"""When, where and what was measured: stands beside every table."""

from __future__ import annotations

import datetime as dt
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.disk import file_system

ROOT = Path(__file__).resolve().parent.parent
"""Of the checkout."""
LATEST = ROOT / "build" / "bench"
"""What the latest complete runs in this checkout have measured."""
RESULTS = ROOT / "benchmarks" / "results"
"""What docs/benchmarks.md shows; `python -m benchmarks.report` takes the latest over."""


def tidy_on_sigterm() -> None:
    """Let SIGTERM end this process as an exception does, so that what it has started is ended with it."""

    def leave(number: int, frame: object) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def circumstances(directory: Path) -> dict[str, Any]:
    """When, where and what is measured."""
    system = f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}"
    return {
        "date": dt.datetime.now(tz=dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{os.cpu_count()} cores, {system}",
        "file_system": file_system(directory),
        "commit": commit(),
        "load_before": round(os.getloadavg()[0], 1),
    }


def commit() -> str:
    """The commit of this checkout, with a `+` if files differ from it."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *words], stdout=subprocess.PIPE, text=True, check=False
        )
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "beaver_actors")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
