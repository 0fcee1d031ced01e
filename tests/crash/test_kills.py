"""kill -9 at moments of chance, under a load of everything, on one data directory."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.crash.figures import figures
from tests.crash.harness import serving
from tests.crash.storm import SETTINGS, Storm, drawn_seed

pytestmark = pytest.mark.process

KILLS = "BEAVER_CRASH_KILLS"
KILLS_IN_CI = 100
KILLS_ON_ONE_DIRECTORY = 500


def weather(directory: Path, kills: int) -> None:
    """So many kills, then a calm life in which everything must add up."""
    seed = drawn_seed()
    with figures("kill", seed) as told, serving(directory, settings=SETTINGS) as server:
        storm = Storm(server, seed)
        for told["kills"] in range(1, kills + 1):
            code = storm.life()
            assert code == -signal.SIGKILL, f"it ended by itself, with {code}:\n{server.errors()}"
        storm.calm()
        assert "Traceback" not in server.errors(), server.errors()
        told |= storm.report.figures(storm.ledger)
    sys.stdout.write(f"{json.dumps(told)}\n")


@pytest.mark.timeout(300)
def test_a_server_that_is_killed_a_hundred_times_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    """P3, P4, P5, P10: a ledger kept outside, held against the events and the final state of every job."""
    weather(tmp_path, KILLS_IN_CI)


@pytest.mark.slow
def test_hundreds_of_kills_in_a_row_lose_nothing_and_double_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """P3, P4, P5, P10: the same, as often as BEAVER_CRASH_KILLS says, 500 times on one data directory."""
    faulthandler.cancel_dump_traceback_later()  # it is meant to take its time
    left = int(os.environ.get(KILLS) or KILLS_ON_ONE_DIRECTORY)
    with capsys.disabled():
        while left > 0:
            directory = tmp_path / str(left)
            directory.mkdir()
            weather(directory, min(left, KILLS_ON_ONE_DIRECTORY))
            left -= KILLS_ON_ONE_DIRECTORY
