"""Golden files: data directories of each released format version, read to the exact state (P6)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from beaver_actors.core.facts import Fact
from beaver_actors.core.invariants import check
from beaver_actors.journal.disk import RealDisk
from beaver_actors.journal.recovery import open_journal
from beaver_actors.journal.replay import read_log
from beaver_actors.journal.verify import verify
from tests.golden import later, script
from tests.golden.script import SETTINGS, shown

HERE = Path(__file__).parent
VERSIONS = sorted(path.name for path in HERE.glob("v*"))
HISTORIES: dict[str, list[list[Fact]]] = {
    "v1": script.BEFORE_SNAPSHOT + script.AFTER_SNAPSHOT,
    "v1b": later.FIRST + later.SECOND + later.THIRD,
}
WRITERS = {"v1": script.write, "v1-killed": script.write_killed, "v1b": later.write}
EPOCHS = {"v1": 3, "v1-killed": 2, "v1b": 3}
"""The epoch of the next life."""


def files(directory: Path) -> dict[str, bytes]:
    paths = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


def without_news(now: Any, before: Any) -> Any:
    """What is read now, without the fields that have come since, as far as they say nothing."""
    if isinstance(now, dict) and isinstance(before, dict):
        return {
            name: without_news(value, before.get(name))
            for name, value in now.items()
            if name in before or value is not None
        }
    if isinstance(now, list) and isinstance(before, list) and len(now) == len(before):
        return [without_news(*pair) for pair in zip(now, before, strict=True)]
    return now


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("snapshot", [True, False], ids=["from the snapshot", "from the log alone"])
def test_every_released_format_is_read(version: str, snapshot: bool, tmp_path: Path) -> None:
    """P6, by files: the same state as on the day they were written, and a server goes on from there."""
    data = tmp_path / "data"
    shutil.copytree(HERE / version, data)
    if not snapshot:
        shutil.rmtree(data / "snapshots")
        (data / "snapshots").mkdir()
    assert verify(RealDisk(str(data))).ok
    recovered = open_journal(RealDisk(str(data)), SETTINGS)
    written = json.loads((HERE / version / "state.json").read_text(encoding="utf-8"))
    assert without_news(shown(recovered.state), written) == written
    check(recovered.state)
    assert (recovered.report.snapshot_lsn is not None) == snapshot
    assert recovered.report.epoch == EPOCHS[version]
    assert (recovered.report.torn_bytes > 0) == version.endswith("-killed")
    recovered.journal.close()


@pytest.mark.parametrize("version", HISTORIES)
def test_every_fact_of_the_script_is_in_the_log(version: str) -> None:
    """P6, by files: class by class, field by field."""
    facts = [fact for batch in HISTORIES[version] for fact in batch]
    read = list(read_log(RealDisk(str(HERE / version))))
    assert [fact for _, _, fact in read] == facts
    assert [type(fact) for _, _, fact in read] == [type(fact) for fact in facts]
    assert [lsn for lsn, _, _ in read] == list(range(1, len(facts) + 1))
    assert {epoch for _, epoch, _ in read} == {1, 2}


@pytest.mark.parametrize("version", WRITERS)
def test_what_is_written_has_not_changed(version: str, tmp_path: Path) -> None:
    """P6, by files: byte for byte. If this fails on purpose, the format version must rise: see
    `docs/wal-format.md`, "Changing the format"."""
    WRITERS[version](tmp_path / "data")
    golden = files(HERE / version)
    del golden["state.json"]
    assert files(tmp_path / "data") == golden
