"""The page of seeded bugs: every bug has a row that says which layer caught it, from figures of real runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.seeded_bugs import __main__ as runner
from tests.seeded_bugs.__main__ import PAGE
from tests.seeded_bugs.catalogue import ROOT, read_catalogue
from tests.seeded_bugs.earlier import FIGURES, noticed_before, read_rows
from tests.seeded_bugs.layers import LAYERS, PYTEST, Layer, Verdict, run_layer
from tests.seeded_bugs.table import Circumstances, Row, page, plain

BUGS = read_catalogue()
MADE = Circumstances("2026-12-01", "abc")


def test_every_bug_has_been_run_and_was_caught() -> None:
    """By list: `make seeded-bugs BUGS=NN FIRST=1 RECORD=1` for one that is new."""
    rows = read_rows(FIGURES, BUGS)
    assert [bug.name for bug in BUGS if bug.name not in rows] == []
    assert [row.bug.name for row in rows.values() if not row.caught] == []


def test_the_page_says_what_the_figures_say() -> None:
    """By file: `python -m tests.seeded_bugs --page` writes it anew."""
    assert PAGE.read_text(encoding="utf-8") == page(read_rows(FIGURES, BUGS).values(), LAYERS)


def test_the_latest_row_counts_with_its_day_and_commit(tmp_path: Path) -> None:
    """By example: other lines are passed over, and so are bugs that are gone."""
    caught, missed = {"core": Verdict(True, 2.04, "tests/x.py::test_y[a")}, {"core": Verdict(False, 9.0)}
    told = [
        plain(Row(BUGS[0], {**missed, "bytes": None}, 1, MADE)),
        json.dumps({"kind": "run", "date": "2026-12-02", "commit": "def"}),
        json.dumps({"kind": "fuzz", "bytes": 7}),
        plain(Row(BUGS[0], {**caught}, 2, MADE._replace(how="again"))),
        plain(Row(BUGS[1]._replace(name="99-gone"), {**caught}, 3, MADE)),
    ]
    file = tmp_path / "figures.jsonl"
    file.write_text("\n".join(told) + "\n")
    (row,) = read_rows(file, BUGS).values()
    assert row == Row(
        BUGS[0],
        {"core": Verdict(True, 2.0, "tests/x.py::test_y[a")},
        2,
        Circumstances("2026-12-02", "def", "again"),
    )
    text = page([row], LAYERS)
    assert "**1 of 1 bugs caught.**" in text
    assert "`tests/x.py`: y | again, 2026-12-02, def |" in text


@pytest.mark.parametrize(
    ("layer", "why", "command"),
    [
        ("parts", "tests/a.py::test_b[one two", (*PYTEST, "tests/a.py::test_b")),
        ("node-simulation", "P3: lost", next(one.command for one in LAYERS if one.name == "node-simulation")),
        ("parts", "ended with 1", None),
        ("no such layer", "tests/a.py::test_b", None),
    ],
)
def test_what_noticed_a_bug_before_can_be_run_alone(
    layer: str, why: str, command: tuple[str, ...] | None
) -> None:
    """By example: a test, a simulation; what cannot be named is no help."""
    found = noticed_before(Row(BUGS[0], {"core": None, layer: Verdict(True, 1.0, why)}, 1, MADE))
    assert (found and found.command) == command
    assert noticed_before(None) is None
    assert noticed_before(Row(BUGS[0], {layer: Verdict(False, 1.0)}, 1, MADE)) is None


def test_a_test_that_is_gone_has_not_noticed_anything(tmp_path: Path) -> None:
    """By a real run: else each bug would be caught once its test is moved away."""
    (tmp_path / "test_one.py").write_text("def test_red():\n    assert False\n")
    options = ("-m", "pytest", "-x", "-v", "-p", "no:cacheprovider")
    for name, red in (("test_red", True), ("test_gone", False)):
        layer = Layer("one", "one", (*options, f"test_one.py::{name}"), (), 60)
        verdict = run_layer(layer, tmp_path, seed=1)
        assert verdict.red is red, verdict
        assert verdict.why == ("test_one.py::test_red" if red else "no such test")


def test_what_noticed_is_run_without_a_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a real run of two tests, one of which is gone: what was not run to its end has confirmed nothing."""
    there = "tests/core/test_durations.py"
    for test, code in ((f"{there}::{_first_test(ROOT / there)}", 0), (f"{there}::test_gone", 2)):
        noticed = {"core": Verdict(True, 1.0, test)}
        monkeypatch.setattr(
            runner, "_try", lambda row, *_, noticed=noticed, **__: row._replace(verdicts=noticed)
        )
        ended = _ended(["--first", "--layers", "core", f"{BUGS[0].number:02}"])
        assert ended == code
        assert ("1 tests that noticed: green in" in capsys.readouterr().out) == (code == 0)


def _first_test(file: Path) -> str:
    found = re.search(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def _ended(arguments: list[str]) -> int:
    try:
        return runner.main(arguments)
    except SystemExit as end:
        return int(str(end.code))
