"""The catalogue of seeded bugs fits the tree: a bug that cannot be seeded proves nothing.

Whether the bugs are caught is for `make seeded-bugs`, which takes hours; `test_page.py` sees that they were.
"""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.seeded_bugs.catalogue import PLACE, ROOT, Bug, read_bug, read_catalogue, seed
from tests.seeded_bugs.layers import LAYERS, sees

BUGS = read_catalogue()
PROMISES = re.findall(r"^## (P[0-9]+)\. ", (ROOT / "docs/promises.md").read_text(), re.MULTILINE)


def _tree(bug: Bug, place: Path) -> Path:
    """The files that the bug is in, as they are now."""
    for file in bug.files:
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, place / file)
    return place


def test_there_are_enough_of_them_and_none_has_the_number_of_another() -> None:
    """The catalogue is a list, and a number stands for one bug."""
    assert len(BUGS) >= 30
    assert [name for name, count in Counter(bug.number for bug in BUGS).items() if count > 1] == []
    assert {path.name for path in PLACE.glob("*.patch")} == {bug.path.name for bug in BUGS}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_can_be_seeded(bug: Bug, tmp_path: Path) -> None:
    """Its patch fits the tree as it is, changes the product alone, and leaves Python that compiles.

    If the product has changed around it, write it anew: seed what it says by hand, and take `git diff -U2`.
    """
    tree = _tree(bug, tmp_path)
    before = {file: (tree / file).read_text() for file in bug.files}
    seed(bug, tree)
    for file in bug.files:
        after = (tree / file).read_text()
        assert re.match(r"beaver_actors/(?!testing/)", file)
        assert after != before[file], f"{file} is not changed"
        compile(after, file, "exec")


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_says_what_it_breaks(bug: Bug) -> None:
    """P1–P12: each breaks a promise that there is, and some layer runs what it changes."""
    assert set(bug.promises) <= set(PROMISES)
    assert any(sees(layer, bug.files) for layer in LAYERS if layer.by_default)
    assert len(bug.text) < 200, "one sentence"


def test_a_patch_that_is_not_written_as_it_should_be_is_told(tmp_path: Path) -> None:
    """Its name and what was expected stand in the error."""
    diff = "diff --git a/beaver_actors/x.py b/beaver_actors/x.py\n"
    for name, text in {
        "1-short.patch": f"It is wrong. Breaks P1.\n\n{diff}",
        "01-silent.patch": diff,
        "02-promises-nothing.patch": f"It is wrong.\n\n{diff}",
        "03-empty.patch": "It is wrong. Breaks P1.\n\n",
    }.items():
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(ValueError, match=f"{re.escape(name)}: expected"):
            read_bug(path)


def test_a_patch_that_does_not_fit_is_told(tmp_path: Path) -> None:
    """A tree that has moved on is not changed half-way."""
    bug = BUGS[0]
    for file in bug.files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("something else\n")
    with pytest.raises(RuntimeError, match=re.escape(bug.path.name)):
        seed(bug, tmp_path)
    assert all((tmp_path / file).read_text() == "something else\n" for file in bug.files)
