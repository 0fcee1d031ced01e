"""The catalogue of seeded bugs: one patch file each, with a sentence about it above the diff.

This file alone knows how a patch file is written and put onto a tree. It runs nothing of what it changes.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

PLACE = Path(__file__).parent
ROOT = Path(__file__).parents[2]

_NAME = re.compile(r"(?P<number>[0-9]{2,3})-[a-z0-9]+(-[a-z0-9]+)*\.patch")
_HEADER = re.compile(r"(?P<text>[A-Z].+\.) Breaks (?P<promises>P[0-9]+(?:, P[0-9]+)*)\.")
_FILES = re.compile(r"^diff --git a/(\S+) b/(\S+)$", re.MULTILINE)


class Bug(NamedTuple):
    """A deliberate fault."""

    name: str
    """That of the file, `01-what-is-wrong`."""
    text: str
    """What is wrong, in a sentence."""
    promises: tuple[str, ...]
    """Those it breaks, such as P3."""
    files: tuple[str, ...]
    """Those it changes, from the root of the tree."""
    path: Path

    @property
    def number(self) -> int:
        return int(self.name.partition("-")[0])

    @property
    def words(self) -> str:
        """The name without the number."""
        return self.name.partition("-")[2]


def read_catalogue(place: Path = PLACE) -> list[Bug]:
    """Every bug, by number.

    Raises:
        ValueError: a file is not written as it should be; the text says which and how.
    """
    return sorted((read_bug(path) for path in place.glob("*.patch")), key=lambda bug: bug.number)


def read_bug(path: Path) -> Bug:
    """Read one patch file: a line `What is wrong. Breaks P1, P3.`, an empty line, and the diff.

    Raises:
        ValueError: it is not written so.
    """
    if not _NAME.fullmatch(path.name):
        raise ValueError(f"{path.name}: expected a name like 01-what-is-wrong.patch")
    head, _, diff = path.read_text(encoding="utf-8").partition("\n\n")
    match = _HEADER.fullmatch(head)
    if match is None:
        raise ValueError(f"{path.name}: expected a line `What is wrong. Breaks P1, P3.`, found {head!r:.200}")
    pairs = _FILES.findall(diff)
    if not pairs or not diff.startswith("diff --git ") or any(old != new for old, new in pairs):
        raise ValueError(
            f"{path.name}: expected a diff of files that stay where they are, made by `git diff`"
        )
    files = tuple(old for old, _ in pairs)
    return Bug(path.stem, match["text"], tuple(match["promises"].split(", ")), files, path)


def seed(bug: Bug, tree: Path) -> None:
    """Put a bug into a tree.

    Raises:
        RuntimeError: the patch does not fit this tree; the text is what git says.
    """
    # Outside of any repository git applies a patch to the files that are there; inside one, to that one's.
    outside = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    command = ["git", "apply", "--whitespace=nowarn", str(bug.path)]
    done = subprocess.run(command, cwd=tree, env=outside, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{bug.path.name} does not fit the tree any more:\n{done.stderr.strip()}")
