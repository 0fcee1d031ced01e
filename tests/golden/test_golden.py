"""Golden files: data directories of each released format version, read to the exact state (P6)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from beaver_actors.core.facts import FACTS
from beaver_actors.core.invariants import check
from beaver_actors.journal.disk import RealDisk
from beaver_actors.journal.recovery import open_journal
from beaver_actors.journal.replay import read_log
from beaver_actors.journal.verify import verify
from tests.golden.script import AFTER_SNAPSHOT, BEFORE_SNAPSHOT, SETTINGS, shown, write

HERE = Path(__file__).parent
VERSIONS = sorted(path.name for path in HERE.glob("v*"))
CURRENT = "v1"


def files(directory: Path) -> dict[str, bytes]:
    paths = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


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
    assert shown(recovered.state) == json.loads((HERE / version / "state.json").read_text(encoding="utf-8"))
    check(recovered.state)
    assert (recovered.report.snapshot_lsn is not None) == snapshot
    assert recovered.report.epoch == 3
    recovered.journal.close()


def test_every_fact_of_the_script_is_in_the_log() -> None:
    """P6, by files: class by class, field by field."""
    facts = [fact for batch in BEFORE_SNAPSHOT + AFTER_SNAPSHOT for fact in batch]
    read = list(read_log(RealDisk(str(HERE / CURRENT))))
    assert [fact for _, _, fact in read] == facts
    assert [type(fact) for _, _, fact in read] == [type(fact) for fact in facts]
    assert [lsn for lsn, _, _ in read] == list(range(1, len(facts) + 1))
    assert {epoch for _, epoch, _ in read} == {1, 2}
    assert {type(fact) for fact in facts} == set(FACTS)


def test_what_is_written_has_not_changed(tmp_path: Path) -> None:
    """P6, by files: byte for byte. If this fails on purpose, the format version must rise: see
    `docs/wal-format.md`, "Changing the format"."""
    write(tmp_path / "data")
    golden = files(HERE / CURRENT)
    del golden["state.json"]
    assert files(tmp_path / "data") == golden
