"""Many lives of the journal on one simulated disk, from one integer: core, codec and journal run unchanged.

Each life goes on from what the last one left, and ends in some disk call by a kill or a power cut, as likely
while it still recovers; after each start everything is held against what was told. Now and then the files
are damaged at rest, on a copy. What the disk may do is in `testing/disk.py`, when it does it in
`testing/journal_weather.py`, what the journal is made to do in `testing/journal_life.py`, and what must hold
in `testing/journal_oracle.py` and `testing/journal_room.py`. Actors, time and clients are not in it.
"""

from __future__ import annotations

import errno
from hashlib import blake2b
from random import Random

from beaver_actors.journal.recovery import FORMAT, open_journal
from beaver_actors.testing.disk import ProcessDied, SimulatedDisk
from beaver_actors.testing.journal_life import ROOMY_BYTES, SETTINGS, Life, verdicts
from beaver_actors.testing.journal_oracle import Told
from beaver_actors.testing.journal_report import JournalReport, Moment
from beaver_actors.testing.journal_room import has_log
from beaver_actors.testing.journal_rot import try_rot
from beaver_actors.testing.journal_weather import Weather

LIVES = (4, 12, 40, 40)
"""So many on one disk: much happens only while it is new, much only when there have been snapshots."""
ROTS = 0.04
IMAGES = 2
"""How many other remainders of a power cut are started on. They cost less than a life, and more of them from
one moment find less."""


def simulate_journal(seed: int, lives: int | None = None, rots: float = ROTS) -> JournalReport:
    """Live some lives on a new disk.

    Args:
        seed: decides everything.
        lives: how many; None: one of `LIVES`.
        rots: after this share of the lives, damage at rest is tried on a copy.

    Raises:
        AssertionError: a promise was broken; the text names seed and life.
    """
    simulation = JournalSimulation(seed, rots)
    if lives is None:
        lives = Random(f"lives of {seed}").choice(LIVES)
    for life in range(1, lives + 1):
        try:
            simulation.live()
        except Exception as error:
            told = f"simulate_journal({seed}), life {life}: {type(error).__name__}: {error}"
            raise AssertionError(told) from error
    return simulation.report()


class JournalSimulation:
    """One disk and its lives."""

    def __init__(self, seed: int, rots: float = ROTS) -> None:
        self._rots = rots
        self._random = Random(seed)
        self._disk = SimulatedDisk(ROOMY_BYTES, Random(f"failed syncs of {seed}"))
        self._told = Told()
        self._report = JournalReport(seeds=1)
        self._trace = blake2b(digest_size=16)

    def report(self) -> JournalReport:
        """All so far."""
        self._report.facts = self._told.head
        self._report.trace = self._trace.hexdigest()
        return self._report

    def live(self) -> None:
        """One life, its end, and what may happen to the disk before the next."""
        random, disk = self._random, self._disk
        self._report.lives += 1
        weather = Weather(random, random.choice((20, 70)), self._struck, self._die)
        disk.fault = weather
        life = Life(random, disk, self._told, self._report, weather)
        moment = Moment("", "", "")
        try:
            life.serve()
        except ProcessDied:
            moment = weather.last
        except OSError as error:
            if error.errno != errno.EIO or weather.trouble != "EIO":
                raise  # nobody made the disk fail; or it was full, which must not end a process
            life.expect_poison()
            moment = weather.last
        self._report.disk_calls += len(disk.calls)
        self._trace.update(repr((disk.calls, life.verdict)).encode())
        self._end(moment, life.refused)
        if has_log(disk):
            if random.random() < self._rots:
                disk.capacity = ROOMY_BYTES
                self._rot()
            if random.random() < 0.03 and FORMAT in disk.names():
                disk.take(FORMAT)  # as if the first start had found no room for it

    def _end(self, moment: Moment, had_ended: bool) -> None:
        random, disk = self._random, self._disk
        if random.random() < 0.35:
            disk.kill(random)
            if not had_ended:
                self._report.crashes[moment._replace(what="kill")] += 1
            return
        if moment.call:
            for _ in range(IMAGES):
                self._try_image(moment)
        # While idle, everything is on disk: nothing may hang on what reaches it later.
        bare = random.random() < (0.2 if moment.call else 0.5)
        disk.power_loss(None if bare else random)
        self._report.crashes[moment._replace(what="power")] += 1

    def _try_image(self, moment: Moment) -> None:
        """Start on what the same power cut might have left as well."""
        image = self._disk.copy()
        image.power_loss(self._random)
        image.capacity = ROOMY_BYTES
        recovered = open_journal(image, SETTINGS)
        self._told.expect_possible(recovered)
        self._report.images += 1
        self._report.verdicts.update(verdicts(recovered.report))
        self._report.crashes[moment._replace(what="power")] += 1
        self._trace.update(f"{recovered.report} {image.calls}".encode())

    def _rot(self) -> None:
        done, outcome = try_rot(self._disk, SETTINGS, self._told, self._random)
        self._report.rots[f"{done}: {outcome.partition(':')[0]}"] += 1
        if outcome.startswith("refused"):
            self._report.refusals[f"start, {outcome}"] += 1
        self._trace.update(f"{done} {outcome}".encode())

    def _die(self) -> None:
        self._disk.dead = True

    def _struck(self, moment: Moment) -> None:
        self._report.faults[moment] += 1
