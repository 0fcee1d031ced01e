"""One life of the journal in a simulation: a process that owns the directory, from its start to its end.

It recovers, and then does what a server does, in an order drawn from the seed: appends, reads back, rotates,
has snapshots folded, trims, and meets a disk that is full for a while. What it is told is held against what
may be (P3, P8). It decides neither when it ends nor what is left of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from random import Random

from beaver_actors.core.facts import Fact
from beaver_actors.core.state import State
from beaver_actors.journal.disk import NO_SPACE
from beaver_actors.journal.errors import AppendRefused, HistoryGone, JournalPoisoned, NoSpace
from beaver_actors.journal.folding import fold_snapshot
from beaver_actors.journal.journal import FileJournal
from beaver_actors.journal.recovery import RecoveryReport, open_journal
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.journal.verify import verify
from beaver_actors.testing.disk import ProcessDied, SimulatedDisk
from beaver_actors.testing.journal_facts import happen
from beaver_actors.testing.journal_oracle import Told
from beaver_actors.testing.journal_report import JournalReport, Moment
from beaver_actors.testing.journal_room import RoomWatch
from beaver_actors.testing.journal_weather import Weather

SETTINGS = JournalSettings(segment_bytes=4096, reserve_bytes=8192, snapshots_kept=2)
"""As small as they may be, so that everything happens often."""
ROOMY_BYTES = 1 << 22
JOBS_MAX = 6
BATCHES = (*(1,) * 12, *(2,) * 10, *(4,) * 8, 20)
"""Numbers of facts in a commit. Many make a frame that is longer than a segment, now and then."""


class Life:
    """One process.

    Args:
        disk: with the weather of this life as its fault.
        told: what all lives so far were told; holds what this one recovers against it.
        report: gets the figures.
    """

    def __init__(
        self, random: Random, disk: SimulatedDisk, told: Told, report: JournalReport, weather: Weather
    ) -> None:
        self._random = random
        self._disk = disk
        self._told = told
        self._report = report
        self._weather = weather
        self._room = RoomWatch(disk, SETTINGS, weather)
        self.verdict = ""
        """What the start found, with all numbers."""
        self.refused = False
        """The disk was too full to start."""
        self._journal: FileJournal | None = None
        self._draft = State()
        """After everything sent, also what was refused and waits."""
        self._waiting: Sequence[Fact] = ()
        """Refused for want of room; to be sent again."""
        self._snapshot_lsn = 0
        self._failed: OSError | None = None
        """How the server failed while a snapshot was being folded."""

    def serve(self) -> None:
        """Recover, and work until the end; returns if that did not come.

        Raises:
            ProcessDied: it has come.
            OSError: the disk has failed; a server would end now.
            AssertionError: a promise was broken.
        """
        random = self._random
        if random.random() < 0.1:
            self._fill()
        journal = self._start()
        if journal is None or random.random() < 0.25:
            return
        for _ in range(random.randrange(20)):
            self._step(journal)
            self._room.expect_ready(journal)
        journal.close()

    def expect_poison(self) -> None:
        """A write or sync has failed: the journal does nothing any more (P8)."""
        journal = self._journal
        if journal is None:
            return
        calls = len(self._disk.calls)
        for use in (journal.rotate, journal.replenish, lambda: journal.append(happen(Random(1), 1))):
            try:
                use()
            except JournalPoisoned:
                assert len(self._disk.calls) == calls, "a journal that has failed touched the disk"
            except (ProcessDied, OSError) as error:
                raise AssertionError("a journal that has failed touched the disk") from error
            else:
                raise AssertionError("a journal that has failed goes on")

    def _start(self) -> FileJournal | None:
        try:
            recovered = open_journal(self._disk, SETTINGS)
        except NoSpace:
            self._room.expect_start_refused()
            self.refused = True
            self.verdict = "too full"
            self._report.refusals["start: no room"] += 1
            self._disk.capacity = ROOMY_BYTES
            return None
        self._journal, self._draft = recovered.journal, recovered.state
        self._told.expect(recovered)
        self._snapshot_lsn = recovered.report.snapshot_lsn or 0
        self._report.verdicts.update(verdicts(recovered.report))
        self.verdict = f"{recovered.report} {recovered.journal.size_bytes}"
        return recovered.journal

    def _step(self, journal: FileJournal) -> None:
        random = self._random
        way = random.random()
        if way < 0.66:
            self._append(journal)
            if journal.wants_replenishing and random.random() < 0.8:
                journal.replenish()
        elif way < 0.8:
            self._snapshot(journal)
        elif way < 0.85:
            journal.rotate()
        elif way < 0.89:
            self._read_back(journal)
        elif way < 0.9:
            report = verify(self._disk)
            assert report.ok, f"verify finds {report.problems} beside a server"
            assert report.head == self._told.head, f"verify finds LSN {report.head} at the end"
        elif way < 0.94:
            self._fill()
        elif way < 0.97:
            self._disk.capacity = ROOMY_BYTES
        elif journal.wants_replenishing:
            journal.replenish()

    def _append(self, journal: FileJournal) -> None:
        random, told = self._random, self._told
        if self._waiting and random.random() < 0.4:
            # Something else instead: what was refused is certainly not written.
            self._waiting, self._draft = (), deepcopy(told.state)
        facts = self._waiting or happen(random, random.choice(BATCHES), self._draft, jobs_max=JOBS_MAX)
        self._waiting = ()
        self._room.appending(journal, facts)
        told.send(facts, self._draft)
        try:
            lsn = journal.append(facts)
        except AppendRefused:
            told.refuse()
            self._waiting = facts
            self._report.refusals["append: no room"] += 1
            self._room.expect_append_refused()
        else:
            told.acknowledge(lsn)

    def _snapshot(self, journal: FileJournal) -> None:
        """What the snapshotter has done: here by a process that may die by itself or with the machine, and
        beside which the server goes on."""
        random, disk = self._random, self._disk
        sealed_lsn = journal.rotate()
        if sealed_lsn <= self._snapshot_lsn:
            return
        weather = Weather(random, random.choice((12, 200)), self._struck, self._child_dies)

        def fault(number: int, call: str, name: str) -> int | None:
            if self._failed is None and random.random() < 0.15:
                self._meanwhile(journal)
            return weather(number, call, name)

        disk.fault = fault
        try:
            folded = fold_snapshot(disk, sealed_lsn, SETTINGS.snapshots_kept, "child")
        except ProcessDied:
            if disk.dead:
                self._weather.last = weather.last if disk.fault is fault else self._weather.last
                raise
            self._struck(weather.last._replace(what="child killed"))
            folded = None
        except NoSpace:
            self._report.refusals["snapshot: no room"] += 1
            folded = None
        except OSError as error:
            if error.errno in NO_SPACE or weather.trouble != "EIO":
                raise
            folded = None
        disk.fault = self._weather
        if self._failed is not None:
            raise self._failed
        if folded is not None:
            self._snapshot_lsn = folded.lsn
            if random.random() < 0.9:
                journal.trim(folded.keep_from_lsn)

    def _meanwhile(self, journal: FileJournal) -> None:
        """The server appends while a snapshot is being folded."""
        disk = self._disk
        child, disk.fault = disk.fault, self._weather
        try:
            self._append(journal)
            if journal.wants_replenishing:
                journal.replenish()
        except OSError as error:
            self._failed = error
        disk.fault = child

    def _child_dies(self) -> None:
        if self._random.random() < 0.5:
            self._disk.dead = True

    def _read_back(self, journal: FileJournal) -> None:
        lsn, limit = self._random.randint(1, self._told.head + 1), self._random.choice((1, 5, 1000))
        is_gone = False
        try:
            facts = journal.read_from(lsn, limit)
        except HistoryGone:
            is_gone = True
        assert is_gone == (lsn < journal.oldest_lsn), (
            f"LSN {lsn} of {journal.oldest_lsn}.. is gone: {is_gone}"
        )
        if not is_gone:
            self._told.expect_history(facts, lsn, limit)

    def _fill(self) -> None:
        """Others have filled the disk, all or almost."""
        used = self._disk.capacity - self._disk.free_bytes()
        self._disk.capacity = used + self._random.choice((0, 1, self._random.randrange(12_000)))

    def _struck(self, moment: Moment) -> None:
        self._report.faults[moment] += 1


def verdicts(found: RecoveryReport) -> list[str]:
    """What a start has found, in a few words each."""
    if found.is_new:
        return ["a new log"]
    return [
        "a clean end" if found.torn_reason is None else f"a torn end: {found.torn_reason}",
        "no snapshot" if found.snapshot_lsn is None else "a snapshot",
        *(["nothing after it"] if found.facts == 0 else []),
        *(["several segments"] if found.segments > 1 else []),
    ]
