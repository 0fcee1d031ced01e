"""A data directory read from its files."""

from __future__ import annotations

import json
from pathlib import Path
from struct import pack
from zlib import crc32

import pytest

from beaver_actors.core.facts import Fact, JobCompleted, JobEnqueued, JobStarted, QueuePaused
from beaver_actors.core.job import Terms
from beaver_actors.journal.disk import RealDisk
from beaver_actors.journal.recovery import open_journal
from beaver_actors.journal.settings import JournalSettings
from tests.cli.command import command

SETTINGS = JournalSettings(segment_bytes=65_536, reserve_bytes=65_536)
FACTS: list[Fact] = [
    JobEnqueued("invoice-7", 1_795_470_720_000, Terms("mail"), b'{"to":7}', 1_795_470_720_000),
    JobEnqueued("invoice-8", 1_795_470_720_000, Terms("mail"), b'{"to":8}', 1_795_470_720_000),
    JobStarted("invoice-7", 1_795_470_720_010, "w1"),
    JobCompleted("invoice-7", 1_795_470_720_020, 3, b'"sent"'),
    QueuePaused("bulk", 1_795_470_720_030),
]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Five facts, each written by itself."""
    path = tmp_path / "data"
    journal = open_journal(RealDisk(str(path)), SETTINGS).journal
    for fact in FACTS:
        journal.append([fact])
    journal.close()
    return path


def damage(data_dir: Path, text: bytes) -> None:
    """Flip a bit of the log, within this text."""
    (segment,) = (data_dir / "wal").glob("*.wal")
    content = bytearray(segment.read_bytes())
    content[content.index(text)] ^= 1
    segment.write_bytes(content)


def test_the_log_is_printed_in_order(data_dir: Path) -> None:
    """P10, by example: one line for each fact, with its position."""
    ended = command("log", "--data-dir", data_dir)
    assert ended.code == 0
    assert [line.split()[0] for line in ended.out.splitlines()] == ["1", "2", "3", "4", "5"]
    assert "job_completed" in ended.out
    assert '"sent"' in ended.out


def test_the_log_is_printed_for_programs(data_dir: Path) -> None:
    """P10, by example: the same objects as in the live stream, one in a line."""
    ended = command("log", "--data-dir", data_dir, "--json")
    events = ended.json_lines()
    assert [event["lsn"] for event in events] == [1, 2, 3, 4, 5]
    assert events[0]["event"] == "job_enqueued"
    assert events[0]["args"] == {"to": 7}
    assert events[3]["result"] == "sent"
    assert "job_id" not in events[4]


@pytest.mark.parametrize(
    ("options", "lsns"),
    [
        (["--from-lsn", "4"], [4, 5]),
        (["--limit", "2"], [1, 2]),
        (["--from-lsn", "2", "--limit", "1"], [2]),
        (["--job", "invoice-8"], [2]),
        (["--job", "invoice-7", "--job", "invoice-8"], [1, 2, 3, 4]),
        (["--event", "job_completed", "--event", "queue_paused"], [4, 5]),
        (["--job", "invoice-7", "--event", "job_started", "--limit", "1"], [3]),
        (["--from-lsn", "6"], []),
    ],
)
def test_the_log_is_filtered(data_dir: Path, options: list[str], lsns: list[int]) -> None:
    """By example, each option and some together."""
    ended = command("log", "--data-dir", data_dir, "--json", *options)
    assert [event["lsn"] for event in ended.json_lines()] == lsns


def test_an_unknown_event_is_told(data_dir: Path) -> None:
    """By example: the user learns which there are."""
    ended = command("log", "--data-dir", data_dir, "--event", "job_finished")
    assert ended.code == 2
    assert 'no event is called "job_finished"' in ended.err
    assert "job_completed" in ended.err


@pytest.mark.parametrize("name", ["log", "verify"])
def test_a_directory_without_data_is_told(tmp_path: Path, name: str) -> None:
    """By example: missing, and there but something else."""
    for path in (tmp_path / "none", tmp_path):
        ended = command(name, "--data-dir", path)
        assert ended.code == 2
        assert str(path) in ended.err
        assert "Traceback" not in ended.err


def test_what_is_in_order_is_said_to_be(data_dir: Path) -> None:
    """P6, by example: what was read, and exit code 0."""
    ended = command("verify", "--data-dir", data_dir)
    assert ended.code == 0
    assert "LSN 1 to 5: 5 facts in 5 writes" in ended.out
    assert "completed 1, pending 1" in ended.out
    assert "good" in ended.out
    assert command("verify", "--data-dir", data_dir, "--json").json()["facts"] == 5


def test_a_torn_tail_is_no_damage(data_dir: Path) -> None:
    """P6, by example: a last write that was cut short is told, and is nobody's loss."""
    (segment,) = (data_dir / "wal").glob("*.wal")
    content = segment.read_bytes()
    tail = content.index(b"bulk")
    segment.write_bytes(content[: tail + 2] + bytes(len(content) - tail - 2))
    ended = command("verify", "--data-dir", data_dir)
    assert ended.code == 0
    assert "never acknowledged" in ended.out
    assert command("log", "--data-dir", data_dir, "--json").json_lines()[-1]["lsn"] == 4


def test_damage_is_told_and_not_touched(data_dir: Path) -> None:
    """P6, by example: exit code 5, the place, and the command that would repair it."""
    damage(data_dir, b"invoice-8")
    before = {path: path.read_bytes() for path in data_dir.rglob("*") if path.is_file()}
    ended = command("verify", "--data-dir", data_dir)
    assert ended.code == 5
    assert "DAMAGED" in ended.out
    assert "at offset" in ended.out
    assert "--repair --accept-loss" in ended.out
    listed = command("log", "--data-dir", data_dir)
    assert listed.code == 5
    assert listed.out.split()[0] == "1"
    assert len(listed.out.splitlines()) == 1
    assert {path: path.read_bytes() for path in data_dir.rglob("*") if path.is_file()} == before


def raise_version(data_dir: Path, file: str) -> Path:
    """Make a file of the directory one of format version 2; sound, as a newer program would write it."""
    if file == "format":
        path = data_dir / file
        path.write_text("beaver-actors data directory, format 2\n")
        return path
    if file == "snapshot":
        path = data_dir / "snapshots" / f"{5:020}.snap"
        magic, rest = b"BEAVRSNP", pack("<IQQIQ", 2, 5, 1, 0, 0)
    else:
        (path,) = (data_dir / "wal").glob("*.wal")
        magic, rest = b"BEAVRWAL", pack("<IQQI", 2, 1, 1, 0)
    header = magic + pack("<I", crc32(rest)) + rest
    path.write_bytes(header + (path.read_bytes() if path.exists() else b"")[len(header) :])
    return path


@pytest.mark.parametrize("file", ["format", "segment", "snapshot"])
def test_a_newer_format_is_no_damage(data_dir: Path, file: str) -> None:
    """P6, by example, for each kind of file: both versions and what is needed are named, no repair is
    proposed or done, and nothing is changed."""
    path = raise_version(data_dir, file)
    before = {path: path.read_bytes() for path in data_dir.rglob("*") if path.is_file()}
    versions = "has format version 2; this program reads version 1"
    verified = command("verify", "--data-dir", data_dir)
    assert verified.code == 5
    assert f"{path.relative_to(data_dir)} {versions}" in verified.out
    assert "A newer version of beaver_actors wrote it" in verified.out
    assert "DAMAGED" not in verified.out
    assert "--repair" not in verified.out
    asked = command("verify", "--data-dir", data_dir, "--repair")
    assert asked.code == 5
    assert "can repair nothing" in asked.err
    assert "--accept-loss" not in asked.out + asked.err
    forced = command("verify", "--data-dir", data_dir, "--repair", "--accept-loss")
    assert forced.code == 5
    assert f"{path} {versions}. A newer version" in forced.err
    before |= {data_dir / "lock": b""}
    assert {path: path.read_bytes() for path in data_dir.rglob("*") if path.is_file()} == before
    report = command("verify", "--data-dir", data_dir, "--json").json()
    assert not report["starts"]
    assert [problem["is_damage"] for problem in report["problems"]] == [False]


@pytest.mark.parametrize("file", ["format", "segment"])
def test_a_log_of_a_newer_format_is_not_printed(data_dir: Path, file: str) -> None:
    """P6, by example: rather than to call it empty."""
    raise_version(data_dir, file)
    ended = command("log", "--data-dir", data_dir)
    assert (ended.code, ended.out) == (5, "")
    assert "has format version 2; this program reads version 1" in ended.err


def test_a_log_can_be_read_without_its_format_file(data_dir: Path) -> None:
    """P6, by example: no fact is in that file."""
    (data_dir / "format").write_text("rubbish")
    ended = command("log", "--data-dir", data_dir, "--json")
    assert [event["lsn"] for event in ended.json_lines()] == [1, 2, 3, 4, 5]


def test_repair_asks_twice(data_dir: Path) -> None:
    """P6, by example: --repair alone says what it would cost; --accept-loss alone is a mistake."""
    damage(data_dir, b"invoice-8")
    asked = command("verify", "--data-dir", data_dir, "--repair")
    assert asked.code == 2
    assert "--accept-loss" in asked.err
    assert command("verify", "--data-dir", data_dir, "--accept-loss").code == 2
    assert command("verify", "--data-dir", data_dir).code == 5


def test_repair_keeps_what_can_be_read(data_dir: Path) -> None:
    """P6, by example: what is before the damage is there afterwards, and the old files lie aside."""
    damage(data_dir, b"invoice-8")
    ended = command("verify", "--data-dir", data_dir, "--repair", "--accept-loss")
    assert ended.code == 0
    assert "kept   1 job, as they were after LSN 1" in ended.out
    assert "damaged-1" in ended.out
    assert (data_dir / "damaged-1").is_dir()
    after = command("verify", "--data-dir", data_dir)
    assert after.code == 0
    assert "pending 1" in after.out


def test_nothing_is_repaired_without_need(data_dir: Path) -> None:
    """P6, by example."""
    for options in (["--repair"], ["--repair", "--accept-loss"]):
        ended = command("verify", "--data-dir", data_dir, *options)
        assert ended.code == 0
        assert "Nothing to repair" in ended.out
    damage(data_dir, b"invoice-8")
    repaired = command("verify", "--data-dir", data_dir, "--repair", "--accept-loss", "--json")
    assert json.loads(repaired.out)["kept_lsn"] == 1


def test_a_directory_in_use_is_not_repaired(data_dir: Path) -> None:
    """P9, by example: exit code 6 while a server owns it."""
    damage(data_dir, b"invoice-8")
    lock = RealDisk(str(data_dir)).lock("lock")
    try:
        ended = command("verify", "--data-dir", data_dir, "--repair", "--accept-loss")
    finally:
        lock.release()
    assert ended.code == 6
    assert "in use" in ended.err


def test_a_log_that_was_trimmed_says_where_it_begins(tmp_path: Path) -> None:
    """P10, by example: no silent hole at the start."""
    path = tmp_path / "data"
    journal = open_journal(RealDisk(str(path)), SETTINGS).journal
    journal.append(FACTS[:2])
    journal.rotate()
    journal.append(FACTS[2:])
    journal.trim(3)
    journal.close()
    ended = command("log", "--data-dir", path, "--json")
    assert [event["lsn"] for event in ended.json_lines()] == [3, 4, 5]
    assert "The log begins with LSN 3" in ended.err
