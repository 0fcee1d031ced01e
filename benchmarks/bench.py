"""One run of the benchmark: where it may write, how often it repeats, and what it says meanwhile."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figures import Figure, judged, number, spread
from benchmarks.server import Server


class Bench:
    """What measurements share.

    Args:
        directory: for data, on the disk that is to be measured.
        quick: fewer rounds and smaller backlogs: to see that it works and about where it stands.
    """

    def __init__(self, directory: Path, *, quick: bool) -> None:
        self.directory = directory
        self.quick = quick
        self.rounds = 1 if quick else 3
        self.backlog = 100_000 if quick else 1_000_000
        self._began = time.monotonic()

    def jobs(self, jobs: int) -> int:
        """So many, or fewer when it should be quick."""
        return jobs // 4 if self.quick else jobs

    def say(self, text: str) -> None:
        """Tell how far it is."""
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", file=sys.stderr, flush=True)

    def say_figure(self, figure: Figure) -> None:
        """Tell a figure as soon as it is there."""
        parts = [f"{figure.title}: {number(figure.median)} {figure.unit}"]
        parts += [f"({spread(figure)})"] if len(figure.values) > 1 else []
        parts += [part for part in (figure.note, judged(figure)) if part]
        self.say("  ".join(parts))

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A directory that goes away."""
        with tempfile.TemporaryDirectory(dir=self.directory) as name:
            yield Path(name)

    @contextmanager
    def fresh(self, settings: dict[str, str] | None = None) -> Iterator[Server]:
        """A server on an empty directory."""
        with self.scratch() as data, Server(data, settings) as server:
            yield server
