"""A worker on another machine in a simulation: the ledger, the uplink and the hands of the worker program on
a simulated network, with processes of their own that are killed, frozen, stopped in order, and lie.

It runs on the simulation's one loop: what the program has in a thread is a task here, and the calls between
the two are made at once. Frozen means that nothing arrives or leaves; its handlers go on, which is worse for
those who must refuse what comes late. What a dead process does on its way out is told to nobody."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import trio
from msgspec import Raw

from beaver_actors.client.core import SUBPROTOCOLS
from beaver_actors.codec.wire_times import parse_time_ms
from beaver_actors.codec.wire_worker_messages import HeartbeatRequest, ReportRequest
from beaver_actors.codec.wire_worker_objects import LeasedJobObject, ProgressObject, ReportObject
from beaver_actors.core.answers import LeasedJob
from beaver_actors.core.job import Job
from beaver_actors.core.outcome import Outcome, Succeeded
from beaver_actors.core.workers import Registration
from beaver_actors.execute.control import Control
from beaver_actors.execute.executor import Executor
from beaver_actors.execute.outcomes import Limits
from beaver_actors.remote.hands import Hands
from beaver_actors.remote.uplink import Uplink
from beaver_actors.testing.customer import URL, SimulatedOpener
from beaver_actors.testing.load import Stage, simulated_app
from beaver_actors.testing.oracle import Broken

SLACK_SECONDS = 5.0
"""For delays of a network, and whoever was waited for."""
ENDS = ("kill", "kill", "leave", "hurry", "last")


class Here:
    """A loop that is the caller's own: calls are made at once."""

    def run_sync_soon(self, call: Callable[..., None], /, *arguments: Any) -> None:
        """Call it."""
        call(*arguments)


@dataclass(slots=True)
class Abroad:
    """What is known of all workers on other machines, to hold the server's leases against.

    Args:
        limits: how much of an outcome is kept.
        lease_seconds: of the server.
        in_flight: the jobs that the server has given out, while it is up; to be lied about.
        life: the number of its present life.
        latest_ms: the latest that its clock has been, in any life.
        done: counts what workers do.
    """

    limits: Limits
    lease_seconds: float
    in_flight: Callable[[], Iterable[Job]]
    life: Callable[[], int]
    latest_ms: Callable[[], int]
    done: Counter[str]
    ended: dict[str, float] = field(default_factory=dict)
    """When each worker process that has ended did so."""

    def check(self, up_since: float) -> None:
        """No job is left with a worker that is long gone. `up_since`: when the server was last started."""
        now = trio.current_time()
        for job in self.in_flight():
            trail = job.trail
            gone = None if trail is None else self.ended.get(trail.worker_id or "")
            if gone is not None and now > max(gone, up_since) + self.lease_seconds + SLACK_SECONDS:
                raise Broken("P3", job.id, f"is still with a worker that was last there at {gone:g} s")


class FarWorker:
    """One machine, and the worker processes on it, one after the other.

    Args:
        number: tells it from the others.
        abroad: what all of them share.
    """

    def __init__(self, stage: Stage, number: int, abroad: Abroad) -> None:
        self._stage = stage
        self._abroad = abroad
        self._name = f"far{number}"
        self._random = Random(stage.random.getrandbits(64))
        self._starts = 0

    async def live(self) -> None:
        """Run processes until cancelled."""
        while True:
            self._starts += 1
            worker_id = f"{self._name}:{self._starts}"
            await _Process(self._stage, worker_id, self._random, self._abroad).run()
            self._abroad.ended[worker_id] = trio.current_time()
            await trio.sleep(self._random.choice((0.1, 1.0, 20.0)))


class _Process:
    """One worker process."""

    def __init__(self, stage: Stage, worker_id: str, random: Random, abroad: Abroad) -> None:
        self.alive = True
        self.abroad = abroad
        self._stage = stage
        self._random = random
        self._worker_id = worker_id
        self._scope = trio.CancelScope()
        self._thawed = trio.Event()
        self._thawed.set()
        self._ended = trio.Event()
        self._connections: list[tuple[float, int]] = []
        """When each connection was made, and to which life of the server."""
        self._executor = FarExecutor(self, stage, abroad.limits)
        self._hands = Ears(self._executor, random.choice((1, 2, 4)), self, self._fail)
        queues = random.choice((None, (("default", 2), ("mail", 1), ("low", 1)), (("mail", 1),)))
        slots = random.choice((1, 2, 4, 6))
        registration = Registration(worker_id, self._executor.kinds, queues, slots, "far", 1, "simulated")
        opener = FrozenOpener(
            URL,
            SUBPROTOCOLS["json"],
            None,
            None,
            10.0,
            stage.network,
            lambda: None,
            lambda: self._thawed,
            lambda: self._connections.append((trio.current_time(), abroad.life())),
        )
        self._uplink = Uplink(opener, registration, self._hands, Here(), lambda _: None, random.random)
        self._ledger = self._uplink.ledger
        self._hands.told = self._lost

    async def run(self) -> None:
        """From its start to its end, however that comes."""
        stage, random = self._stage, self._random
        end = "last" if stage.closing else random.choice(ENDS)
        with self._scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._executor.run)
                nursery.start_soon(self._hands.run)
                nursery.start_soon(self._connect)
                nursery.start_soon(self._misbehave)
                if end == "last":
                    await trio.sleep_forever()
                await trio.sleep(random.expovariate(1 / 40))
                if end == "kill":
                    self.die()
                await self._leave(hurry=end == "hurry")
                nursery.cancel_scope.cancel()
        self.alive = False
        self.abroad.done["too late"] += self._ledger.lost_count

    def die(self) -> None:
        """It is killed."""
        self.abroad.done["killed"] += self.alive
        self.alive = False
        self._scope.cancel()

    def report(self, report: ReportObject) -> None:
        """An attempt has ended."""
        self._uplink.report(report)

    def progress(self, word: ProgressObject) -> None:
        """How far an attempt is."""
        self._uplink.progress(word)

    async def _connect(self) -> None:
        await self._uplink.serve(Here())
        self._ended.set()

    async def _leave(self, *, hurry: bool) -> None:
        self._uplink.ready(0)
        self._hands.close()
        with trio.move_on_after(0 if hurry else 30):
            await self._hands.wait_quiet()
        self._hands.release_all()
        with trio.move_on_after(5):
            await self._hands.wait_quiet()
        self._uplink.close()
        await self._ended.wait()

    async def _misbehave(self) -> None:
        """Freeze now and then, and lie."""
        random = self._random
        while not self._stage.closing:
            await trio.sleep(random.expovariate(1 / 8))
            if random.random() < 0.3:
                self._thawed = trio.Event()
                self.abroad.done["frozen"] += 1
                await trio.sleep(random.choice((1.0, 8.0, 90.0)))
                self._thawed.set()
            elif self._stage.known:
                self._lie()

    def _lie(self) -> None:
        """Report, and claim to hold, what belongs to others or never was. If any of it is believed, a job is
        completed with a result that no handler gave."""
        random, ledger = self._random, self._ledger
        # A lease is its own once it is granted, also while it is on its way here.
        running = [(job, job.trail) for job in self.abroad.in_flight() if job.trail is not None]
        granted = {job.fence for job, trail in running if trail.worker_id == self._worker_id}
        own = ledger.fences()
        others = [(job.id, job.fence) for job, _ in running if job.fence not in granted.union(own)]
        job_id, fence = str(random.choice(self._stage.known).id), random.randint(1, 10_000)
        if others and random.random() < 0.8:
            job_id, fence = random.choice(others)
        if fence in granted.union(own) or not ledger.registered:
            return
        self.abroad.done["lies"] += 1
        lie = ReportObject(job_id=job_id, fence=fence, outcome="succeeded", result=Raw(b'"a lie"'))
        word = ProgressObject(job_id=job_id, fence=fence, progress=Raw(b'"a lie"'))
        self._uplink.say(ReportRequest(id="", reports=[lie, lie], progress=[word]))
        self._uplink.say(HeartbeatRequest(id="", fences=[*own, fence]))

    def _lost(self, jobs: Iterable[LeasedJob]) -> None:
        """The server has given up leases of this worker. It must have been silent for the whole of one; but a
        job whose deadline has come is taken earlier, and the wall clock, which may jump between two lives,
        says when that is. What was heard last may have been said by an earlier life, and long on its way."""
        heard_at = self._uplink.heard_at
        if self.abroad.life() not in {life for at, life in self._connections if at <= heard_at}:
            return
        silent = trio.current_time() - heard_at
        latest_ms = self.abroad.latest_ms()
        for job in jobs:
            deadline_ms = self._hands.deadlines.get(job.fence)
            overdue = deadline_ms is not None and deadline_ms <= latest_ms
            if not overdue and silent < self.abroad.lease_seconds - SLACK_SECONDS:
                text = f"was taken from {self._worker_id}, which was heard {silent:g} s before"
                raise Broken("P4", job.job_id, text)

    def _fail(self, error: Exception) -> None:
        raise AssertionError(f"the worker {self._worker_id} failed: {error!r}") from error


@dataclass(frozen=True, slots=True)
class FrozenOpener(SimulatedOpener):
    """Opens connections over which nothing comes or goes while their process is frozen."""

    thawed: Callable[[], trio.Event]
    connected: Callable[[], None]

    async def _stream(self) -> trio.abc.Stream:
        stream = await SimulatedOpener._stream(self)
        self.connected()
        return FrozenStream(stream, self.thawed)


class FrozenStream(trio.abc.Stream):
    """A stream of a process that may be frozen."""

    def __init__(self, stream: trio.abc.Stream, thawed: Callable[[], trio.Event]) -> None:
        self._stream = stream
        self._thawed = thawed

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, once it is not frozen."""
        await self._thawed().wait()
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Not asked for by anyone."""
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive, once it is not frozen."""
        data = await self._stream.receive_some(max_bytes)
        await self._thawed().wait()
        return data

    async def aclose(self) -> None:
        """Close it."""
        await self._stream.aclose()


class Ears(Hands):
    """Hands that tell which jobs were lost, and know when each was due."""

    told: Callable[[Iterable[LeasedJob]], None]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.deadlines: dict[int, int] = {}
        """By fence, in milliseconds UTC of the server's clock; those without a timeout have none."""

    def leased(self, jobs: list[LeasedJobObject]) -> None:
        """These are to be run."""
        self.deadlines.update(
            (job.fence, parse_time_ms(job.deadline)) for job in jobs if job.deadline is not None
        )
        super().leased(jobs)

    def lost(self, fences: Iterable[int]) -> None:
        """These are no longer ours."""
        gone = frozenset(fences)
        self.told([job for job in self.held if job.fence in gone])
        super().lost(gone)


class FarExecutor(Executor):
    """The executor of the worker program, whose attempts are told to the oracle and the history."""

    def __init__(self, process: _Process, stage: Stage, limits: Limits) -> None:
        super().__init__(simulated_app(process.die), limits=limits, threads=1, processes=1)
        self._process = process
        self._stage = stage

    async def __call__(
        self, job: LeasedJob, begin: Callable[[Control], None], progress: Callable[[bytes], None]
    ) -> Outcome:
        """Run one attempt."""
        oracle, history, begun = self._stage.oracle, self._stage.history, False

        def watched_begin(control: Control) -> None:
            nonlocal begun
            begun = True
            self._process.abroad.done["attempts"] += 1
            oracle.began(job.job_id, job.attempt, job.fence, remote=True)
            history.began(job.job_id, job.attempt, job.fence, remote=True)
            begin(control)

        outcome: Outcome | None = None
        try:
            outcome = await super().__call__(job, watched_begin, progress)
            return outcome
        finally:
            if begun and self._process.alive:
                oracle.ended(job.job_id, job.fence, outcome)
                result = None
                if isinstance(outcome, Succeeded) and outcome.result is not None:
                    result = json.loads(outcome.result)
                how = "cut off" if outcome is None else type(outcome).__name__.lower()
                history.ended(job.job_id, job.fence, how, result)
