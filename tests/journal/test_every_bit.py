"""A small data directory, exhaustively: every bit of every file flipped, every file cut at every byte (P6).

Read as a start reads it. What the bytes of one frame, segment or snapshot tell by themselves is tested in
`tests/codec/`; here is what becomes of the whole, where one file may stand in for another.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest

from beaver_actors.core.facts import Fact, JobEnqueued, JobStarted, QueuePaused
from beaver_actors.core.job import Terms
from beaver_actors.core.state import State
from beaver_actors.journal.errors import Damaged, UnknownFormat
from beaver_actors.journal.folding import fold_snapshot
from beaver_actors.journal.recovery import FORMAT, has_format, open_journal
from beaver_actors.journal.replay import read_segment, replay
from beaver_actors.journal.segments import LOG, list_segments, segment_name
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.journal.snapshots import SNAPSHOTS
from beaver_actors.journal.verify import verify
from beaver_actors.testing.disk import SECTOR, SimulatedDisk
from tests.journal.happenings import essence, state_after

SETTINGS = JournalSettings(segment_bytes=4096, reserve_bytes=8192)
FACTS: list[Fact] = [
    fact
    for number in range(7)
    for fact in (
        JobEnqueued(f"j{number}", 1, Terms("k", queue="q"), b'{"n":%d}' % number, 1),
        JobStarted(f"j{number}", 2, "w") if number % 2 else QueuePaused("q", 2),
    )
]
LAST = 3
"""Commits in the last segment."""


def begun(disk: SimulatedDisk) -> None:
    """Two snapshots, the segment between them, one after them, and the last one."""
    journal = open_journal(disk, SETTINGS).journal
    commits = iter([FACTS[:4], FACTS[4:6], FACTS[6:7], FACTS[7:10], FACTS[10:11], FACTS[11:13], FACTS[13:]])
    for _ in range(2):
        journal.append(next(commits))
        journal.append(next(commits))
        journal.trim(fold_snapshot(disk, journal.rotate(), 2, "t").keep_from_lsn)
    for number, commit in enumerate(commits):
        journal.append(commit)
        if number == 0:
            journal.rotate()
    disk.kill()


@pytest.fixture(scope="module")
def small() -> SimulatedDisk:
    disk = SimulatedDisk()
    begun(disk)
    assert len(list_segments(disk)) == 3
    assert len(disk.names(SNAPSHOTS)) == 2
    assert start(disk).lsn == len(FACTS)
    return disk


def start(disk: SimulatedDisk) -> State:
    """What a start would come to; nothing is changed."""
    has_format(disk)
    return replay(disk).state


def refusal(disk: SimulatedDisk) -> str | None:
    """The file that a start would refuse; None if it would come to the whole state."""
    try:
        state = start(disk)
    except (Damaged, UnknownFormat) as error:
        return error.file.removeprefix(f"{disk.place}/")
    assert essence(state) == essence(state_after(FACTS)), "something was lost without a word"
    return None


def files(disk: SimulatedDisk) -> Iterator[tuple[str, bytes]]:
    """All files with what is used of them."""
    for directory in (LOG, SNAPSHOTS):
        for name in disk.names(directory):
            if not name.endswith(".tmp"):
                path = f"{directory}/{name}"
                yield path, disk.read(path).rstrip(b"\0") if directory == LOG else disk.read(path)
    yield FORMAT, disk.read(FORMAT)


def stands_in(disk: SimulatedDisk, name: str) -> bool:
    """Whether a start can do without the file: a snapshot, or a segment that the newest one covers."""
    return name.startswith(SNAPSHOTS) or name == segment_name(list_segments(disk)[0])


def test_every_bit_of_a_directory_is_told_or_needless(small: SimulatedDisk) -> None:
    """P6, exhaustive: with any one bit flipped, a start refuses and names the file, or comes to the very same
    state, which it does wherever another file stands in."""
    disk, flips = small.copy(), 0
    for name, data in files(disk):
        wanted = None if stands_in(disk, name) else name
        for offset, byte in enumerate(data):
            for bit in range(8):
                disk.damage(name, offset, bytes([byte ^ 1 << bit]))
                assert refusal(disk) == wanted, f"bit {bit} of byte {offset} of {name}"
                flips += 1
            disk.damage(name, offset, bytes([byte]))
    assert flips > 8_000


def test_a_bit_in_the_empty_room_is_needless(small: SimulatedDisk) -> None:
    """P6, exhaustive: behind the last commit nothing was written, so whatever is there is cut, or refused.
    All bits where the next commit would begin, and one of each byte farther on."""
    disk = small.copy()
    name = segment_name(list_segments(disk)[-1])
    used = len(disk.read(name).rstrip(b"\0"))
    for offset in range(used, disk.size(name)):
        for bit in range(8) if offset < used + 100 else (offset % 8,):
            disk.damage(name, offset, bytes([1 << bit]))
            assert refusal(disk) in (None, name)
        disk.damage(name, offset, b"\0")
    assert refusal(disk) is None


def test_every_byte_is_read_by_verify(small: SimulatedDisk) -> None:
    """P6, exhaustive: verify finds one flipped bit in each byte, also where a start does not look, and names
    the file."""
    disk = small.copy()
    for name, data in files(disk):
        for offset, byte in enumerate(data):
            disk.damage(name, offset, bytes([byte ^ 1 << offset % 8]))
            assert name in {problem.file for problem in verify(disk).problems}, f"byte {offset} of {name}"
            disk.damage(name, offset, bytes([byte]))
    assert verify(disk).ok


def test_every_sector_of_noise_is_told_or_needless(small: SimulatedDisk) -> None:
    """P6, exhaustive: each sector of each file, under noise of several kinds."""
    disk, random = small.copy(), Random(1)
    for name, data in files(disk):
        for place in range(0, len(data), SECTOR):
            held = data[place : place + SECTOR]
            for noise in (random.randbytes(len(held)), b"\xff" * len(held), b"\xa5" * len(held), held[::-1]):
                disk.damage(name, place, noise)
                wanted = None if stands_in(disk, name) else name
                assert refusal(disk) == wanted, f"{place} of {name}"
            disk.damage(name, place, held)


def test_every_cut_of_a_file_is_told_or_needless(small: SimulatedDisk) -> None:
    """P6, exhaustive: each file but the last segment ends at each byte. A sealed segment lacks nothing
    without its seal, which is there to tell of the next one."""
    disk = small.copy()
    for name, data in files(disk):
        if name == segment_name(list_segments(disk)[-1]):
            continue
        whole = disk.read(name)
        for size in range(len(data)):
            disk.plant(name, data[:size])
            needless = stands_in(disk, name) or (name.startswith(LOG) and size == len(data) - 1)
            # A hole is told where the log does not go on.
            told = {None} if needless else {name, segment_name(list_segments(disk)[-1])}
            assert refusal(disk) in told, f"{name} cut at {size}"
        disk.plant(name, whole)


@pytest.mark.parametrize("zeros_follow", [True, False])
def test_every_cut_of_the_last_segment_loses_the_cut_commit_alone(
    small: SimulatedDisk, zeros_follow: bool
) -> None:
    """P3, P6, exhaustive: the writing stopped at each byte, in a file with its room and in one without. All
    commits before it are there; and a start goes on from there."""
    first_lsn = list_segments(small)[-1]
    name = segment_name(first_lsn)
    frames = read_segment(small, first_lsn, last=True).frames
    assert len(frames) == LAST - 1
    whole = small.read(name)
    for size in range(frames[0].offset, frames[-1].end + 1):
        kept = [frame for frame in frames if frame.end <= size]
        head = kept[-1].last_lsn if kept else first_lsn - 1
        disk = small.copy()
        disk.plant(name, whole[:size].ljust(len(whole) if zeros_follow else 0, b"\0"))
        recovered = open_journal(disk, SETTINGS)
        assert essence(recovered.state) == essence(state_after(FACTS[:head])), f"cut at {size}"
        assert (recovered.report.torn_reason is None) == (size in {frames[0].offset, *(f.end for f in kept)})
        assert recovered.journal.append(FACTS[head : head + 1] or [QueuePaused("q", 9)]) == head + 1


def test_every_cut_of_the_last_segments_header_is_told(small: SimulatedDisk) -> None:
    """P6, exhaustive: a segment gets its name when its header is on disk, so a part of one is damage."""
    name = segment_name(list_segments(small)[-1])
    for size in range(36):
        disk = small.copy()
        disk.plant(name, small.read(name)[:size])
        assert refusal(disk) == name
