"""What a server stands on: its disk, its time, its chance, and the processes beside it.

Everything that a node does to the outside goes through a `World`, but for connections,
which come through listeners. `real_world` is the one of production; a simulation brings another, and the node
runs on it unchanged.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from beaver_actors.actors import desk
from beaver_actors.codec.wire_past import Wish
from beaver_actors.journal.board import Board, read_board
from beaver_actors.journal.disk import Disk, RealDisk
from beaver_actors.journal.folding import Folded
from beaver_actors.journal.past_child import arguments
from beaver_actors.journal.recovery import Recovered, open_journal
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.kernel.child import run_child
from beaver_actors.kernel.clock import Chance, wall_ms
from beaver_actors.kernel.garbage import tended
from beaver_actors.kernel.offload import Offload, threads
from beaver_actors.kernel.pace import Pace

BLOCKING_THREADS = 8
"""For history reads and figures together; the log has a thread of its own, and so have handlers."""


class OwnBoard(desk.Board, Protocol):
    """A board, as the one who opened it holds it."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class World:
    """What a process has around it."""

    disk: Disk
    """The data directory."""
    open_journal: Callable[[JournalSettings], Recovered]
    """Takes the data directory and brings back what is in it; blocking."""
    read_board: Callable[[], frozenset[int] | None]
    """The fences that an earlier process left on its board; None if nothing is known. Blocking."""
    open_board: Callable[[], OwnBoard]
    fold: Callable[[int, int], Awaitable[Folded]]
    """Has a snapshot made through an LSN, of which so many are kept, without holding up the loop."""
    look_back: Callable[[Wish], Awaitable[bytes]]
    """Answers a question about the past with a `PastReply` as JSON, without holding up the loop."""
    wall_ms: Callable[[], int]
    """The wall clock, milliseconds UTC; looked at once per life, and by those who reckon schedules."""
    offload: Offload
    write: Offload
    """For the log alone."""
    pace: Pace | None
    """Whether the log's calls are quick enough for the loop; None: they all go through `write`."""
    tended: Callable[[Callable[[], int]], AbstractContextManager[None]]
    """Keeps the garbage collector away from a backlog of so many jobs, while it is served."""
    chance: Chance
    name: str
    """Of this process among all that ever were: part of the worker ids on record."""


def real_world(data_dir: str, write: Offload) -> World:
    """The world of a server: this directory, this machine's clock, threads and child processes.

    Args:
        data_dir: the data directory.
        write: the thread in which the log is written.
    """
    disk = RealDisk(data_dir)
    # Absolute from here on: user code may change the working directory.
    board_path = Path(disk.place) / "running"
    return World(
        disk=disk,
        open_journal=partial(_open_uncollected, disk),
        read_board=lambda: read_board(board_path),
        open_board=lambda: Board(board_path),
        fold=partial(_fold_in_child, disk.place),
        look_back=partial(_look_back_in_child, disk.place),
        wall_ms=wall_ms,
        offload=threads(BLOCKING_THREADS),
        write=write,
        pace=Pace(time.perf_counter),
        tended=tended,
        chance=Chance(),
        name=f"{socket.gethostname()}:{os.getpid()}",
    )


def _open_uncollected(disk: Disk, settings: JournalSettings) -> Recovered:
    """Read everything back. With a million jobs the garbage collector would take longer than the reading, and
    what has been read stays for long: it is kept out of later collections."""
    if gc.get_freeze_count():
        # A life has failed. What it was made of goes first, or would be kept for good.
        gc.unfreeze()
        gc.collect()
    gc.disable()
    try:
        recovered = open_journal(disk, settings)
        gc.freeze()
    finally:
        gc.enable()
    return recovered


async def _fold_in_child(data_dir: str, through_lsn: int, keep: int) -> Folded:
    command = [sys.executable, "-m", "beaver_actors.journal.fold_child", "--data-dir", data_dir]
    answer = json.loads(await run_child([*command, "--through", str(through_lsn), "--keep", str(keep)]))
    return Folded(**{field: answer[field] for field in Folded._fields})


async def _look_back_in_child(data_dir: str, wish: Wish) -> bytes:
    return await run_child([sys.executable, *arguments(data_dir, wish)])
