"""Replay: a snapshot and the log after it, every seam between them checked (P6)."""

from __future__ import annotations

from contextlib import suppress
from struct import pack
from zlib import crc32

import pytest

from beaver_actors.journal.errors import Damaged, UnknownFormat
from beaver_actors.journal.recovery import open_journal
from beaver_actors.journal.replay import read_log, replay
from beaver_actors.journal.snapshots import list_snapshots, snapshot_name
from beaver_actors.testing.disk import SimulatedDisk
from tests.journal.damages import DAMAGE, FACTS, SETTINGS, contents, last_segment, spoil
from tests.journal.happenings import essence, state_after


def test_snapshot_and_log_give_the_state(filled: SimulatedDisk) -> None:
    """P3, by example: and no more of the log is read than comes after the snapshot."""
    replayed = replay(filled)
    assert essence(replayed.state) == essence(state_after(FACTS))
    assert replayed.snapshot_lsn == list_snapshots(filled)[0] == 255
    assert replayed.facts == 45


@pytest.mark.parametrize("broken", [1, 2, 3])
def test_an_older_snapshot_or_the_whole_log_stands_in(filled: SimulatedDisk, broken: int) -> None:
    """P6, by example: newer ones that cannot be read are passed over, and told."""
    names = [snapshot_name(lsn) for lsn in list_snapshots(filled)]
    for name in names[:broken]:
        filled.damage(name, 100, b"\xff\xff")
    replayed = replay(filled)
    assert essence(replayed.state) == essence(state_after(FACTS))
    assert [refused.name for refused in replayed.refused] == names[:broken]
    assert replayed.snapshot_lsn == (None if broken == 3 else list_snapshots(filled)[broken])


def test_a_state_is_read_back_to_any_commit(filled: SimulatedDisk) -> None:
    """P3, exhaustive over commits: what `fold_snapshot` relies on."""
    for lsn in range(5, 301, 5):
        assert essence(replay(filled, lsn).state) == essence(state_after(FACTS[:lsn]))


def test_half_a_commit_is_not_asked_for(filled: SimulatedDisk) -> None:
    """By example: a caller's mistake, told as one."""
    with pytest.raises(ValueError, match="LSN 8 is not the last of a commit"):
        replay(filled, 8)


def test_a_log_that_ends_before_it_should_is_damage(filled: SimulatedDisk) -> None:
    """P6, by example: asked for more than there is."""
    with pytest.raises(Damaged, match="ends with LSN 300, but LSN 301 had been written"):
        replay(filled, 301)


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_told_and_nothing_is_changed(filled: SimulatedDisk, kind: str) -> None:
    """P6, by example: recovery refuses with file and reason, names the command, and leaves every byte."""
    damage, told = DAMAGE[kind]
    damage(filled)
    before = contents(filled)
    with pytest.raises(Damaged, match=told) as caught:
        open_journal(filled, SETTINGS)
    assert "python -m beaver_actors verify --data-dir memory --repair --accept-loss" in str(caught.value)
    assert contents(filled) == before
    assert not filled.locked


def test_another_version_is_told_from_damage(filled: SimulatedDisk) -> None:
    """P6, by example: sound headers of version 2, in the format file, a segment and a snapshot."""
    for name, magic, rest in (
        (last_segment(filled), b"BEAVRWAL", pack("<IQQI", 2, 1, 1, 0)),
        (snapshot_name(255), b"BEAVRSNP", pack("<IQQIQ", 2, 255, 1, 0, 0)),
    ):
        disk = filled.copy()
        disk.damage(name, 0, magic + pack("<I", crc32(rest)) + rest)
        with pytest.raises(UnknownFormat, match="has format version 2; this program reads version 1"):
            open_journal(disk, SETTINGS)
    filled.plant("format", b"beaver-actors data directory, format 7\n")
    with pytest.raises(UnknownFormat, match="has format version 7; this program reads version 1"):
        open_journal(filled, SETTINGS)


@pytest.mark.parametrize("text", [b"", b"hello", b"beaver-actors data directory, format x\n"])
def test_a_format_file_that_says_something_else_is_damage(filled: SimulatedDisk, text: bytes) -> None:
    """P6, by example."""
    filled.plant("format", text)
    with pytest.raises(Damaged, match="expected 'beaver-actors data directory, format 1"):
        open_journal(filled, SETTINGS)


def test_the_log_is_read_as_it_is(filled: SimulatedDisk) -> None:
    """P10, by example: every fact with LSN and epoch, from any of them on, with no lock."""
    open_journal(filled, SETTINGS)
    assert list(read_log(filled)) == [(lsn, 1, fact) for lsn, fact in enumerate(FACTS, start=1)]
    for from_lsn in (0, 1, 2, 77, 300, 301):
        assert [lsn for lsn, _, _ in read_log(filled, from_lsn)] == list(range(max(from_lsn, 1), 301))


def test_the_log_is_read_up_to_the_damage(filled: SimulatedDisk) -> None:
    """P6, by example: what can be read is shown before the error."""
    spoil(4, 600)(filled)
    with pytest.raises(Damaged) as caught:
        list(read_log(filled))
    lsns: list[int] = []
    with suppress(Damaged):
        for lsn, _, _ in read_log(filled):
            lsns.append(lsn)
    assert lsns == list(range(1, caught.value.lsn))
    assert len(lsns) > 20
