"""kill -9 at moments of chance, under a load of everything, on one data directory."""

from __future__ import annotations

import faulthandler
import os
import random
import sys
from pathlib import Path

import pytest

from tests.crash.harness import serving
from tests.crash.storm import SETTINGS, Storm

pytestmark = pytest.mark.process

SEED = "BEAVER_CRASH_SEED"


def weather(directory: Path, lives: int) -> None:
    """So many kills, then a calm life in which everything must add up."""
    seed = int(os.environ.get(SEED) or random.SystemRandom().getrandbits(32))
    sys.stdout.write(f"\n{SEED}={seed}\n")  # pytest shows it if the test fails
    with serving(directory, settings=SETTINGS) as server:
        storm = Storm(server, seed)
        for _ in range(lives):
            storm.life()
        storm.calm()
    sys.stdout.write(f"{storm.report.line(storm.ledger)}\n")


def test_a_server_that_is_killed_again_and_again_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """P3, P4, P5, P10: a ledger kept outside, held against the events and the final state of every job."""
    weather(tmp_path, 16)


@pytest.mark.slow
def test_five_hundred_kills_in_a_row_lose_nothing_and_double_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """P3, P4, P5, P10: the same, on one data directory that lives through all of them."""
    faulthandler.cancel_dump_traceback_later()  # it is meant to take its time
    with capsys.disabled():
        weather(tmp_path, int(os.environ.get("BEAVER_CRASH_KILLS") or 500))
