"""`python -m tests.seeded_bugs`: seeds each bug of the catalogue into a copy of the tree and runs the layers.

First every layer runs on a copy without a bug; a test that fails there says nothing and is left out of the
run, with a warning. Ends with 1 if a bug is caught by no layer. `--first` is a short way: each bug until one
layer notices, and then the tests that did, without a bug, to see that they say nothing of their own.
`--again` is the shortest: as `--first`, but what noticed a bug in an earlier run has the first word, alone.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from tests.seeded_bugs.catalogue import ROOT, Bug, read_catalogue
from tests.seeded_bugs.copies import copy_of_tree
from tests.seeded_bugs.earlier import FIGURES, noticed_before, read_rows
from tests.seeded_bugs.layers import EVERYTHING, LAYERS, PYTEST, Layer, Verdict, run_layer, sees, stopping
from tests.seeded_bugs.table import Circumstances, Row, heading, line, page, plain

PAGE = ROOT / "docs" / "seeded-bugs.md"
SEED_BITS = 40
FLAKES_MAX = 5
"""Tests of one layer that may fail without a bug before the run is given up."""


def main(arguments: list[str] | None = None) -> int:
    """Run; returns the exit code."""
    options = _options(arguments)
    if options.page:
        _write_page()
        return 0
    bugs = [bug for bug in read_catalogue() if _is_wanted(bug, options.bugs)]
    layers = [layer for layer in LAYERS if _is_chosen(layer, options.layers, processes=options.processes)]
    short = options.first or options.again
    made = _circumstances("again" if options.again else "first" if short else "all")
    earlier = read_rows(FIGURES, bugs) if options.again else {}
    if short:
        layers = [layer._replace(always=False) for layer in layers]
    if not bugs or not layers:
        _say("no such bug, or no such layer")
        return 2
    seed = secrets.randbits(SEED_BITS) if options.seed is None else options.seed
    without = tuple(options.without)
    if not (options.trust or short):
        without += _left_out(layers, seed, without)
    _say(f"{len(bugs)} bugs, simulations from seed {seed} on\n{heading(layers)}")
    places = [Path(name)] if (name := os.environ.get("BEAVER_FIGURES")) else []
    places += [FIGURES] if options.record else []
    _leave(places, json.dumps({"kind": "run", "date": made.date, "commit": made.commit}))
    rows: list[Row] = []
    pool = ThreadPoolExecutor(options.jobs)
    try:
        tries = [
            pool.submit(
                _try,
                Row(bug, {}, seed + bug.number * 10**9, made),
                layers,
                without,
                noticed_before(earlier.get(bug.name)),
                until_caught=options.until_caught or short,
            )
            for bug in bugs
        ]
        for row in (one.result() for one in tries):
            rows.append(row)
            _say(line(row, layers))
            _leave(places, plain(row))
    except BaseException:
        stopping.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    missed = [row.bug.name for row in rows if not row.caught]
    if short:
        _confirm(rows)
    if options.record:
        _write_page()
    _say(
        f"{len(rows) - len(missed)} of {len(rows)} caught"
        + (f"; not caught: {', '.join(missed)}" if missed else "")
    )
    return 1 if missed else 0


def _try(
    row: Row, layers: Sequence[Layer], without: tuple[str, ...], before: Layer | None, *, until_caught: bool
) -> Row:
    """Run the layers on a copy with this bug; first of all what noticed it before."""
    with copy_of_tree(row.bug) as tree:
        if before is not None:
            verdict = run_layer(before, tree, seed=row.seed, without=without)
            if verdict.red:
                blind = {layer.name: None for layer in layers if not sees(layer, row.bug.files)}
                return row._replace(verdicts={**blind, before.name: verdict})
            row = row._replace(made=row.made._replace(how="first"))
        for layer in layers:
            if not sees(layer, row.bug.files):
                row.verdicts[layer.name] = None
            elif not (until_caught and row.caught) or layer.always:
                row.verdicts[layer.name] = run_layer(layer, tree, seed=row.seed, without=without)
    return row


def _left_out(layers: Sequence[Layer], seed: int, without: tuple[str, ...]) -> tuple[str, ...]:
    """Run the layers on the tree as it is; returns the tests that fail there.

    Raises:
        SystemExit: a simulation fails, or too many tests do.
    """
    failing: list[str] = []
    with copy_of_tree() as tree:
        for layer in layers:
            for _ in range(FLAKES_MAX + 1):
                verdict = run_layer(layer, tree, seed=seed, without=(*without, *failing))
                if not verdict.red:
                    break
                _say(f"{layer.name} is red without a bug, after {verdict.seconds:.1f} s: {verdict.why}")
                if layer.explores:
                    raise SystemExit(2)
                failing.append(verdict.why.split(" ")[0])
            else:
                raise SystemExit(2)
            _say(f"without a bug, {layer.name}: {_words(verdict)}")
    return tuple(failing)


def _confirm(rows: Sequence[Row]) -> None:
    """Run what has noticed something, tests and simulations, on the tree as it is.

    Raises:
        SystemExit: one of them fails there, too, and has said nothing; or they were not all run.
    """
    firsts = [row.first for row in rows if row.first is not None]
    # Without parameters, whose names may have spaces in them.
    noticed = {re.split(r"[\[ ]", verdict.why)[0] for _, verdict in firsts}
    tests = tuple(sorted(test for test in noticed if test.startswith("tests/")))
    layers = [layer for layer in LAYERS if layer.explores and any(layer.name == name for name, _ in firsts)]
    if tests:
        layers.append(Layer("those", f"{len(tests)} tests that noticed", (*PYTEST, *tests), EVERYTHING, 1800))
    with copy_of_tree() as tree:
        for layer in layers:
            verdict = run_layer(layer, tree, seed=secrets.randbits(SEED_BITS))
            _say(f"without a bug, {layer.title}: {_words(verdict)}")
            if verdict.why:
                raise SystemExit(2)


def _words(verdict: Verdict) -> str:
    return verdict.why or f"green in {verdict.seconds:.1f} s"


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.seeded_bugs", description=__doc__)
    parser.add_argument("bugs", nargs="*", help="numbers or parts of names; all by default")
    parser.add_argument(
        "--layers", type=lambda text: text.split(","), help=f"of {','.join(layer.name for layer in LAYERS)}"
    )
    parser.add_argument("--processes", action="store_true", help="run the layer of real processes too: slow")
    parser.add_argument(
        "--until-caught", action="store_true", help="once a layer is red, run only machines and simulations"
    )
    parser.add_argument(
        "--first",
        action="store_true",
        help="stop at the first layer that is red, and run the tests that noticed without a bug afterwards",
    )
    parser.add_argument("--jobs", type=int, default=1, help="bugs at once (default: 1)")
    parser.add_argument("--seed", type=int, help="where simulations start to look; by default anywhere")
    parser.add_argument(
        "--again",
        action="store_true",
        help="as --first, after the test that noticed the bug in an earlier run",
    )
    parser.add_argument(
        "--record",
        action="store_true",
        help=f"keep the rows in {FIGURES.relative_to(ROOT)}, and write {PAGE.relative_to(ROOT)} anew",
    )
    parser.add_argument("--page", action="store_true", help="write that page, and do nothing else")
    parser.add_argument("--trust", action="store_true", help="do not run the layers without a bug first")
    parser.add_argument("--without", action="append", default=[], metavar="TEST", help="leave out this test")
    return parser.parse_args(arguments)


def _is_wanted(bug: Bug, wanted: list[str]) -> bool:
    return not wanted or any(text == f"{bug.number:02}" or text in bug.words for text in wanted)


def _is_chosen(layer: Layer, names: list[str] | None, *, processes: bool) -> bool:
    if names is not None:
        return layer.name in names
    return layer.by_default or processes


def _leave(places: Sequence[Path], text: str) -> None:
    """Leave a line to later runs and to the report."""
    for place in places:
        with place.open("a", encoding="utf-8") as file:
            file.write(text + "\n")


def _write_page() -> None:
    PAGE.write_text(page(read_rows(FIGURES, read_catalogue()).values(), LAYERS), encoding="utf-8")


def _circumstances(how: str) -> Circumstances:
    commit = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("diff", "HEAD", "--stat", "--", "beaver_actors", "tests")
    return Circumstances(f"{datetime.now(UTC):%Y-%m-%d}", commit + (" and changes" if changed else ""), how)


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # what was asked for


if __name__ == "__main__":
    sys.exit(main())
