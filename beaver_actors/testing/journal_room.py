"""Whether a simulated journal is right to say that the disk is full, and has kept back what it must (P7).

It looks at one life from outside: at the room there is, and at what was held ready before. Where calls were
made to fail for want of room, nothing is said: the journal cannot know better.
"""

from __future__ import annotations

from collections.abc import Sequence

from beaver_actors.codec.frame import FRAME_HEADER_SIZE
from beaver_actors.codec.segment import SEGMENT_HEADER_SIZE
from beaver_actors.core.facts import Fact, JobEnqueued
from beaver_actors.journal.journal import FileJournal
from beaver_actors.journal.reserve import Room, ballast_size
from beaver_actors.journal.segments import LOG, list_segments, segment_name
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.journal.snapshots import SNAPSHOTS, TEMPORARY
from beaver_actors.testing.disk import SimulatedDisk
from beaver_actors.testing.journal_weather import Weather

FACT_BYTES_MAX = 250
"""Without the arguments of the job."""
FORMAT_BYTES_MAX = 100
"""The file `format`, and its temporary one."""


class RoomWatch:
    """One life."""

    def __init__(self, disk: SimulatedDisk, settings: JournalSettings, weather: Weather) -> None:
        self._disk = disk
        self._settings = settings
        self._weather = weather
        self._was_ready = False
        """All was held ready for a full disk."""
        self._was_long = False
        """A commit was longer than a segment, which nothing that is held ready is made for."""
        self._may_refuse = False

    def appending(self, journal: FileJournal, facts: Sequence[Fact]) -> None:
        """These facts are about to be appended."""
        is_long = _bytes_max(facts) > self._settings.segment_bytes - SEGMENT_HEADER_SIZE
        is_ready = journal.room is Room.NORMAL and not journal.wants_replenishing
        self._was_long = self._was_long or is_long
        self._may_refuse = is_long or not is_ready

    def expect_append_refused(self) -> None:
        """An append that fits into a segment is refused only when what was held ready has been used up."""
        if not self._weather.seems_full:
            assert self._may_refuse, "an append was refused with everything held ready"
            free = self._disk.free_bytes()
            assert free < 4 * self._settings.segment_bytes, f"an append was refused with {free} bytes free"

    def expect_ready(self, journal: FileJournal) -> None:
        """What the next start needs on a full disk is not spent on anything else."""
        self._was_ready = self._was_ready or journal.room is Room.NORMAL
        if self._was_ready and not self._was_long and not self._weather.seems_full:
            held = ballast_size(self._disk) or 0
            assert held >= self._settings.segment_bytes, (
                f"{held} bytes of ballast are left for the next start"
            )

    def expect_start_refused(self) -> None:
        """A start is refused only if giving up all that was held ready would not have been enough."""
        disk = self._disk
        if self._weather.seems_full or not has_log(disk):
            return
        kept = [f"{place}/{name}" for place in (LOG, SNAPSHOTS) for name in disk.names(place)]
        room = disk.capacity - sum(disk.size(name) for name in kept if not name.endswith(TEMPORARY))
        needed = len(disk.read(segment_name(list_segments(disk)[-1])).rstrip(b"\0")) + FORMAT_BYTES_MAX
        assert room < needed, f"a start was refused with room for {room} bytes, {needed} are enough"


def has_log(disk: SimulatedDisk) -> bool:
    """There is something to start from."""
    try:
        return bool(list_segments(disk))
    except FileNotFoundError:
        return False


def _bytes_max(facts: Sequence[Fact]) -> int:
    """At most so many are in a frame of these facts."""
    args = sum(len(fact.args) for fact in facts if isinstance(fact, JobEnqueued))
    return FRAME_HEADER_SIZE + FACT_BYTES_MAX * len(facts) + args
