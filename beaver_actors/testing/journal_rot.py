"""Damage at rest, tried on a copy of a disk: the start refuses and names the file, or loses nothing (P6)."""

from __future__ import annotations

from random import Random

from beaver_actors.codec.segment import SEAL, SECTOR, SEGMENT_HEADER_SIZE
from beaver_actors.journal.errors import Damaged, UnknownFormat
from beaver_actors.journal.recovery import FORMAT, open_journal
from beaver_actors.journal.repair import repair
from beaver_actors.journal.replay import read_segment
from beaver_actors.journal.segments import LOG, list_segments, segment_name
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.journal.snapshots import SNAPSHOTS, TEMPORARY
from beaver_actors.journal.verify import verify
from beaver_actors.testing.disk import SimulatedDisk
from beaver_actors.testing.journal_facts import essence, state_after
from beaver_actors.testing.journal_oracle import Told
from beaver_actors.testing.journal_report import file_kind

WAYS = ("flip", "flip", "flip", "flip", "garbage", "blank", "vanish", "vanish")
"""One bit; a sector of noise; a sector of zeros; the whole file."""


def try_rot(disk: SimulatedDisk, settings: JournalSettings, told: Told, random: Random) -> tuple[str, str]:
    """Damage one place in one file of a copy, and start on it. Where that is refused, repair it and start.

    Args:
        disk: between two lives, with room enough; a start on it finds nothing wrong. It is not changed.
        told: what was acknowledged on it and sent to it.

    Returns:
        What was done, as `<way> in <kind of file>`, and what came of it.

    Raises:
        AssertionError: something was lost without a word, or was refused under a wrong name.
    """
    sound, rotten = disk.copy(), disk.copy()
    name = random.choice(_names(rotten))
    way = random.choice(WAYS)
    place = _damage(rotten, name, way, random)
    done = f"{way} in {file_kind(name)}"
    may_lose = _looks_interrupted(sound, name, way, place)
    wanted = open_journal(sound, settings).state
    where = f"{done}, {name} at {place}"
    refusal: Damaged | UnknownFormat | None = None
    try:
        found = open_journal(rotten, settings).state
    except (Damaged, UnknownFormat) as error:
        refusal = error
    if refusal is not None:
        file = refusal.file.removeprefix(f"{disk.place}/")
        assert file == name or way == "vanish", f"{where}: {file} was blamed: {refusal}"
        assert file_kind(name) != "snapshot", f"{where}: an older one and the log were there: {refusal}"
        rotten.kill()
        assert not verify(rotten).starts, f"{where}: the start was refused, and verify finds nothing"
        if isinstance(refusal, Damaged):
            _expect_repair(rotten, settings, told, wanted.lsn, is_log=file_kind(name) == "segment")
        return done, f"refused: {_reason(refusal)}"
    if may_lose and found.lsn < wanted.lsn:
        return done, "taken for an interrupted write"
    assert found.lsn == wanted.lsn, f"{where}: recovered up to LSN {found.lsn} instead of {wanted.lsn}"
    assert essence(found) == essence(wanted), f"{where}: recovered something else"
    return done, "nothing lost"


def _names(disk: SimulatedDisk) -> list[str]:
    names = [f"{directory}/{name}" for directory in (LOG, SNAPSHOTS) for name in disk.names(directory)]
    names = [name for name in names if not name.endswith(TEMPORARY)]
    return [*names, FORMAT] if FORMAT in disk.names() else names


def _damage(disk: SimulatedDisk, name: str, way: str, random: Random) -> int:
    """Do it; return the offset of the damage."""
    data = disk.read(name)
    if way == "vanish":
        disk.take(name)
        return 0
    used = len(data.rstrip(b"\0"))
    end = min(used, len(data) - 1)
    places = (
        random.randrange(len(data)),
        random.randrange(min(SEGMENT_HEADER_SIZE, len(data))),
        random.randint(0, end),
        random.randint(0, end),
        random.randint(max(0, end - 200), end),  # where the verdict is the hardest
    )
    place = random.choice(places)
    if way == "flip":
        disk.damage(name, place, bytes([data[place] ^ 1 << random.randrange(8)]))
        return place
    place -= place % SECTOR
    length = min(SECTOR, len(data) - place)
    # Noise of zeros would be blank.
    noise = random.randbytes(length).replace(b"\0", b"\xff")
    disk.damage(name, place, noise if way == "garbage" else bytes(length))
    return place


def _looks_interrupted(disk: SimulatedDisk, name: str, way: str, place: int) -> bool:
    """Whether the damage cannot be told from an interrupted write, or from one never made: a blank sector in
    the last commit, or the last segment gone before the one ahead of it was sealed."""
    first_lsns = list_segments(disk)
    if name != segment_name(first_lsns[-1]):
        return False
    if way == "vanish":
        before = disk.read(segment_name(first_lsns[-2])) if len(first_lsns) > 1 else b""
        return not before.rstrip(b"\0").endswith(SEAL)
    frames = read_segment(disk, first_lsns[-1], last=True).frames
    return way == "blank" and bool(frames) and frames[-1].offset < place + SECTOR and place < frames[-1].end


def _expect_repair(
    disk: SimulatedDisk, settings: JournalSettings, told: Told, wanted_lsn: int, *, is_log: bool
) -> None:
    """A repair keeps what can be read, and no LSN is given out twice."""
    repaired = repair(disk, settings)
    assert repaired is not None, "the start was refused, and repair finds nothing"
    assert is_log or repaired.kept_lsn == wanted_lsn, f"repair lost facts that were not damaged: {repaired}"
    sent = [*told.facts, *told.undecided]
    assert repaired.next_lsn > wanted_lsn, f"repair gives out LSN {repaired.next_lsn} once more"
    recovered = open_journal(disk, settings)
    kept = essence(state_after(sent[: repaired.kept_lsn]))
    assert essence(recovered.state)[1:] == kept[1:], "repair kept something else than it said"
    assert recovered.journal.head + 1 == repaired.next_lsn, "the repaired log begins elsewhere"


def _reason(refusal: Damaged | UnknownFormat) -> str:
    """Why it was refused, without what differs from case to case."""
    if isinstance(refusal, UnknownFormat):
        return "another version"
    if refusal.file == FORMAT:
        return "no format file"
    reason = refusal.reason.partition(" begins with ")[0] if refusal.offset == 0 else refusal.reason
    return " ".join("N" if any(map(str.isdigit, word)) else word for word in reason.split())
