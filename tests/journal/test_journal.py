"""The journal: appends, rotation, trimming, and reading back beside the writer."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from threading import Thread

import pytest

from beaver_actors.codec.fact_codec import CodecError
from beaver_actors.core.facts import Fact, JobEnqueued, JobStarted
from beaver_actors.core.job import Terms
from beaver_actors.journal.disk import Disk
from beaver_actors.journal.errors import AppendRefused, Damaged, HistoryGone, JournalPoisoned
from beaver_actors.journal.journal import FileJournal
from beaver_actors.journal.recovery import open_journal
from beaver_actors.journal.reserve import Room
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.testing.disk import SimulatedDisk, broken, no_space
from tests.journal.happenings import essence, happen, state_after

SETTINGS = JournalSettings(segment_bytes=4096, reserve_bytes=8192)
FACTS = happen(Random(11), 600)


def batches(facts: list[Fact], size: int = 7) -> Iterator[list[Fact]]:
    return (facts[place : place + size] for place in range(0, len(facts), size))


def filled(disk: Disk, facts: list[Fact] = FACTS) -> FileJournal:
    journal = open_journal(disk, SETTINGS).journal
    for batch in batches(facts):
        journal.append(batch)
        journal.replenish()
    return journal


def big_job(name: str, size: int) -> JobEnqueued:
    return JobEnqueued(name, 1, Terms("k"), b'"' + b"x" * size + b'"', 1)


def test_what_was_appended_is_there_after_a_restart(disk: Disk) -> None:
    """P3, by example, on the real disk and in memory: over many segments."""
    journal = filled(disk)
    assert journal.head == len(FACTS)
    assert len([name for name in disk.names("wal") if name.endswith(".wal")]) > 10
    journal.close()
    recovered = open_journal(disk, SETTINGS)
    assert essence(recovered.state) == essence(state_after(FACTS))
    assert recovered.report.facts == len(FACTS)
    recovered.journal.close()


def test_a_commit_is_one_write_and_one_sync(memory: SimulatedDisk) -> None:
    """P1, by counting calls: no more, and in this order."""
    journal = open_journal(memory, SETTINGS).journal
    calls = len(memory.calls)
    assert journal.append(FACTS[:3]) == 3
    assert [kind for kind, _ in memory.calls[calls:]] == ["write_at", "datasync"]
    assert journal.append([]) == 3
    assert len(memory.calls) == calls + 2


def test_a_fact_that_cannot_be_encoded_ends_nothing(memory: SimulatedDisk) -> None:
    """P3, by example: nothing is written, and the journal goes on."""
    journal = open_journal(memory, SETTINGS).journal
    with pytest.raises(CodecError):
        journal.append([JobStarted("job", 2**70, "w")])
    assert journal.append(FACTS[:2]) == 2


def test_a_frame_may_be_longer_than_a_segment(disk: Disk) -> None:
    """P3, by example: it gets a segment to itself."""
    facts: list[Fact] = [big_job("a", 10), big_job("b", 20_000), big_job("c", 10)]
    journal = open_journal(disk, SETTINGS).journal
    for fact in facts:
        journal.append([fact])
    assert journal.read_from(1, 10) == list(enumerate(facts, start=1))
    journal.close()
    recovered = open_journal(disk, SETTINGS)
    assert essence(recovered.state) == essence(state_after(facts))
    recovered.journal.close()


def test_sealing_says_what_is_sealed(memory: SimulatedDisk) -> None:
    """P3, by example: an empty segment is not sealed, so sealing twice changes nothing."""
    journal = open_journal(memory, SETTINGS).journal
    assert journal.rotate() == 0
    journal.append(FACTS[:5])
    assert journal.rotate() == 5
    calls = len(memory.calls)
    assert journal.rotate() == 5
    assert len(memory.calls) == calls
    journal.append(FACTS[5:6])
    assert journal.rotate() == 6
    assert memory.size("wal/00000000000000000001.wal") < SETTINGS.segment_bytes


def test_trimming_leaves_what_is_needed(disk: Disk) -> None:
    """P3, by example: for each LSN to keep, its segment stays and those before go."""
    journal = filled(disk)
    for keep_from_lsn in (0, 1, 100, 101, 102, 300):
        journal.trim(keep_from_lsn)
        assert journal.oldest_lsn <= max(keep_from_lsn, 1)
        first_lsns = [int(name[:20]) for name in disk.names("wal") if name.endswith(".wal")]
        assert first_lsns[0] == journal.oldest_lsn
        assert first_lsns[1] > keep_from_lsn
        facts = journal.read_from(journal.oldest_lsn, 10**6)
        assert facts == list(enumerate(FACTS, start=1))[journal.oldest_lsn - 1 :]
    journal.trim(10**9)
    assert journal.oldest_lsn <= journal.head + 1
    journal.append(happen(Random(1), 1, state_after(FACTS)))
    journal.close()


def test_segments_go_one_by_one(memory: SimulatedDisk) -> None:
    """P3, by counting calls: each deletion is synced before the next, so a power cut leaves no hole."""
    journal = filled(memory)
    calls = len(memory.calls)
    journal.trim(300)
    kinds = [kind for kind, _ in memory.calls[calls:]]
    assert kinds == ["unlink", "sync_directory"] * (len(kinds) // 2)
    assert len(kinds) > 4


def test_the_size_of_the_log_is_what_is_in_it(memory: SimulatedDisk) -> None:
    """By example: held room does not count; trimmed segments do not either."""
    journal = open_journal(memory, SETTINGS).journal
    empty = journal.size_bytes
    assert empty < 100
    journal.append(FACTS[:5])
    assert journal.size_bytes > empty + 100
    size = journal.size_bytes
    journal.rotate()
    assert journal.size_bytes == size + empty
    journal.trim(6)
    assert journal.size_bytes == empty


@pytest.mark.parametrize("limit", [1, 10, 599, 10**6])
def test_history_is_read_in_pages_without_a_hole(disk: Disk, limit: int) -> None:
    """P10, exhaustive over the starting points: each fact once, in order, whatever the page."""
    journal = filled(disk)
    everything = list(enumerate(FACTS, start=1))
    for start in range(1, len(FACTS) + 1, 7 if limit > 10 else 1):
        assert journal.read_from(start, limit) == everything[start - 1 : start - 1 + limit]
    assert journal.read_from(len(FACTS) + 1, limit) == []
    assert journal.read_from(1, 0) == []
    journal.close()


def test_reading_on_does_not_start_over(memory: SimulatedDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    """P10, by counting bytes: pages of a large segment cost about what they hold."""
    journal = open_journal(memory, JournalSettings()).journal
    for place in range(300):
        journal.append([big_job(f"job-{place}", 5000)])
    read = 0
    plain_read = SimulatedDisk.read

    def counted(self: SimulatedDisk, name: str, offset: int = 0, size: int | None = None) -> bytes:
        nonlocal read
        data = plain_read(self, name, offset, size)
        read += len(data)
        return data

    monkeypatch.setattr(SimulatedDisk, "read", counted)
    lsn = 1
    while page := journal.read_from(lsn, 10):
        lsn = page[-1][0] + 1
    assert lsn == 301
    assert read < 6 * journal.size_bytes


def test_deleted_history_is_told(disk: Disk) -> None:
    """P10, by example: a reader learns from where it can go on."""
    journal = filled(disk)
    journal.trim(300)
    with pytest.raises(HistoryGone) as caught:
        journal.read_from(5, 10)
    assert caught.value.oldest_lsn == journal.oldest_lsn > 1
    journal.close()


def test_history_deleted_under_a_reader_is_told(memory: SimulatedDisk) -> None:
    """P10, by example: the segment goes between the look at the list and the read."""
    journal = filled(memory)
    memory.unlink("wal/00000000000000000001.wal")
    with pytest.raises(HistoryGone) as caught:
        journal.read_from(1, 10)
    second = next(name for name in memory.names("wal") if name.endswith(".wal"))
    assert caught.value.oldest_lsn == int(second[:20])


def test_damaged_history_is_told(memory: SimulatedDisk) -> None:
    """P6, by example: a page never just ends early."""
    journal = filled(memory)
    memory.damage("wal/00000000000000000001.wal", 200, b"\xff")
    with pytest.raises(Damaged):
        journal.read_from(1, 10**6)


def test_a_reader_never_sees_what_is_not_acknowledged(memory: SimulatedDisk) -> None:
    """P1, by example: a whole frame lies in the file, but its sync has not come back."""
    journal = filled(memory, FACTS[:70])
    seen: list[list[tuple[int, Fact]]] = []

    def look(number: int, kind: str, name: str) -> None:
        if kind == "datasync":
            seen.append(journal.read_from(65, 100))

    memory.fault = look
    journal.append(FACTS[70:75])
    assert seen
    assert all(page == list(enumerate(FACTS[64:70], start=65)) for page in seen)
    assert journal.read_from(65, 100) == list(enumerate(FACTS[64:75], start=65))


def test_a_reader_beside_the_writer_sees_every_fact_once(disk: Disk) -> None:
    """P10, by threads: one appends and rotates, the other reads on from where it was."""
    journal = open_journal(disk, SETTINGS).journal

    def write() -> None:
        for batch in batches(FACTS, 5):
            journal.append(batch)

    writer = Thread(target=write)
    writer.start()
    read: list[tuple[int, Fact]] = []
    while len(read) < len(FACTS):
        read += journal.read_from(len(read) + 1, 50)
        if not writer.is_alive() and journal.head < len(FACTS):
            break
    writer.join()
    assert read == list(enumerate(FACTS, start=1))
    journal.close()


@pytest.mark.parametrize("call", ["write_at", "datasync"])
def test_a_failed_write_is_unknown(memory: SimulatedDisk, call: str) -> None:
    """P8, by example: any error but a full disk ends the journal, whether the bytes are there or not."""
    journal = open_journal(memory, SETTINGS).journal
    journal.append(FACTS[:3])

    def fail(number: int, kind: str, name: str) -> None:
        if kind == call:
            raise broken()

    memory.fault = fail
    with pytest.raises(OSError, match="Input/output"):
        journal.append(FACTS[3:5])
    memory.fault = None
    with pytest.raises(JournalPoisoned, match="Input/output"):
        journal.append(FACTS[3:5])
    assert journal.read_from(1, 10) == list(enumerate(FACTS[:3], start=1))


def test_a_short_write_is_undone_and_repeated(memory: SimulatedDisk) -> None:
    """P3, by counting calls: never continued in place, and the undoing is synced before the repetition."""
    journal = open_journal(memory, SETTINGS).journal
    calls = len(memory.calls)
    memory.fault = lambda number, kind, name: 30 if number == calls + 1 else None
    assert journal.append(FACTS[:3]) == 3
    kinds = [kind for kind, _ in memory.calls[calls:]]
    assert kinds == ["write_at", "truncate", "datasync", "preallocate", "write_at", "datasync"]


def test_a_full_disk_refuses_for_certain(memory: SimulatedDisk) -> None:
    """P7, by example: nothing of a refused append is left, and the next one is whole."""
    journal = open_journal(memory, SETTINGS).journal
    journal.append(FACTS[:3])

    def full(number: int, kind: str, name: str) -> None:
        if kind in ("write_at", "preallocate", "create"):
            raise no_space()

    memory.fault = full
    with pytest.raises(AppendRefused):
        journal.append(FACTS[3:6])
    rooms = [journal.room]
    memory.fault = None
    assert journal.append(FACTS[3:4]) == 4
    rooms.append(journal.room)
    assert journal.wants_replenishing
    journal.replenish()
    rooms.append(journal.room)
    assert rooms == [Room.NONE, Room.OUTCOMES_ONLY, Room.NORMAL]
    memory.power_loss()
    assert essence(open_journal(memory, SETTINGS).state) == essence(state_after(FACTS[:4]))


def test_a_closed_journal_gives_the_directory_up(disk: Disk) -> None:
    """P9, by example: and takes no more facts; closing twice is harmless."""
    journal = open_journal(disk, SETTINGS).journal
    journal.append(FACTS[:3])
    journal.close()
    journal.close()
    with pytest.raises(JournalPoisoned, match="closed"):
        journal.append(FACTS[3:4])
    open_journal(disk, SETTINGS).journal.close()
