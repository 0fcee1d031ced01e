"""What earlier runs have found, read from the lines of JSON that they left.

A run can begin with what noticed a bug before, and the page can show every bug, each row with the day and the
commit that it is of. This file judges nothing, and runs nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.seeded_bugs.catalogue import ROOT, Bug
from tests.seeded_bugs.layers import LAYERS, PYTEST, Layer, Verdict
from tests.seeded_bugs.table import Circumstances, Row

FIGURES = ROOT / "docs" / "durability-figures.jsonl"
TEST_SECONDS_MAX = 300.0


def read_rows(file: Path, bugs: Iterable[Bug]) -> dict[str, Row]:
    """The latest row of each of these bugs, by name. Lines of other kinds are passed over."""
    by_name = {bug.name: bug for bug in bugs}
    rows: dict[str, Row] = {}
    known = Circumstances("undated", "of an unknown commit")
    for text in file.read_text(encoding="utf-8").splitlines():
        line: dict[str, Any] = json.loads(text)
        if line.get("kind") == "run":
            known = Circumstances(line["date"], line["commit"])
        elif line.get("kind") == "seeded bug" and line["bug"] in by_name:
            verdicts = {
                name: None if told is None else Verdict(**told) for name, told in line["layers"].items()
            }
            made = known._replace(how=line.get("how", "first"))
            rows[line["bug"]] = Row(by_name[line["bug"]], verdicts, line["seed"], made)
    return rows


def noticed_before(row: Row | None) -> Layer | None:
    """What noticed this bug, alone: a test, or a simulation. None if nothing did, as far as is known."""
    first = None if row is None else row.first
    if first is None:
        return None
    layer = next((layer for layer in LAYERS if layer.name == first[0]), None)
    if layer is None or layer.explores:
        return layer
    # Without parameters, whose names may have spaces in them.
    test = re.split(r"[\[ ]", first[1].why)[0]
    return layer._replace(command=(*PYTEST, test), limit=TEST_SECONDS_MAX) if "::" in test else None
