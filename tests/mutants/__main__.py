"""`python -m tests.mutants core codec journal`: changes the program in small ways; do the tests notice?

Each mutant is run against the quick tests of its package, its own module's first, up to the first failure.
Those that survive are either explained in `explained.txt`, or a test is missing. Ends with 1 if there is one
of the latter. `--sample N` takes so many of each package by chance.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from pathlib import Path
from typing import NamedTuple

from tests.mutants.mutate import Mutant, mutants
from tests.mutants.runs import Hook, run_tests, warm_up

ROOT = Path(__file__).parents[2]
EXPLAINED = Path(__file__).parent / "explained.txt"
PACKAGES = {
    "core": ["tests/core"],
    "codec": ["tests/codec", "tests/golden"],
    "journal": ["tests/journal", "tests/golden"],
}
TIMES_MAX = 5
"""A run that takes so many times what the unchanged program takes hangs."""


class Place(NamedTuple):
    """A mutant and where it is."""

    package: str
    file: Path
    mutant: Mutant

    @property
    def name(self) -> str:
        """What it is known by in `explained.txt`."""
        return f"{self.package}/{self.file.name} {self.mutant.name}"


def main(arguments: list[str] | None = None) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("packages", nargs="*", default=list(PACKAGES), help=f"of {', '.join(PACKAGES)}")
    parser.add_argument("--sample", type=int, help="so many of each package, by chance")
    parser.add_argument(
        "--seed", type=int, default=random.SystemRandom().getrandbits(32), help="of the sample"
    )
    parser.add_argument("--only", help="those whose names contain this")
    options = parser.parse_args(arguments)
    os.environ["HYPOTHESIS_PROFILE"] = "mutants"
    warm_up()
    explained = read_explained()
    survivors = 0
    for package in options.packages:
        places = places_of(package)
        count = len(places)
        if options.only is not None:
            places = [place for place in places if options.only in place.name]
        if options.sample is not None and options.sample < len(places):
            places = sorted(
                random.Random(options.seed).sample(places, options.sample), key=lambda one: one.name
            )
        survivors += _run(package, places, count, explained, options.seed)
    return 1 if survivors else 0


def places_of(package: str) -> list[Place]:
    """All mutants of a package."""
    files = sorted((ROOT / "beaver_actors" / package).glob("*.py"))
    return [Place(package, file, one) for file in files for one in mutants(file.read_text(encoding="utf-8"))]


def read_explained() -> dict[str, str]:
    """By name, why no test can notice a mutant, or need not: a line, and its reason, indented, below it."""
    reasons: dict[str, str] = {}
    name = ""
    for line in EXPLAINED.read_text(encoding="utf-8").splitlines():
        if line.startswith("    "):
            reasons[name] = f"{reasons[name]} {line.strip()}".strip()
        elif line and not line.startswith("#"):
            name = line
            reasons[name] = ""
    return reasons


def _run(package: str, places: list[Place], count: int, explained: dict[str, str], seed: int) -> int:
    """Run the mutants of one package; returns how many survive unexplained."""
    whole = run_tests(PACKAGES[package], None, 600)
    if whole.noticed:
        raise SystemExit(f"{package}: its tests fail without a mutant")
    _say(f"{package}: {len(places)} of {count} mutants, seed {seed}; all of its tests: {whole.seconds:.1f} s")
    noticed, equal, survived = 0, 0, 0
    for number, place in enumerate(places, 1):
        name = f"beaver_actors.{package}.{place.file.stem}"
        hook = Hook(name, place.file, place.mutant.source())
        run = run_tests(_ordered(package, place.file), hook, TIMES_MAX * whole.seconds)
        if run.noticed:
            noticed += 1
        elif place.name in explained:
            equal += 1
        else:
            survived += 1
            _say(f"SURVIVES {place.file.relative_to(ROOT)}:{place.mutant.line}\n{place.name}")
        if number % 20 == 0:
            _say(f"  {number} run: {noticed} noticed, {equal} explained, {survived} survive")
    _say(f"{package}: {noticed} noticed, {equal} explained, {survived} survive")
    _note(package, len(places), count, noticed, equal, survived, seed)
    return survived


def _ordered(package: str, file: Path) -> list[str]:
    """The package's tests, those of the module first."""
    own = f"{PACKAGES[package][0]}/test_{file.stem}.py"
    return [own, *PACKAGES[package]] if (ROOT / own).is_file() else PACKAGES[package]


def _note(package: str, run: int, count: int, noticed: int, explained: int, survived: int, seed: int) -> None:
    if name := os.environ.get("BEAVER_FIGURES"):
        figures = {
            "kind": "mutants", "package": package, "seed": seed, "run": run, "there_are": count,
            "noticed": noticed, "explained": explained, "survived": survived,
        }  # fmt: skip
        with open(name, "a", encoding="utf-8") as out:
            out.write(json.dumps(figures) + "\n")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # what was asked for


if __name__ == "__main__":
    sys.exit(main())
