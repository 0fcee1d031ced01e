"""What the tests of the journal share: a disk in memory, and a real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from beaver_actors.journal.disk import Disk, RealDisk
from beaver_actors.testing.disk import SimulatedDisk
from tests.journal.damages import fill


@pytest.fixture
def memory() -> SimulatedDisk:
    return SimulatedDisk()


@pytest.fixture(params=["real", "memory"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    return RealDisk(str(tmp_path / "data")) if request.param == "real" else SimulatedDisk()


@pytest.fixture
def filled(memory: SimulatedDisk) -> SimulatedDisk:
    """A log of 300 facts in many segments, none of them trimmed, with three snapshots."""
    fill(memory)
    return memory
