"""The simulated machine: what a server process stands on, and what is left of it when the process dies.

It keeps the disk and the board from one process to the next, and it is how processes die here: `die` takes
effect at once, in the middle of whatever runs. Nothing that a dead process does on its way out, in `finally`
blocks or under shields, reaches the disk, the network, or anyone who watches.

What it models beside the disk: a board that a kill leaves and a power cut may take; disk calls that take
time, so that other tasks run before their result is seen; a wall clock that jumps between lives, also back;
the process that folds snapshots, dying by itself.

What it does not model: threads and worker processes for user code (handlers are async), and a fold process
whose disk calls interleave with the server's: it does its work between two steps of the server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from random import Random
from typing import Literal, TypeAlias, TypeVar

import msgspec
import trio

from beaver_actors.codec.wire_past import Wish
from beaver_actors.journal.folding import Folded, fold_snapshot
from beaver_actors.journal.past_replies import past_reply
from beaver_actors.journal.recovery import Recovered, open_journal
from beaver_actors.journal.settings import JournalSettings
from beaver_actors.kernel.clock import Chance
from beaver_actors.node.world import World
from beaver_actors.testing.disk import SimulatedDisk

R = TypeVar("R")
Death: TypeAlias = Literal["kill", "power"]

START_MS = 1_800_000_000_000
"""What the wall clock says as a simulation begins."""


class FoldDied(Exception):
    """The process that folds a snapshot was killed."""


class Machine:
    """One computer.

    Args:
        random: draws what a power cut leaves, and how long disk calls take.
        disk_seconds: the longest that blocking work takes; 0 for none.
        opened: told of each recovered journal, before anything is done with it.
    """

    def __init__(self, random: Random, disk_seconds: float, opened: Callable[[Recovered], None]) -> None:
        self.random = random
        self.luck: Random | None = random
        """Draws what a power cut leaves; None: nothing that was not synced."""
        self.disk = SimulatedDisk()
        self.alive = False
        """Whether a process runs."""
        self.wall_offset_ms = 0
        """By how much the wall clock is off."""
        self._offset_max_ms = 0
        self.on_call: Callable[[int, str, str], int | None] | None = None
        """Called before each disk call of the process that changes something: may fail it."""
        self.fold_dies_at: int | None = None
        """In which of its disk calls the next fold is killed; None for not at all."""
        self.folds = self.folds_died = 0
        """Snapshots that were made, and attempts that were killed half-way."""
        self._opened = opened
        self._disk_seconds = disk_seconds
        self._scope = trio.CancelScope()
        self._death: Death | None = None
        self._board: dict[int, None] | None = None
        self._starts = 0

    @property
    def now_ms(self) -> int:
        """What the wall clock says."""
        return START_MS + round(trio.current_time() * 1000) + self.wall_offset_ms

    @property
    def latest_ms(self) -> int:
        """The latest that any process so far can have read from the wall clock."""
        return self.now_ms - self.wall_offset_ms + self._offset_max_ms

    async def run_process(self, main: Callable[[World], Awaitable[R]]) -> R | Death:
        """Run a process; returns what it returns, or how it died."""
        self.alive, self._death = True, None
        self._starts += 1
        self.disk.fault = self.on_call
        code: R | None = None
        with trio.CancelScope() as self._scope:
            try:
                code = await main(self._world())
            except BaseException:
                if self.alive:
                    raise
        self.alive = False
        death = self._cause_of_death()
        if death == "power":
            self.disk.power_loss(self.luck)
            self._lose_board()
        else:
            self.disk.kill()
        if death is None:
            assert code is not None, "a process ended without a word"
            return code
        return death

    def _cause_of_death(self) -> Death | None:
        return self._death

    def die(self, how: Death) -> None:
        """The process is no more, from this very moment on."""
        if self.alive:
            self.alive = False
            self._death = how
            self.disk.dead = True
            self._scope.cancel()

    def _world(self) -> World:
        return World(
            disk=self.disk,
            open_journal=self._open_journal,
            read_board=lambda: None if self._board is None else frozenset(self._board),
            open_board=self._open_board,
            fold=self._fold,
            look_back=self._look_back,
            wall_ms=self._look_at_wall,
            offload=self._offload,
            write=self._offload,
            pace=None,
            tended=lambda _: nullcontext(),
            chance=Chance(self.random.getrandbits(64)),
            name=f"machine:{self._starts}",
        )

    def _look_at_wall(self) -> int:
        self._offset_max_ms = max(self._offset_max_ms, self.wall_offset_ms)
        return self.now_ms

    def _open_journal(self, settings: JournalSettings) -> Recovered:
        recovered = open_journal(self.disk, settings)
        self._opened(recovered)
        return recovered

    def _open_board(self) -> SimulatedBoard:
        self._board = {}
        return SimulatedBoard(self, self._board)

    def _lose_board(self) -> None:
        """The board is never synced: it may be gone, or lack what was written last."""
        if self.luck is None:
            self._board = None
        elif self._board is not None:
            kept = [fence for fence in self._board if self.luck.random() < 0.5]
            self._board = self.luck.choice([None, {}, dict.fromkeys(kept), self._board])

    async def _offload(self, work: Callable[[], R]) -> R:
        """Blocking work: it is done at one moment, and its result is known some time later."""
        await trio.lowlevel.checkpoint()
        with trio.CancelScope(shield=True):
            await self._take_time()
            result: R
            try:
                result = work()
            finally:
                await self._take_time()
        return result

    async def _take_time(self) -> None:
        if self._disk_seconds and self.random.random() < 0.3:
            await trio.sleep(self.random.random() * self._disk_seconds)
        else:
            await trio.lowlevel.checkpoint()

    async def _look_back(self, wish: Wish) -> bytes:
        await self._take_time()
        return msgspec.json.encode(past_reply(self.disk, wish, self.now_ms))

    async def _fold(self, through_lsn: int, keep: int) -> Folded:
        await self._take_time()
        last_call, self.fold_dies_at = self.fold_dies_at, None
        before, calls = self.disk.fault, 0

        def die_half_way(number: int, kind: str, name: str) -> int | None:
            nonlocal calls
            calls += 1
            if calls == last_call:
                self.folds_died += 1
                raise FoldDied
            return before(number, kind, name) if before else None

        if last_call is not None:
            self.disk.fault = die_half_way
        try:
            folded = fold_snapshot(self.disk, through_lsn, keep, f"fold{self._starts}")
        finally:
            if not self.disk.dead:
                self.disk.fault = before
        self.folds += 1
        await self._take_time()
        return folded


class SimulatedBoard:
    """A board whose stores reach it while the process lives."""

    def __init__(self, machine: Machine, fences: dict[int, None]) -> None:
        self._machine = machine
        self._fences = fences

    def begin(self, fence: int) -> None:
        """The attempt under this fence begins."""
        if self._machine.alive:
            self._fences[fence] = None

    def end(self, fence: int) -> None:
        """The attempt under this fence is over."""
        if self._machine.alive:
            self._fences.pop(fence, None)

    def close(self) -> None:
        """What is on it stays."""
