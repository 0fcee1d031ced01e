"""Fate: what befalls one process of a simulated server, drawn from chance.

How it ends (by a death in one of its steps or disk calls, by the clock, or in order), and what it suffers
until then: a disk that fails or is full, single actors that fail, connections that break or go silent, a fold
process that is killed, a wall clock that jumps.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TypeAlias

import trio

from beaver_actors.node.exits import Exit
from beaver_actors.testing.determinism import Trace
from beaver_actors.testing.disk import CHANGES, ProcessDied
from beaver_actors.testing.machine import Death
from beaver_actors.testing.report import Report
from beaver_actors.testing.sabotage import ACTORS, Saboteur
from beaver_actors.testing.server import Server

ROOM_BYTES = 1 << 30
"""The size of a disk that is not full."""
SHORT_WRITES = 0.002
"""The share of writes that the disk takes only a part of."""

ENDS = ("step",) * 4 + ("call",) * 4 + ("time",) * 2 + ("drain", "hurry")
"""Of processes: in a step of some task, in a disk call, by the clock, in order, in a hurry."""

Call: TypeAlias = Callable[[str, str], None]
"""Something that happens in a disk call of a kind, on a name; may raise in its place."""


@dataclass(slots=True)
class Plan:
    """Something that happens in the n-th disk call of these kinds, or in each from then on."""

    left: int
    kinds: frozenset[str]
    then: Call
    again: bool = False

    def meet(self, kind: str, name: str) -> None:
        """A call is made."""
        if kind in self.kinds:
            self.left -= 1
            if self.left == 0 or (self.again and self.left < 0):
                self.then(kind, name)


class Steps(trio.abc.Instrument):
    """Counts the steps of all tasks, and does something before one of them."""

    def __init__(self) -> None:
        self.count = 0
        self._at = -1
        self._then: Callable[[], None] = lambda: None

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Called by Trio."""
        self.count += 1
        if self.count == self._at:
            self._then()

    def after(self, steps: int, then: Callable[[], None]) -> None:
        """Do something before the n-th step from now."""
        self._at, self._then = self.count + steps, then

    @property
    def planned(self) -> bool:
        """Whether something will be done."""
        return self._at > self.count

    def forget(self) -> None:
        """Do nothing, after all."""
        self._at = -1


class Fate:
    """Of one process. Made before it starts.

    Args:
        random: what is drawn from.
        server: whose process.
        saboteur: lets actors fail.
        steps: counts the steps of tasks.
        report, trace: take note of everything that is inflicted.
    """

    def __init__(
        self, random: Random, server: Server, saboteur: Saboteur, steps: Steps, report: Report, trace: Trace
    ) -> None:
        self._random = random
        self._server = server
        self._saboteur = saboteur
        self._steps = steps
        self._report = report
        self._trace = trace
        self._plans: list[Plan] = []
        self.expected = {Exit.OK}
        """Exit codes that are no surprise after what has happened."""
        server.machine.on_call = self._disk_call

    def draw(self, nursery: trio.Nursery) -> None:
        """Draw an end and some troubles; those that happen by the clock run in the nursery."""
        random, machine = self._random, self._server.machine
        death: Death = random.choice(("kill", "power"))
        die, orders = partial(machine.die, death), self._server.orders
        nursery.start_soon(_later, random.choice((2.0, 2.0, 20.0)), die)  # at the latest
        match random.choice(ENDS):
            case "step":
                self._steps.after(_log_uniform(random, 1, 8000), die)
            case "call":
                self._plans.append(
                    Plan(_log_uniform(random, 1, 300), CHANGES, partial(self._die_in_call, death))
                )
            case "time":
                nursery.start_soon(_later, random.expovariate(0.5), die)
            case "drain":
                nursery.start_soon(_later, random.expovariate(0.5), orders.drain.set)
            case "hurry":
                nursery.start_soon(_later, random.expovariate(0.5), orders.drain.set)
                nursery.start_soon(_later, random.expovariate(0.5), orders.hurry.set)
        for inflict in (self._fill_disk, self._fail_actors, self._trouble_network):
            if random.random() < 0.2:
                nursery.start_soon(inflict)
        if random.random() < 0.2:
            self._break_disk()
        if random.random() < 0.2:
            machine.fold_dies_at = random.randint(1, 12)
        if random.random() < 0.1:
            self._count("clock jump")
            machine.wall_offset_ms += random.choice((-86_400_000, -5000, 5000, 3_600_000))

    def over(self) -> None:
        """The process has ended: its troubles have, too."""
        self._steps.forget()
        self._server.machine.fold_dies_at = None
        self._server.machine.disk.capacity = ROOM_BYTES

    def _break_disk(self) -> None:
        """One call, or every one from then on, fails with an I/O error: the process must end (P8)."""
        kinds = self._random.choice((frozenset({"datasync"}), frozenset({"write_at"}), CHANGES))
        number, for_ever = _log_uniform(self._random, 1, 200), self._random.random() < 0.5

        def fail(kind: str, name: str) -> None:
            self._count("EIO")
            self.expected |= {Exit.STORAGE, Exit.USAGE}
            if kind == "datasync" and name.endswith(".wal"):
                self._server.sync_fails()
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        self._plans.append(Plan(number, kinds, fail, for_ever))

    async def _fill_disk(self) -> None:
        """The disk is full for a while, down to the last byte (P7)."""
        disk, random = self._server.machine.disk, self._random
        await trio.sleep(random.expovariate(0.5))
        self._count("full disk")
        # Beyond the reserve answers wait for room, and after a while the process ends.
        self.expected.add(Exit.STORAGE)
        if self._server.machine.alive:
            disk.capacity -= max(0, disk.free_bytes() - random.choice((0, 0, 100, 5000)))
            await trio.sleep(random.choice((1.0, 10.0, 50.0)))
        disk.capacity = ROOM_BYTES

    async def _fail_actors(self) -> None:
        """Single actors fail, some of them several times (one for one, one for all)."""
        random = self._random
        for _ in range(random.choice((1, 1, 3, 8))):
            await trio.sleep(random.expovariate(1))
            name = random.choice(list(ACTORS))
            if self._saboteur.strike(name, random):
                self._count(f"{name} failed")
                # More than five in a minute is more than the node puts up with.
                self.expected.add(Exit.ERROR)

    async def _trouble_network(self) -> None:
        """Connections break, or go silent."""
        random = self._random
        while True:
            await trio.sleep(random.expovariate(1))
            silently = random.random() < 0.3
            self._count("silence" if silently else "cut")
            self._server.network.trouble(silently=silently)

    def _disk_call(self, number: int, kind: str, name: str) -> int | None:
        """Each call that changes something on the disk comes by here."""
        self._report.disk_calls += 1
        self._trace.note(kind, name)
        for plan in self._plans:
            plan.meet(kind, name)
        if kind == "write_at" and self._random.random() < SHORT_WRITES:
            self._count("short write")
            return self._random.randint(1, 700)
        return None

    def _die_in_call(self, death: Death, kind: str, name: str) -> None:
        self._server.machine.die(death)
        raise ProcessDied

    def _count(self, trouble: str) -> None:
        self._report.faults[trouble] += 1
        self._trace.note(trouble)


async def _later(seconds: float, then: Callable[[], None]) -> None:
    await trio.sleep(seconds)
    then()


def _log_uniform(random: Random, low: int, high: int) -> int:
    """A whole number, as likely small as large."""
    share: float = random.random()
    return round(low * math.pow(high / low, share))
