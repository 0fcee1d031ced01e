"""Measures the server and prints one table: `python -m benchmarks [--quick] [--only NAME,NAME]`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from subprocess import SubprocessError

from benchmarks.about import LATEST, ROOT, circumstances, tidy_on_sigterm
from benchmarks.bench import Bench
from benchmarks.figures import Figure, table
from benchmarks.measures import MEASURES
from benchmarks.websocket import WebSocketError


def main() -> None:
    """Measure what is asked for, all if nothing is said."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round and a tenth of the backlog")
    parser.add_argument("--only", metavar="NAME,…", help=f"some of: {', '.join(MEASURES)}")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="for the figures (complete runs: build/bench/bench.json)",
    )
    parser.add_argument(
        "--directory", type=Path, default=ROOT / "build", help="on the disk to measure (default: build/)"
    )
    options = parser.parse_args()
    names = list(MEASURES) if options.only is None else options.only.split(",")
    if unknown := [name for name in names if name not in MEASURES]:
        parser.error(f"--only: expected some of {', '.join(MEASURES)}, got {', '.join(unknown)}")
    options.directory.mkdir(parents=True, exist_ok=True)
    tidy_on_sigterm()
    about = circumstances(options.directory)
    began = time.monotonic()
    figures: list[Figure] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.directory) as directory:
        bench = Bench(Path(directory), quick=options.quick)
        for name in names:
            try:
                for figure in MEASURES[name](bench):
                    bench.say_figure(figure)
                    figures.append(figure)
            except (AssertionError, OSError, RuntimeError, WebSocketError, SubprocessError) as error:
                bench.say(f"{name} FAILED: {type(error).__name__}: {error}")  # the others are worth knowing
                failed.append(name)
    about |= {"seconds": round(time.monotonic() - began), "quick": options.quick}
    print(
        f"\n{about['date']}, {about['machine']}, commit {about['commit']}; data on {about['file_system']}\n"
    )
    print(table(figures))
    kept = options.json or (LATEST / "bench.json" if names == list(MEASURES) and not options.quick else None)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        document = about | {"figures": [figure.as_json() for figure in figures]}
        kept.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    if failed:
        sys.exit(f"failed, see above: {', '.join(failed)}")


if __name__ == "__main__":
    main()
