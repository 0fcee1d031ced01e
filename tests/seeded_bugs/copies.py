"""Copies of the tree, in which bugs are seeded, so that the tree itself is never touched."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.seeded_bugs.catalogue import ROOT, Bug, seed
from tests.seeded_bugs.layers import environment


@contextmanager
def copy_of_tree(bug: Bug | None = None) -> Iterator[Path]:
    """A copy of the files that git keeps, as they are now, with a bug or as it is; deleted afterwards.

    A new one for each bug, so that no compiled file can stand for a source that has changed since.

    Raises:
        RuntimeError: the patch does not fit, or Python would import something else than the copy.
    """
    with tempfile.TemporaryDirectory(prefix="seeded-bug-") as place:
        tree = Path(place).resolve() / "tree"
        for name in tracked_files():
            target = tree / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
        if bug is not None:
            seed(bug, tree)
        _expect_imported(tree)
        yield tree


def tracked_files() -> list[str]:
    """The files that git keeps and that are there."""
    command = ["git", "ls-files", "-z"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in said.split("\0") if name and (ROOT / name).is_file()]


def _expect_imported(tree: Path) -> None:
    """The package is installed in the environment too, as the tree it is edited in."""
    code = "import beaver_actors as a, tests.seeded_bugs.explore as b; print(a.__file__, b.__file__)"
    command = [sys.executable, "-c", code]
    said = subprocess.run(
        command, cwd=tree, env=environment(tree), capture_output=True, text=True, check=True
    ).stdout
    expected = f"{tree}/beaver_actors/__init__.py {tree}/tests/seeded_bugs/explore.py"
    if said.strip() != expected:
        raise RuntimeError(f"expected to import {expected}, and got {said.strip()}")
