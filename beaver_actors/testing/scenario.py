"""A scenario: one seed, one data directory, many lives of a whole node, and everything that goes wrong.

From the seed are drawn the settings, the load, the schedule of every task, and the fate of each process. The
oracle listens all the time and is shown what each life recovers. The last process is spared: then everything
must get done. The fault model stands in the files that simulate: `disk.py`, `machine.py`, `network.py`, and
`sabotage.py`.
"""

from __future__ import annotations

from random import Random

import msgspec
import trio

from beaver_actors.client.rules import QueueOptions
from beaver_actors.codec.wire_decode import Limits as WireLimits
from beaver_actors.codec.wire_schedules import read_schedule
from beaver_actors.config import Config
from beaver_actors.config.settings import Fleet, Limits, Metrics, Retention, Snapshot, Wal, Workers
from beaver_actors.core.job import FINISHED, JobState
from beaver_actors.core.schedule import CATCH_UP, OVERLAP
from beaver_actors.node import settings
from beaver_actors.node.exits import Exit
from beaver_actors.testing.determinism import Trace, run_repeatably
from beaver_actors.testing.far_worker import Abroad, FarWorker
from beaver_actors.testing.fate import Fate, Steps
from beaver_actors.testing.load import QUEUES, Program, Stage
from beaver_actors.testing.machine import Death, Machine
from beaver_actors.testing.network import SimulatedNetwork
from beaver_actors.testing.oracle import Broken
from beaver_actors.testing.oracle_checks import waits_for_another
from beaver_actors.testing.report import Report
from beaver_actors.testing.sabotage import Saboteur
from beaver_actors.testing.server import Server, leaves

QUIET_SECONDS = 3 * 3600.0
"""Simulated time within which the spared process must get everything done."""


class ScenarioFailed(AssertionError):
    """A promise is broken, or the node did what it must not. Names the seed."""


def simulate(seed: int, trace: Trace | None = None) -> Report:
    """Run the scenario of a seed.

    Raises:
        ScenarioFailed: with the seed, the life and the promise.
    """
    scenario = Scenario(seed, trace or Trace())
    try:
        run_repeatably(seed, scenario.run, [scenario.steps], scenario.server.heard)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        cause = _telling(error)
        where = f"seed {seed}, process {scenario.processes}"
        raise ScenarioFailed(f"{where}: {type(cause).__name__}: {cause}") from error
    scenario.trace.note("steps", scenario.steps.count)
    return scenario.report


def _telling(error: BaseException) -> BaseException:
    """The error that tells most of a group: a broken promise if there is one."""
    found = list(leaves(error))
    return next((leaf for leaf in found if isinstance(leaf, Broken)), found[0])


class Scenario:
    """One seed."""

    def __init__(self, seed: int, trace: Trace) -> None:
        self.random = random = Random(seed)
        self.trace = trace
        self.report = Report(scenarios=1)
        self.steps = Steps()
        self.processes = 0
        disk, network = Random(random.getrandbits(64)), Random(random.getrandbits(64))
        disk_seconds = random.choice((0.0, 0.0, 0.005, 0.3))
        delay_seconds = random.choice((0.0, 0.01, 0.5))
        self.server = Server(
            _with_schedule(_draw_config(random), Random(seed + SCHEDULE_SEEDS)),
            lambda opened: Machine(disk, disk_seconds, opened),
            lambda alive: SimulatedNetwork(network, delay_seconds, alive),
            trace,
        )
        self._saboteur = Saboteur()
        self._doomed = random.randint(3, 60)
        self._far_workers = random.choice((0, 0, 1, 2, 3))
        self.server.oracle.notes.fleet = self._far_workers > 0
        self._abroad = Abroad(
            settings.outcome_limits(self.server.config),
            self.server.config.fleet.lease_ms / 1000,
            lambda: list(self.server.state.in_flight.values()) if self.server.open else (),
            lambda: self.server.lives,
            lambda: self.server.machine.latest_ms,
            self.report.remote,
        )
        self._done_producing = trio.Event()

    async def run(self) -> None:
        """All processes, and what clients do meanwhile."""
        stage = self._stage()
        with self._saboteur.at_work():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._produce, stage)
                for number in range(self.random.randint(0, 2)):
                    nursery.start_soon(Program(stage, 100 + number).watch)
                for number in range(self._far_workers):
                    nursery.start_soon(FarWorker(stage, number, self._abroad).live)
                for _ in range(self._doomed):
                    await self._one_process(spared=False)
                stage.closing = True
                # There may be jobs left that kill their process.
                while await self._one_process(spared=True) != Exit.OK:
                    pass
                self.server.check_finished()
                nursery.cancel_scope.cancel()
        self._tell(stage)

    def _stage(self) -> Stage:
        server, limits = self.server, self.server.config.limits
        asked = [read_schedule("asked", fields) for fields in server.config.schedules.values()]
        return Stage(
            random=self.random,
            network=server.network,
            oracle=server.oracle,
            trace=self.trace,
            defaults=settings.job_defaults(server.config, server.executor.app),
            limits=WireLimits(limits.message_bytes, limits.job_bytes, limits.batch_jobs),
            known=[],
            history=server.history,
            schedules=asked,
            rules=_draw_rules(Random(self.random.getrandbits(64))),
            sweeps=Random(self.random.getrandbits(64)).random() < 0.5,
            killers=self.random.choice((0, 0, 1, 2)),
        )

    async def _produce(self, stage: Stage) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(self.random.randint(1, 3)):
                nursery.start_soon(Program(stage, number).produce, self.random.randint(3, 4 * self._doomed))
        self._done_producing.set()

    async def _one_process(self, *, spared: bool) -> Exit | Death:
        self.processes += 1
        server, report = self.server, self.report
        fate = Fate(self.random, server, self._saboteur, self.steps, report, self.trace)
        async with trio.open_nursery() as nursery:
            if spared:
                nursery.start_soon(self._see_it_done)
            else:
                nursery.start_soon(self._suffer, fate)
            how = await server.run_process()
            nursery.cancel_scope.cancel()
        fate.over()
        self.trace.note("process", self.processes, str(how), trio.current_time(), self.steps.count)
        server.network.server_died(silently=how == "power" or self.random.random() < 0.1)
        if server.broken is not None:
            raise server.broken
        assert not server.found, "; ".join(server.found)
        if not isinstance(how, Exit):
            report.deaths[how] += 1
        else:
            report.deaths[f"exit {how.name}"] += 1
            if how is Exit.DAMAGED:
                server.oracle.start_refused("its log says why", damaged=False)
            assert how in fate.expected, f"the server ended with {how!r}, expected {fate.expected}"
        if not spared:
            await trio.sleep(self.random.choice((0.0, 0.0, 0.0, 1.0, 20.0)))
        return how

    async def _suffer(self, fate: Fate) -> None:
        async with trio.open_nursery() as nursery:
            fate.draw(nursery)

    async def _see_it_done(self) -> None:
        """Stop the server in order once there is nothing left to do."""
        up_since = trio.current_time()
        with trio.fail_after(QUIET_SECONDS):
            await self._done_producing.wait()
            while not self._quiet():  # the server is not to know that it is watched
                await trio.sleep(1)
                self._abroad.check(up_since)
        self.server.orders.drain.set()

    def _quiet(self) -> bool:
        served, state = self.server.executor.kinds, self.server.state
        return self.server.open and all(
            job.state in FINISHED
            or (job.state is JobState.PENDING and job.terms.kind not in served)
            or (job.state is JobState.BLOCKED and waits_for_another(job, state))
            for job in state.jobs.values()
        )

    def _tell(self, stage: Stage) -> None:
        report, state, machine = self.report, self.server.state, self.server.machine
        report.lives = self.server.lives
        report.jobs, report.answers = len(stage.known), stage.answers
        report.facts, report.snapshots = state.lsn, machine.folds
        report.faults["fold died"] += machine.folds_died
        report.ends.update(state.totals.died)
        report.ends.update(completed=state.totals.completed, cancelled=state.totals.cancelled)
        report.steps, report.simulated_seconds = self.steps.count, trio.current_time()
        self.trace.note("end", state.lsn, trio.current_time())


KEYED = {"unique_key": "k", "concurrency_key": "k"}
"""Keys that jobs which programs send have, too."""
SCHEDULE_SEEDS = 1 << 40
"""Schedules are drawn for themselves: seeds without one bring what they always brought."""


def _draw_rules(random: Random) -> QueueOptions:
    """Limits of the one queue that has some; mostly none."""
    return random.choice(
        (
            QueueOptions(),
            QueueOptions(),
            QueueOptions(concurrency=2),
            QueueOptions(key_concurrency=1, rate="20/1s"),
            QueueOptions(concurrency=3, key_concurrency=1, ageing=5),
        )
    )


def _with_schedule(config: Config, random: Random) -> Config:
    """The configuration, now and then with schedules: one that it declares, and one that programs ask for."""
    if random.random() >= 0.4:
        return config
    schedule = {
        "every": random.choice((5, 7, 20)),
        "kind": "work",
        "args": {"n": 1, "ms": random.choice((0, 400))},
        "queue": random.choice(QUEUES),
        "catch_up": random.choice(CATCH_UP),
        "overlap": random.choice(OVERLAP),
    }
    schedule |= random.choice(({}, {}, KEYED, KEYED | {"on_conflict": "replace"}, {"expires_in": 20}))
    return msgspec.structs.replace(config, schedules={"told": schedule})


SHORT = Retention(completed_ms=3000, cancelled_ms=0, dead_ms=20_000)
FEW = Retention(completed_count=3, dead_count=0)


def _draw_config(random: Random) -> Config:
    """Small files and short times, so that everything happens often."""
    segment_bytes = random.choice((4096, 16_384, 1 << 16))
    return Config(
        data_dir="simulated",
        workers=Workers(count=random.choice((1, 2, 4, 8)), grace_ms=random.choice((0, 1000, 30_000))),
        fleet=Fleet(lease_ms=random.choice((2_000, 10_000, 60_000)), heartbeat_ms=500),
        wal=Wal(
            segment_bytes=segment_bytes,
            reserve_bytes=segment_bytes * random.choice((1, 4)),
            mailbox=random.choice((1, 4)),
        ),
        snapshot=Snapshot(
            interval_ms=random.choice((500, 5000, 30_000)),
            min_growth=random.choice((0.0, 0.002)),  # a fair share of nothing is 4 KiB then
            log_bytes=random.choice((4096, 1 << 20)),
        ),
        metrics=Metrics(enabled=False),
        # A traceback names files by their path: where the checkout lies would decide how long the log is.
        limits=Limits(
            pending_jobs=random.choice((10, 1000)), queue_jobs=random.choice((10, 1000)), traceback_chars=0
        ),
        retention=random.choice((Retention(), Retention(), FEW, SHORT)),
    )
