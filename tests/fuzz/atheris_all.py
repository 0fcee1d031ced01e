"""Runs the fuzz targets one after the other, each for a while, and says what came of it: `make fuzz`.

`python -m tests.fuzz.atheris_all --minutes 1 [TARGET …]`. Each target gets a process of its own, so that one
which hangs or eats memory ends nothing but itself. Corpus and findings stay in `build/fuzz/TARGET/`, and the
next run goes on from there. With `BEAVER_FIGURES` set, a line of JSON for each target is added to that file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "build" / "fuzz"
GRACE_SECONDS = 300
"""To start, and to end after the last input; then the process is ended."""
ARTEFACTS = ("crash-*", "timeout-*", "oom-*", "leak-*")
"""What the fuzzer itself leaves behind, when an input ends the process."""


def main() -> int:
    """Run, print a table, return the exit code: 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.atheris_all")
    parser.add_argument("--minutes", type=float, default=1.0, help="for each target")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    options = parser.parse_args()
    if unknown := set(options.targets) - TARGETS.keys():
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    _say(f"{'target':<14}{'inputs':>10}{'a second':>10}{'MB':>9}{'accepted':>10}  found")
    total = 0
    for name in options.targets or TARGETS:
        figures = _run(name, max(1, round(options.minutes * 60)))
        total += figures["crashes"]
        inputs, crashes = figures["inputs"], figures["crashes"]
        rate, megabytes = inputs / max(figures["seconds"], 0.001), figures["bytes"] / 1e6
        accepted = figures.pop("accepted") / max(inputs, 1)
        row = f"{name:<14}{inputs:>10,}{rate:>10,.0f}{megabytes:>9,.1f}{accepted:>10.0%}"
        _say(f"{row}  {crashes or 'nothing'}")
        if file := os.environ.get("BEAVER_FIGURES"):
            with Path(file).open("a") as lines:
                lines.write(json.dumps(figures) + "\n")
    if total:
        _say(f"{total} found: see {PLACE}/*/findings/, each an input and the traceback it leads to")
    return 1 if total else 0


def _run(name: str, seconds: int) -> dict[str, Any]:
    """Fuzz one target; returns its figures, the number of different findings among them."""
    place = PLACE / name
    place.mkdir(parents=True, exist_ok=True)
    for old in [place / "figures.json", *(place / "findings").glob("*")]:
        old.unlink(missing_ok=True)
    with (place / "log").open("wb") as log:
        command = (sys.executable, "-m", "tests.fuzz.atheris_one", name, str(seconds), str(place))
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            code = process.wait(seconds + GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
    figures = {"inputs": 0, "bytes": 0, "seconds": 0.0, "accepted": 0, "findings": {}}
    if (place / "figures.json").exists():
        figures = json.loads((place / "figures.json").read_text())
    findings: dict[str, int] = figures["findings"]  # type: ignore[assignment]  # as `Figures` has it
    ended_by = [path for pattern in ARTEFACTS for path in (place / "findings").glob(pattern)]
    crashes = len(findings) + (len(ended_by) or int(code != 0))
    names = ("inputs", "bytes", "seconds", "accepted")
    return {"kind": "fuzz", "target": name, **{key: figures[key] for key in names}, "crashes": crashes}


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
