"""Write `docs/durability-report.md` from the figures that proofs of durability have left behind.

    python scripts/durability_report.py FIGURES…

Each file holds lines of JSON, as tests, simulations, the fuzzer, the seeded bugs and the mutants append them
to the file that `BEAVER_FIGURES` names. A line of kind "run" says of which date and commit the lines below it
are; what was made at another time has rows of its own. `make durability-report` runs all of them for a while
and then this. Nothing is added to the figures here but sums.
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

ROOT: Final = Path(__file__).parent.parent
BUGS: Final = ROOT / "tests" / "seeded_bugs"
REPORT: Final = ROOT / "docs" / "durability-report.md"
Line: TypeAlias = dict[str, Any]

REAL: Final = {
    "kill": "`kill -9` of a real server under load, on one data directory",
    "power cut": "power cuts: the ext4 image under a real server, copied while it runs and mounted anew",
}
SIMULATED: Final = {
    "simulated node": "the whole node: clients, network, actors, journal, disk",
    "simulated journal": "the journal and the disk alone",
}
PLANNED: Final = {"simulated node": 250_000, "simulated journal": 2_000_000}
"""Crashes that a report should rest on."""
NOT_MODELLED: Final = """\
* Disks that lie: a sync that returns and has done nothing. Nothing on one machine can survive that.
* Damage at rest that forges a matching checksum, or blanks a whole sector of the very last commit: the second
  looks like an interrupted write, and is cut (`docs/wal-format.md` says what is left to chance).
* File systems other than ext4 in the real power cuts; the simulated disk allows more than any of them does.
* In simulations: threads and worker processes of user code, and a fold process whose disk calls interleave
  with the server's. The real kills have both.
* Bugs of CPython, Trio or the kernel below what is simulated: the real processes are there for those.
* More than one machine."""


def main(arguments: list[str]) -> int:
    """Read the figures, write the report; returns the exit code."""
    if not arguments:
        sys.stderr.write("expected files of figures, got none\n")
        return 2
    lines: list[Line] = []
    for name in arguments:
        lines += _read(Path(name))
    REPORT.write_text(report(lines), encoding="utf-8")
    sys.stdout.write(f"{REPORT.relative_to(ROOT)}: {len(lines)} lines of figures\n")
    return 1 if any(line.get("failed") for line in lines) else 0


def _read(file: Path) -> list[Line]:
    """The lines of a file but those of kind "run", each with what they say of it."""
    known: Line = {"date": None, "commit": "of an unknown commit"}
    lines: list[Line] = []
    for text in file.read_text(encoding="utf-8").splitlines():
        line: Line = json.loads(text)
        if line.get("kind") == "run":
            known = {"date": line["date"], "commit": line["commit"]}
        else:
            lines.append({**line, **known})
    return lines


def report(lines: list[Line]) -> str:
    """The whole page, as Markdown."""
    by_kind: dict[str, list[Line]] = {}
    for line in lines:
        by_kind.setdefault(line.get("kind", "fuzz"), []).append(line)
    failed = [line for line in lines if line.get("failed")]
    parts = [
        "# Durability report",
        f"Written by `scripts/durability_report.py` on {datetime.now(UTC):%Y-%m-%d} at commit {_commit()}, "
        f"on {os.cpu_count()} shared cores ({platform.machine()}). The figures are of the dates and commits "
        "that stand beside them: most proofs take hours, and are not made anew for each commit. What each "
        "layer is and how to repeat a seed stands in [testing.md](testing.md).",
        "**Nothing was lost, and no promise was broken, in any of what follows.**"
        if not failed
        else f"**{len(failed)} runs failed:** " + "; ".join(str(line["failed"]) for line in failed),
        "## Real processes",
        *_real(by_kind),
        "## Simulation",
        *_simulated(by_kind),
        "## Fuzzing",
        *_fuzzed(by_kind.get("fuzz", [])),
        "## Seeded bugs",
        *_seeded(by_kind.get("seeded bug", [])),
        "## Mutants",
        *_mutants(by_kind.get("mutants", [])),
        "## What these figures say, and what they do not",
        "No failure in N independent trials bounds the chance of one by 3/N, with 95% confidence and within "
        "the model of what may go wrong. Not modelled:",
        NOT_MODELLED,
    ]
    return "\n\n".join(parts) + "\n"


def _real(by_kind: dict[str, list[Line]]) -> Iterable[str]:
    rows: list[list[object]] = []
    others: list[list[object]] = []
    for kind, all_lines in by_kind.items():
        for when, lines in _by_date(all_lines):
            if kind in REAL:
                trials = sum(line.get("kills", 0) + line.get("power_cuts", 0) for line in lines)
                slowest = max(line.get("recovery_seconds_max", 0) for line in lines)
                figures = [_total(lines, name) for name in ("acknowledged", "completed", "lost", "doubled")]
                rows.append([REAL[kind], when, _count(trials), *map(_count, figures), f"{slowest:.2f} s"])
            elif kind not in SIMULATED and kind not in ("fuzz", "seeded bug", "mutants"):
                others.append([kind, when, len(lines), _figures(lines)])
    if rows:
        heads = ["what", "when", "trials", "acknowledged", "completed", "lost", "recorded twice"]
        yield _table([*heads, "slowest recovery"], rows)
        yield (
            "Acknowledged are jobs whose answer reached the client before the death; each of them was looked "
            "for afterwards, and its result compared with what its arguments call for."
        )
    if others:
        yield _table(["what", "when", "runs", "figures"], others)
    if not rows and not others:
        yield "Not run."


def _simulated(by_kind: dict[str, list[Line]]) -> Iterable[str]:
    rows: list[list[object]] = []
    details: list[str] = []
    for kind, about in SIMULATED.items():
        lines = by_kind.get(kind, [])
        for when, those in _by_date(lines):
            crashes = _total(those, "crashes")
            failed = sum(len(line.get("failed") or ()) for line in those)
            runs = _total(those, "scenarios") + _total(those, "disks")
            counts = [_count(number) for number in (runs, _total(those, "lives"), crashes)]
            calls, bound = _count(_total(those, "disk_calls")), f"{3 / crashes:.1e}" if crashes else "–"
            rows.append([about, when, *counts, calls, failed, bound])
        details += _details(kind, lines)
    if not rows:
        yield "Not run."
        return
    heads = ["what is simulated", "when", "runs", "lives", "crashes", "disk calls", "failed"]
    yield _table([*heads, "chance of one below"], rows)
    for kind, planned in PLANNED.items():
        crashes = _total(by_kind.get(kind, []), "crashes")
        if crashes < planned:
            details.append(f"* {kind}: {_count(crashes)} crashes of the {planned:,} that are planned.")
    yield "\n".join(details)


def _details(kind: str, lines: list[Line]) -> Iterable[str]:
    """What happened in the simulations of a kind, all of them."""
    if not lines:
        return
    sums = _sums(lines)
    for name, title in (
        ("deaths", "ends of processes"),
        ("faults", "inflicted"),
        ("ends", "ends of jobs"),
        ("found", "found by recovery"),
        ("damaged", "damaged at rest"),
    ):
        if sums.get(name):
            told = ", ".join(f"{_count(number)} {what}" for what, number in _largest(sums[name]))
            yield f"* {kind}, {title}: {told}."
    seeds = ", ".join(str(line["seed"]) for line in lines[:12])
    yield f"* {kind}: explored from the seeds {seeds}{' …' if len(lines) > 12 else ''} on."
    alarms = [str(seed) for line in lines for seed in line.get("false_alarms", ())]
    if alarms:
        yield f"* {kind}: false alarms, whose cause was in the simulation: {', '.join(alarms)}."
    mended = {seed: what for line in lines for seed, what in line.get("mended", {}).items()}
    for seed, what in mended.items():
        yield f"* {kind}: found by the seed {seed}, and mended since: {what}."
    if seconds := _total(lines, "simulated_seconds"):
        yield f"* {kind}: {seconds / 3600:,.0f} hours of simulated time."


def _fuzzed(all_lines: list[Line]) -> Iterable[str]:
    if not all_lines:
        yield "Not run."
        return
    rows: list[list[object]] = []
    for when, lines in _by_date(all_lines):
        for target in dict.fromkeys(line["target"] for line in lines):
            mine = [line for line in lines if line["target"] == target]
            counts = (_count(_total(mine, name)) for name in ("inputs", "bytes", "crashes"))
            rows.append([target, when, *counts])
    yield _table(["target", "when", "inputs", "bytes", "findings left"], rows)


def _seeded(lines: list[Line]) -> Iterable[str]:
    if not lines:
        yield "Not run."
        return
    bugs = [path.stem for path in BUGS.glob("*.patch")]
    latest = {line["bug"]: line for line in lines if line["bug"] in bugs}
    caught = sum(bool(line["caught"]) for line in latest.values())
    yield (
        f"{caught} of {len(bugs)} deliberate bugs were caught. Which, by what and how fast: "
        "[seeded-bugs.md](seeded-bugs.md)."
    )
    yield _table(
        ["when", "tried", "caught"],
        [
            [when, len(those), sum(bool(line["caught"]) for line in those)]
            for when, those in _by_date(list(latest.values()))
        ],
    )


def _mutants(all_lines: list[Line]) -> Iterable[str]:
    if not all_lines:
        yield "Not run."
        return
    names = ("run", "there_are", "noticed", "explained", "survived")
    rows: list[list[object]] = []
    for when, lines in _by_date(all_lines):
        rows += [[line["package"], when, *(_count(line[name]) for name in names)] for line in lines]
    yield _table(["package", "when", "tried", "of", "noticed", "explained", "not explained"], rows)
    yield (
        "Small changes to the program, one at a time, drawn by chance; `make mutants` tries them all. Why "
        "some cannot be noticed stands in `tests/mutants/explained.txt`. What survived at first, and has "
        "a test since, was tried again and counts as noticed."
    )


def _by_date(lines: list[Line]) -> list[tuple[str, list[Line]]]:
    """The lines of each date, with the date and the commits they are of."""
    dates: dict[str, list[Line]] = {}
    for line in lines:
        dates.setdefault(str(line.get("date") or "undated"), []).append(line)
    return [
        (f"{date}, {', '.join(dict.fromkeys(line['commit'] for line in those))}", those)
        for date, those in dates.items()
    ]


def _table(heads: list[str], rows: list[list[object]]) -> str:
    lines: list[list[object]] = [[*heads], ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _figures(lines: list[Line]) -> str:
    """What a kind of its own has to tell, in its own words."""
    sums = {
        name: total
        for name, total in _sums(lines).items()
        if isinstance(total, int | float) and name not in ("seed", "seconds") and not isinstance(total, bool)
    }
    return ", ".join(f"{name.replace('_', ' ')} {_count(total)}" for name, total in sums.items())


def _sums(lines: list[Line]) -> Line:
    total: Line = {}
    for line in lines:
        for name, value in line.items():
            if isinstance(value, dict):
                inner = total.setdefault(name, {})
                for what, number in value.items():
                    if isinstance(number, int | float):
                        inner[what] = inner.get(what, 0) + number
            elif isinstance(value, int | float):
                larger = name.endswith("_max")
                total[name] = max(total.get(name, 0), value) if larger else total.get(name, 0) + value
    return total


def _total(lines: list[Line], name: str) -> float:
    total: float = sum(line.get(name, 0) for line in lines)
    return total


def _largest(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: -item[1])


def _count(number: float) -> str:
    return f"{number:,}" if isinstance(number, int) else f"{math.ceil(number * 100) / 100:,}"


def _commit() -> str:
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
