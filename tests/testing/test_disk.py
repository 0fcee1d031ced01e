"""The simulated disk: everything that its fault model names comes up, and nothing that no disk would do."""

from __future__ import annotations

import errno
from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest

from beaver_actors.journal.disk import DiskFile
from beaver_actors.testing.disk import (
    CHANGES,
    SECTOR,
    Fault,
    ProcessDied,
    SimulatedDisk,
    broken,
    no_space,
)

CUTS = 400
"""Power cuts from one moment: the rarest outcome looked for comes up in one of twenty."""


@pytest.fixture
def disk() -> SimulatedDisk:
    """A data directory with one file of four sectors, all synced."""
    disk = SimulatedDisk()
    disk.make_directory()
    disk.make_directory("wal")
    file = disk.create("wal/f")
    file.write_at(b"o" * 4 * SECTOR, 0)
    file.datasync()
    disk.sync_directory("wal")
    return disk


def left_after_power_cuts(disk: SimulatedDisk, name: str = "wal/f") -> set[bytes]:
    """What the file may hold after the power goes now."""
    outcomes = set()
    for seed in range(CUTS):
        image = disk.copy()
        image.power_loss(Random(seed))
        outcomes.add(image.read(name))
    return outcomes


def names_after_power_cuts(disk: SimulatedDisk) -> set[tuple[str, ...]]:
    """The names with the first byte of each file, as `name=byte`, after the power goes now."""
    outcomes = set()
    for seed in range(CUTS):
        image = disk.copy()
        image.power_loss(Random(seed))
        outcomes.add(
            tuple(f"{name}={image.read(f'wal/{name}', 0, 1).decode()}" for name in image.names("wal"))
        )
    return outcomes


def failing(kind: str, error: Callable[[], OSError]) -> Fault:
    def fault(_: int, met: str, __: str) -> None:
        if met == kind:
            raise error()

    return fault


def put(disk: SimulatedDisk, name: str, data: bytes) -> DiskFile:
    """A new file with synced bytes, and a name that is not."""
    file = disk.create(name)
    file.write_at(data, 0)
    file.datasync()
    return file


def test_what_is_written_is_read_at_once_and_lost_without_a_sync(disk: SimulatedDisk) -> None:
    """P8, by example: bytes, sizes and names come back as they were at the last sync."""
    file = disk.open("wal/f")
    file.write_at(b"n" * 10, 0)
    file.truncate(SECTOR)
    put(disk, "wal/lost", b"x")
    disk.unlink("wal/f")
    assert disk.names("wal") == ["lost"]
    disk.power_loss()
    assert disk.names("wal") == ["f"]
    assert disk.read("wal/f") == b"o" * 4 * SECTOR


def test_what_is_synced_is_never_lost(disk: SimulatedDisk) -> None:
    """P8, by many power cuts: bytes after a sync of the file, names after one of the directory."""
    disk.open("wal/f").write_at(b"n" * 700, 100)
    disk.open("wal/f").datasync()
    put(disk, "wal/g", b"g")
    disk.rename("wal/g", "wal/h")
    disk.sync_directory("wal")
    assert left_after_power_cuts(disk) == {disk.read("wal/f")}
    assert names_after_power_cuts(disk) == {("f=o", "h=g")}


def test_a_power_cut_leaves_any_sectors_of_a_write(disk: SimulatedDisk) -> None:
    """P3, by many power cuts: all sixteen choices of four sectors come up, and writes torn at a byte; each
    byte is the old or the new one."""
    disk.open("wal/f").write_at(b"n" * 4 * SECTOR, 0)
    outcomes = left_after_power_cuts(disk)
    whole = set()
    for outcome in outcomes:
        assert len(outcome) == 4 * SECTOR
        sectors = [set(outcome[start : start + SECTOR]) for start in range(0, 4 * SECTOR, SECTOR)]
        if all(len(sector) == 1 for sector in sectors):
            whole.add(outcome[::SECTOR])
        else:
            torn = outcome.index(b"o")
            assert outcome == b"n" * torn + b"o" * (4 * SECTOR - torn), "torn in order, at one place"
    assert len(whole) == 16
    assert len(outcomes) > 60


def test_no_later_write_of_a_sector_comes_without_the_earlier(disk: SimulatedDisk) -> None:
    """A test of the tests: the cache writes sectors whole. Of two writes to one sector arrive none, the first
    or both."""
    file = disk.open("wal/f")
    file.write_at(b"1", 10)
    file.write_at(b"2", 20)
    seen = {outcome[10:11] + outcome[20:21] for outcome in left_after_power_cuts(disk)}
    assert seen == {b"oo", b"1o", b"12"}


def test_sizes_arrive_in_order_with_or_without_the_bytes(disk: SimulatedDisk) -> None:
    """P3, by many power cuts: a file that has grown may have any of its sizes, and zeros where bytes were."""
    file = disk.open("wal/f")
    file.write_at(b"a" * SECTOR, 4 * SECTOR)
    file.write_at(b"b" * SECTOR, 5 * SECTOR)
    whole = {o[4 * SECTOR :: SECTOR] for o in left_after_power_cuts(disk) if len(o) % SECTOR == 0}
    assert whole == {b"", b"a", b"\0", b"ab", b"a\0", b"\0b", b"\0\0"}


def test_what_a_cut_has_freed_does_not_come_back(disk: SimulatedDisk) -> None:
    """A test of the tests: grown again, a file has zeros there, and where it is not, it is as it was. Only
    the end of the sector that was cut in two may be zeros before the cut is on the disk."""
    file = disk.open("wal/f")
    file.truncate(100)
    file.preallocate(4 * SECTOR)
    cut, zeros, rest = b"o" * 100, bytes(SECTOR - 100), b"o" * 3 * SECTOR
    grown = cut + zeros + bytes(3 * SECTOR)
    assert left_after_power_cuts(disk) == {b"o" * 4 * SECTOR, cut + zeros + rest, cut, grown}
    file.write_at(b"n" * SECTOR, 3 * SECTOR)
    for outcome in left_after_power_cuts(disk):
        assert b"n" not in outcome or outcome.startswith(grown[: 3 * SECTOR])


def test_every_state_after_a_power_cut_was_passed_through(disk: SimulatedDisk) -> None:
    """A test of the tests, by random changes: against a list of all states that the file has had since its
    last sync, sizes and each sector are from that list, or zeros, or the first part of a write."""
    for seed in range(300):
        random = Random(seed)
        image = disk.copy()
        file = image.open("wal/f")
        states = [image.read("wal/f")]
        for _ in range(random.randint(1, 5)):
            size = len(states[-1])
            match random.choice(("write", "write", "write", "cut", "grow")):
                case "write":
                    data = bytes([random.randrange(97, 123)]) * random.randint(1, 3 * SECTOR)
                    file.write_at(data, random.randint(0, size))
                case "cut":
                    file.truncate(random.randint(0, size))
                case "grow":
                    file.preallocate(size + random.randint(1, 2 * SECTOR))
            states.append(image.read("wal/f"))
        image.power_loss(random)
        left = image.read("wal/f")
        sizes = [len(state) for state in states]
        was_torn = len(left) not in sizes
        for before, after in pairwise(states):
            was_torn = was_torn or len(before) <= len(left) <= len(after)
        assert was_torn or len(left) in sizes
        for place, byte in enumerate(left):
            assert byte == 0 or byte in {state[place] for state in states if place < len(state)}


def test_names_come_back_whole_and_in_a_possible_order(disk: SimulatedDisk) -> None:
    """P3, by many power cuts: a rename is done or not, over an old file or a free name; what does not rest on
    it may be done without it."""
    put(disk, "wal/n.tmp", b"n")
    disk.rename("wal/n.tmp", "wal/f")
    put(disk, "wal/g", b"g")
    assert names_after_power_cuts(disk) == {
        ("f=o",),
        ("f=o", "n.tmp=n"),
        ("f=n",),
        ("f=n", "g=g"),
        ("f=o", "g=g"),
        ("f=o", "g=g", "n.tmp=n"),
    }


def test_a_change_of_names_is_never_made_to_another_file(disk: SimulatedDisk) -> None:
    """A test of the tests: a name that is given away and taken again. The second file under it comes only
    after the first has gone on, so none is lost and none is taken for the other."""
    put(disk, "wal/spare", b"1")
    disk.rename("wal/spare", "wal/a")
    put(disk, "wal/spare", b"2")
    disk.rename("wal/spare", "wal/b")
    assert names_after_power_cuts(disk) == {
        ("f=o",),
        ("f=o", "spare=1"),
        ("a=1", "f=o"),
        ("a=1", "f=o", "spare=2"),
        ("a=1", "b=2", "f=o"),
    }


def test_a_deleted_file_may_come_back(disk: SimulatedDisk) -> None:
    """P3, by many power cuts: deletions are undone and reordered too."""
    put(disk, "wal/g", b"g")
    disk.sync_directory("wal")
    disk.unlink("wal/f")
    disk.unlink("wal/g")
    assert names_after_power_cuts(disk) == {(), ("f=o",), ("g=g",), ("f=o", "g=g")}


def test_a_sync_brings_only_its_own_directory(disk: SimulatedDisk) -> None:
    """P3, by many power cuts: and a file that was moved between two is in one of them, never in both."""
    disk.make_directory("old")
    put(disk, "wal/g", b"g")
    put(disk, "old/h", b"h")
    disk.sync_directory("old")
    assert names_after_power_cuts(disk) == {("f=o",), ("f=o", "g=g")}
    disk.rename("wal/f", "old/f")
    for seed in range(CUTS):
        image = disk.copy()
        image.power_loss(Random(seed))
        assert ("f" in image.names("wal")) != ("f" in image.names("old"))
    disk.sync_directory("old")
    disk.power_loss()
    assert disk.names("old") == ["f", "h"]
    assert disk.names("wal") == []


def test_a_directory_may_vanish_with_all_that_is_in_it() -> None:
    """P3, by a process that dies between making a directory and syncing the one above."""
    disk = SimulatedDisk()
    disk.make_directory()
    disk.fault = failing("sync_directory", broken)
    with pytest.raises(OSError, match="Input/output"):
        disk.make_directory("wal")
    disk.fault = None
    put(disk, "wal/f", b"f")
    disk.sync_directory("wal")
    with_it = disk.copy()
    disk.power_loss()
    assert disk.names() == []
    with pytest.raises(FileNotFoundError):
        disk.names("wal")
    with_it.sync_directory()
    with_it.power_loss()
    assert with_it.read("wal/f") == b"f"


def test_the_data_directory_itself_may_vanish() -> None:
    """P3, by the same."""
    disk = SimulatedDisk()
    disk.fault = failing("sync_directory", broken)
    with pytest.raises(OSError, match="Input/output"):
        disk.make_directory()
    disk.power_loss()
    with pytest.raises(FileNotFoundError):
        disk.names()
    disk.make_directory()
    disk.power_loss()
    assert disk.names() == []


def test_a_kill_loses_nothing_and_syncs_nothing(disk: SimulatedDisk) -> None:
    """P8, by example: what was written stays readable for the next process, and is lost when the power goes
    in a later life."""
    disk.open("wal/f").write_at(b"n", 0)
    put(disk, "wal/g", b"g")
    for _ in range(3):
        disk.kill()
        assert disk.read("wal/f", 0, 1) == b"n"
        assert disk.names("wal") == ["f", "g"]
    disk.power_loss()
    assert disk.read("wal/f", 0, 1) == b"o"
    assert disk.names("wal") == ["f"]


def test_a_failed_sync_leaves_bytes_that_no_later_sync_writes(disk: SimulatedDisk) -> None:
    """P8, by example, as Linux does it: they stay readable, and are gone after a power cut."""
    file = disk.open("wal/f")
    file.write_at(b"n" * 600, 0)
    disk.fault = failing("datasync", broken)
    with pytest.raises(OSError, match="Input/output"):
        file.datasync()
    disk.fault = None
    file.datasync()
    assert disk.read("wal/f", 0, 600) == b"n" * 600
    disk.power_loss(Random(1))
    assert disk.read("wal/f") == b"o" * 4 * SECTOR


def test_a_sector_written_again_takes_along_what_a_failed_sync_left(disk: SimulatedDisk) -> None:
    """A test of the tests: the cache writes sectors whole, so the later bytes never come without the
    earlier ones."""
    file = disk.open("wal/f")
    file.write_at(b"1" * 600, 0)
    disk.fault = failing("datasync", broken)
    with pytest.raises(OSError, match="Input/output"):
        file.datasync()
    disk.fault = None
    file.write_at(b"2", 10)
    assert {outcome[9:12] for outcome in left_after_power_cuts(disk)} == {b"ooo", b"121"}
    file.datasync()
    disk.power_loss()
    assert disk.read("wal/f", 0, 601) == b"1" * 10 + b"2" + b"1" * 501 + b"o" * 89


def test_a_failed_sync_may_have_written_some_of_it() -> None:
    """P8, by many failures: any sectors; and after the death of the process some pages are forgotten."""
    seen, forgotten = set(), set()
    for seed in range(CUTS):
        disk = SimulatedDisk(random=Random(seed))
        disk.make_directory()
        file = disk.create("f")
        file.write_at(b"o" * 2 * SECTOR, 0)
        file.datasync()
        disk.sync_directory()
        file.write_at(b"n" * 2 * SECTOR, 0)
        disk.fault = failing("datasync", broken)
        with pytest.raises(OSError, match="Input/output"):
            file.datasync()
        later = disk.copy()
        later.kill(Random(CUTS + seed))
        forgotten.add(later.read("f")[::SECTOR])
        disk.power_loss()
        seen.add(disk.read("f")[::SECTOR])
    assert seen == forgotten == {b"oo", b"on", b"no", b"nn"}


def test_a_full_disk_takes_what_fits(disk: SimulatedDisk) -> None:
    """P7, by example: writes are short and then refused; new files and directories are refused; writing over
    old bytes needs no room."""
    disk.capacity -= disk.free_bytes() - 100
    file = disk.open("wal/f")
    assert file.write_at(b"n" * 300, 4 * SECTOR) == 100
    refused: list[Callable[[], object]] = [
        lambda: file.write_at(b"n", 4 * SECTOR + 100),
        lambda: file.preallocate(8 * SECTOR),
        lambda: disk.create("wal/g"),
        lambda: disk.make_directory("new"),
    ]
    for call in refused:
        with pytest.raises(OSError, match="No space left") as caught:
            call()
        assert caught.value.errno == errno.ENOSPC
    assert disk.names() == ["wal"]
    assert file.write_at(b"n" * 300, 0) == 300
    disk.unlink("wal/f")
    assert disk.free_bytes() == 4 * SECTOR + 100
    disk.create("wal/g")


def test_any_call_may_fail_end_the_process_or_write_less(disk: SimulatedDisk) -> None:
    """P8, by example: the fault is asked before each call that changes something, with its number."""
    disk.kill()
    asked: list[tuple[int, str, str]] = []

    def fault(number: int, kind: str, name: str) -> int | None:
        asked.append((number, kind, name))
        return 3 if kind == "write_at" else None

    disk.fault = fault
    file = put(disk, "wal/g", b"abcdef")
    file.truncate(2)
    file.preallocate(4)
    disk.rename("wal/g", "wal/h")
    file.datasync()
    disk.unlink("wal/h")
    disk.make_directory("more")
    assert {kind for _, kind, _ in asked} == CHANGES
    assert [number for number, _, _ in asked] == list(range(1, len(asked) + 1))
    assert [(kind, name) for _, kind, name in asked] == disk.calls
    assert ("datasync", "wal/h") in disk.calls, "an open file is known by its name now"
    disk.fault = failing("unlink", no_space)
    with pytest.raises(OSError, match="No space left"):
        disk.unlink("wal/f")
    assert disk.names("wal") == ["f"]


def test_the_dead_do_nothing(disk: SimulatedDisk) -> None:
    """A test of the tests: after the death of a process its calls end, reading or writing, and change
    nothing; what it held is of no use in the next life, which gets the lock."""
    file, lock = disk.open("wal/f"), disk.lock("lock")
    disk.dead = True
    calls: list[Callable[[], object]] = [
        lambda: file.write_at(b"n", 0),
        file.datasync,
        lambda: file.truncate(0),
        lambda: file.preallocate(9999),
        disk.make_directory,
        lambda: disk.make_directory("new"),
        disk.names,
        lambda: disk.size("wal/f"),
        lambda: disk.read("wal/f"),
        lambda: disk.create("wal/g"),
        lambda: disk.open("wal/f"),
        lambda: disk.rename("wal/f", "wal/g"),
        lambda: disk.unlink("wal/f"),
        lambda: disk.sync_directory("wal"),
        disk.free_bytes,
        lambda: disk.lock("lock"),
        lambda: disk.lock_holder("lock"),
    ]
    for call in calls:
        with pytest.raises(ProcessDied):
            call()
    file.close()
    lock.release()
    disk.kill()
    held = disk.lock("lock")
    for call in calls[:4]:
        with pytest.raises(ProcessDied):
            call()
    lock.release()
    assert disk.locked
    held.release()
    assert disk.read("wal/f") == b"o" * 4 * SECTOR


def test_one_bit_flips_at_rest(disk: SimulatedDisk) -> None:
    """P6, by many flips: one bit, anywhere in the file, and it stays so."""
    before = int.from_bytes(disk.read("wal/f"), "little")
    places = set()
    for seed in range(CUTS):
        image = disk.copy()
        place = image.flip("wal/f", Random(seed))
        image.power_loss()
        changed = before ^ int.from_bytes(image.read("wal/f"), "little")
        assert changed.bit_count() == 1
        assert changed.bit_length() // 8 in (place, place + 1)
        places.add(place * 4 // (4 * SECTOR))
    assert places == {0, 1, 2, 3}


def test_files_vanish_and_come_from_elsewhere(disk: SimulatedDisk) -> None:
    """P6, by example: behind everybody's back, and for good."""
    disk.plant("wal/g", b"planted")
    disk.take("wal/f")
    disk.damage("wal/g", 2, b"AN")
    disk.power_loss()
    assert disk.names("wal") == ["g"]
    assert disk.read("wal/g") == b"plANted"


def test_a_copy_has_a_future_of_its_own(disk: SimulatedDisk) -> None:
    """A test of the tests: with what is synced and what is not."""
    file = disk.open("wal/f")
    file.write_at(b"n", 0)
    put(disk, "wal/g", b"g")
    twin = disk.copy()
    twin.open("wal/f").write_at(b"t", 0)
    twin.rename("wal/g", "wal/h")
    assert disk.read("wal/f", 0, 2) == b"no"
    assert disk.names("wal") == ["f", "g"]
    file.datasync()
    twin.power_loss()
    assert twin.read("wal/f", 0, 2) == b"oo"
    assert twin.names("wal") == ["f"]


def test_the_same_seed_leaves_the_same(disk: SimulatedDisk) -> None:
    """A test of the tests: chance comes from the generator that is given, and from nowhere else."""
    disk.open("wal/f").write_at(b"n" * 4 * SECTOR, 0)
    for name in "abcde":
        put(disk, f"wal/{name}", name.encode())
    outcomes = []
    for _ in range(2):
        image = disk.copy()
        image.power_loss(Random(7))
        outcomes.append((image.names("wal"), image.read("wal/f")))
    assert outcomes[0] == outcomes[1]
