"""`python -m beaver_actors.testing.simulate`: replays the simulation of a seed, or explores new ones.

`--seed N` runs one and prints what it did and the hash of its trace, which is the same on every run of the
same program. `--minutes M --jobs J` runs as many as there is time for, in J processes, and prints the rate;
seeds that fail are printed, and written to a file if one is named. `--journal` simulates the journal alone,
whose crashes are a hundred times cheaper. Where the environment names a file in BEAVER_FIGURES, the sum is
appended to it as a line of JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO, TypeAlias

from beaver_actors.testing.determinism import Trace
from beaver_actors.testing.journal_simulation import simulate_journal
from beaver_actors.testing.scenario import simulate

SEED_BITS = 48
TOLD_EVERY_SECONDS = 10.0
FIGURES = "BEAVER_FIGURES"

Figures: TypeAlias = dict[str, Any]
"""Numbers by name, and dictionaries of such: they can be added up."""


def main(arguments: list[str] | None = None) -> int:
    """Run; returns the exit code: 0 if no promise was broken, else 1."""
    parser = argparse.ArgumentParser(prog="python -m beaver_actors.testing.simulate", description=__doc__)
    parser.add_argument("--journal", action="store_true", help="the journal alone, not the whole node")
    parser.add_argument("--seed", type=int, help="run this one")
    parser.add_argument("--trace", action="store_true", help="with --seed: print everything that happens")
    parser.add_argument("--minutes", type=float, default=1.0, help="how long to explore (default: 1)")
    parser.add_argument("--crashes", type=int, help="explore until so many crashes instead")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)"
    )
    parser.add_argument("--first", type=int, help="explore from this seed on; by default one by chance")
    parser.add_argument("--failures", type=Path, help="append failing seeds to this file")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.seed is not None:
        return _replay(options.seed, journal=options.journal, show=options.trace)
    if options.first is None:
        options.first = secrets.randbits(SEED_BITS)
    return _explore_alone(options) if options.alone else _explore(options)


def _replay(seed: int, *, journal: bool, show: bool) -> int:
    trace = Trace(keep=show)
    try:
        figures = _run(seed, journal=journal, trace=trace)
    except AssertionError as error:
        _say(*(trace.kept or ()), error, error=True)
        return 1
    hashed = figures.pop("trace", None) or f"{trace.digest()} of {trace.notes} notes"
    _say(*(trace.kept or ()), f"seed {seed}: {_words(figures)}", f"trace {hashed}")
    return 0


def _run(seed: int, *, journal: bool, trace: Trace | None = None) -> Figures:
    """Run one simulation. Raises AssertionError."""
    return simulate_journal(seed).plain() if journal else simulate(seed, trace).plain()


def _explore_alone(options: argparse.Namespace) -> int:
    """Explore in this process; tells its parent in lines of JSON."""
    began = last = time.monotonic()
    seed, failed = options.first, False
    total: Figures = {"crashes": 0}
    gc.disable()  # what simulations leave behind is collected in one go
    while (
        time.monotonic() - began < options.minutes * 60
        if options.crashes is None
        else total["crashes"] < options.crashes
    ):
        try:
            figures = _run(seed, journal=options.journal)
            figures.pop("trace", None)
            _add(total, figures)
        except AssertionError as error:
            failed = True
            _say(json.dumps({"failed": str(error), "seed": seed}))
        if seed % 20 == 0:
            gc.collect()
        seed += 1
        if time.monotonic() - last > TOLD_EVERY_SECONDS:
            last = time.monotonic()
            _say(json.dumps({"total": total}))
    _say(json.dumps({"total": total, "end": True}))
    return 1 if failed else 0


def _explore(options: argparse.Namespace) -> int:
    """Have several processes explore seeds far apart, and add up what they tell."""
    _say(f"seeds from {options.first} on, {options.jobs} processes")
    began = time.monotonic()
    children = [_child(options, number) for number in range(options.jobs)]
    totals: list[Figures] = [{"crashes": 0}] * options.jobs
    failed: list[int] = []
    try:
        with open(options.failures or os.devnull, "a", encoding="utf-8") as file:
            _listen(children, totals, failed, began, file)
    finally:
        for child in children:
            child.kill()
            child.__exit__(None, None, None)  # closes the pipe and waits
    seconds = time.monotonic() - began
    total = _sum(totals)
    _say(f"{_words(total)}; {_rate(total, seconds)}")
    broken = [child.returncode for child in children if child.returncode not in (0, 1)]
    if failed:
        _say(f"{len(failed)} simulations failed: {failed}", error=True)
    if broken:
        _say(f"processes ended with {broken}", error=True)
    if name := os.environ.get(FIGURES):
        kind = "simulated journal" if options.journal else "simulated node"
        line = {"kind": kind, "seed": options.first, **total, "failed": failed, "seconds": round(seconds, 1)}
        with open(name, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    return 1 if failed or broken else 0


def _child(options: argparse.Namespace, number: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "beaver_actors.testing.simulate", "--alone"]
    command += ["--first", str(options.first + number * 10**9), "--minutes", str(options.minutes)]
    if options.crashes is not None:
        command += ["--crashes", str(-(-options.crashes // options.jobs))]
    if options.journal:
        command.append("--journal")
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _listen(
    children: list[subprocess.Popen[str]],
    totals: list[Figures],
    failed: list[int],
    began: float,
    file: TextIO,
) -> None:
    """Take what the children tell, until all have ended. One after the other: each tells often enough."""
    talking = dict(enumerate(children))
    while talking:
        for number, child in list(talking.items()):
            assert child.stdout is not None
            line = child.stdout.readline()
            told: dict[str, Any] = json.loads(line) if line else {"end": True}
            if "failed" in told:
                failed.append(told["seed"])
                _say(told["failed"])
                print(told["seed"], file=file, flush=True)
            if "total" in told:
                totals[number] = told["total"]
            if told.get("end"):
                child.wait()
                del talking[number]
        total, seconds = _sum(totals), time.monotonic() - began
        _say(f"{seconds:6.0f} s  {total['crashes']} crashes, {_rate(total, seconds)}")


def _sum(parts: Iterable[Figures]) -> Figures:
    total: Figures = {}
    for part in parts:
        _add(total, part)
    return total


def _add(total: Figures, more: Figures) -> None:
    for name, value in more.items():
        if isinstance(value, dict):
            _add(total.setdefault(name, {}), value)
        else:
            total[name] = total.get(name, 0) + value


def _words(figures: Figures) -> str:
    """The figures in a line."""
    parts: list[str] = []
    for name, value in figures.items():
        if isinstance(value, dict):
            inner = ", ".join(f"{count} {what}" for what, count in sorted(value.items()))
            parts.append(f"{name}: {inner or 'none'}")
        elif name != "simulated_seconds":
            parts.append(f"{value} {name.replace('_', ' ')}")
    return "; ".join(parts)


def _rate(total: Figures, seconds: float) -> str:
    rate = f"{total['crashes'] / seconds:.1f} crashes/s"
    if "simulated_seconds" in total:
        rate += f", {total['simulated_seconds'] / 3600:.1f} simulated hours"
    return rate


def _say(*lines: object, error: bool = False) -> None:
    for line in lines:
        print(line, file=sys.stderr if error else sys.stdout, flush=True)  # a command


if __name__ == "__main__":
    sys.exit(main())
