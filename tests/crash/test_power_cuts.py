"""Power cuts at moments of chance. A kill loses no page: the kernel writes them all in the end. So here the
data directory is on an ext4 file system of its own, and after each cut the server finds only what had really
reached the disk."""

from __future__ import annotations

import faulthandler
import json
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from tests.crash.figures import figures
from tests.crash.harness import Server, serving
from tests.crash.places import Image, image
from tests.crash.storm import SETTINGS, Storm, drawn_seed

pytestmark = pytest.mark.process

CUTS = "BEAVER_POWER_CUTS"
CUTS_IN_CI = 40
CUTS_ON_ONE_DISK = 100

FORMATS = (("-b", "1024"), ("-b", "4096"))
MOUNTS = (
    "defaults",
    "commit=1",  # its journal is written every second, not every five
    "nodelalloc",
    "data=writeback",  # a name or a size may be on disk without the data
    "data=journal",
    "noauto_da_alloc",  # no help for those who rename without a sync
)


class PowerCuts:
    """A disk, a server on it, and how the power goes and comes back.

    Args:
        disk: not yet made.
    """

    def __init__(self, disk: Image, server: Server, seed: int) -> None:
        self.storm = Storm(server, seed, strike=self._cut)
        self.by_shutdown = 0
        self._disk = disk
        self._server = server
        self._chance = random.Random(seed)
        self._copied = False
        disk.format(*self._chance.choice(FORMATS))
        disk.mount()

    def life(self) -> None:
        """A life of the server, to the next cut and the first thing after it."""
        code = self.storm.life()
        assert code == -signal.SIGKILL, f"it ended by itself, with {code}:\n{self._server.errors()}"
        self._server.await_no_family()
        self._disk.unmount()
        if self._copied:
            self._disk.use_copy()
        self._disk.mount(self._chance.choice(MOUNTS))

    def _cut(self) -> None:
        """Stop the server where it stands, then take the disk as it is, or cut the file system off from it.

        Not the other way round: the file system tells who lives on, now and then, that a sync has succeeded
        which was cut off. From a stopped server nobody hears that. Everything it had said before does count:
        clients read it from their sockets afterwards.
        """
        self._server.stop_still()
        self._copied = self._chance.random() < 0.5
        if self._copied:
            self._disk.copy()
        else:
            self.by_shutdown += 1
            self._disk.shut_down()
        self._server.kill()


def black_out(directory: Path, cuts: int) -> None:
    """So many power cuts, then a calm life in which everything must add up."""
    seed = drawn_seed()
    with (
        image(directory) as disk,
        serving(directory, settings=SETTINGS, data_dir=disk.place / "data") as server,
    ):
        power = PowerCuts(disk, server, seed)
        with figures("power cut", seed) as told:
            for told["power_cuts"] in range(1, cuts + 1):
                power.life()
            power.storm.calm()
            told |= power.storm.report.figures(power.storm.ledger)
            told["by_shutdown"] = power.by_shutdown
    sys.stdout.write(f"{json.dumps(told)}\n")


@pytest.mark.timeout(300)
def test_a_power_cut_takes_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """P1, P3, P4, P10: real cuts on a real file system; the ledger counts whatever the server had said."""
    black_out(tmp_path, CUTS_IN_CI)


@pytest.mark.slow
def test_hundreds_of_power_cuts_take_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """P1, P3, P4, P10: the same, as often as BEAVER_POWER_CUTS says, a hundred times on one disk."""
    faulthandler.cancel_dump_traceback_later()  # it is meant to take its time
    left = int(os.environ.get(CUTS) or CUTS_ON_ONE_DISK)
    with capsys.disabled():
        while left > 0:
            directory = tmp_path / str(left)
            directory.mkdir()
            black_out(directory, min(left, CUTS_ON_ONE_DISK))
            left -= CUTS_ON_ONE_DISK
