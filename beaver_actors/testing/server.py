"""A server on a simulated machine: the node of production, with ears in it.

Sockets aside, `node/serve.py` and all below it run unchanged. What is heard: each recovered state and each
attempt of a job, which the oracle and the history are told of, and errors in the log, which are findings
unless a simulation has inflicted them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import trio

from beaver_actors.actors.wal_writer import StorageFailed
from beaver_actors.config import Config
from beaver_actors.config.settings import Retention
from beaver_actors.core.answers import LeasedJob
from beaver_actors.core.outcome import Outcome, Succeeded
from beaver_actors.core.state import State
from beaver_actors.execute.control import Control
from beaver_actors.execute.executor import Executor, Stage
from beaver_actors.journal.errors import AppendRefused, NoSpace
from beaver_actors.journal.journal import FileJournal
from beaver_actors.journal.recovery import Recovered
from beaver_actors.journal.replay import replay
from beaver_actors.kernel.supervise import TooManyRestarts
from beaver_actors.node import settings
from beaver_actors.node.exits import Exit
from beaver_actors.node.life import Orders
from beaver_actors.node.serve import Doors, serve_in
from beaver_actors.node.world import World
from beaver_actors.server.auth import Auth
from beaver_actors.testing.determinism import Trace
from beaver_actors.testing.history import History
from beaver_actors.testing.history_check import Rules, check, explain
from beaver_actors.testing.load import simulated_app
from beaver_actors.testing.machine import Death, FoldDied, Machine
from beaver_actors.testing.network import SimulatedNetwork
from beaver_actors.testing.oracle import Broken, Oracle
from beaver_actors.testing.oracle_schedules import sent_job
from beaver_actors.testing.sabotage import ActorFailed

INFLICTED = (
    ActorFailed, FoldDied, StorageFailed, NoSpace, AppendRefused, TooManyRestarts, OSError, trio.Cancelled,
)  # fmt: skip
"""Errors that simulations cause."""


class Server:
    """One data directory, its machine, and the processes that serve it one after the other.

    Args:
        config: its settings; one directory keeps them.
        machine: made by `make_machine`, so that it tells what it opens.
        network: where its door is.
        trace: takes note of each start.
    """

    def __init__(
        self,
        config: Config,
        make_machine: Callable[[Callable[[Recovered], None]], Machine],
        make_network: Callable[[Callable[[], bool]], SimulatedNetwork],
        trace: Trace,
    ) -> None:
        self.config = config
        self.machine = machine = make_machine(self._opened)
        self.network = make_network(lambda: machine.alive)
        self.orders = Orders()
        self.ready = trio.Event()
        """Set once the process accepts clients."""
        self.state = State()
        """Of the latest life, as the job manager sees it."""
        self.lives = 0
        self.found: list[str] = []
        """Errors that the server told of and that nobody inflicted on it."""
        self.broken: Broken | None = None
        """A promise that was found broken where the node took it for a failure of its own."""
        self._trace = trace
        self._app = simulated_app(partial(machine.die, "kill"))
        self.history = History()
        """What customers and handlers tell; judged once everything is done."""
        self.executor = self._new_executor(Oracle())
        policy = settings.policy(config, self.executor.kinds, "")
        self.oracle = Oracle(policy, retention=config.retention != Retention())
        self._journal: FileJournal | None = None
        declared = settings.declared(config, self.executor.app, 0).schedules
        self.oracle.notes.schedules.update({one.schedule: one.plan for one in declared})
        self.oracle.notes.declared = frozenset(self.oracle.notes.schedules)

    async def run_process(self) -> Exit | Death:
        """Run one process to its end; returns how it ended."""
        self.orders, self.ready = Orders(), trio.Event()
        how: Exit | Death = await self.machine.run_process(self._serve)
        self._journal = None
        return how

    @property
    def open(self) -> bool:
        """Whether the present process has recovered, so that `state` is its own."""
        return self._journal is not None

    def sync_fails(self) -> None:
        """The sync of a commit is about to fail: from now on nobody may hear of anything new (P8)."""
        if self._journal is not None:
            self.oracle.sync_failed(self._journal.head)

    def check_finished(self) -> None:
        """After a quiet while and an orderly end, the disk holds everything, and it is done."""
        state = replay(self.machine.disk).state
        self.oracle.finished(state, self.machine.now_ms)
        notes = self.oracle.notes
        scheduled = {
            name: (sent_job(plan), plan.overlap == "cancel_old") for name, plan in notes.schedules.items()
        }
        rules = Rules(
            max_rescues=notes.policy.max_rescues,
            forgets=notes.retention,
            handlers=True,
            scheduled=scheduled,
        )
        violations = check(self.history, rules)
        if violations:
            raise Broken(violations[0].promise, None, explain(self.history, violations))

    def heard(self, record: logging.LogRecord) -> None:
        """The server logs an error: either one that was inflicted on it, or a finding. What has no exception
        with it is about the disk or the end, and the exit code tells of that."""
        error = record.exc_info[1] if record.exc_info else None
        if error and self.machine.alive and not any(isinstance(leaf, INFLICTED) for leaf in leaves(error)):
            self.found.append(f"{record.getMessage()}: {error!r}")
            broken = [leaf for leaf in leaves(error) if isinstance(leaf, Broken)]
            self.broken = self.broken or next(iter(broken), None)

    async def _serve(self, world: World) -> Exit:
        self.executor = self._new_executor(self.oracle)
        doors = Doors([self.network.listen()], ["simulated:7440"], [], [])
        return await serve_in(
            world,
            self.config,
            self.executor,
            doors,
            auth=Auth(None, (), loopback=False),
            ready=lambda _: self.ready.set(),
            orders=self.orders,
        )

    def _new_executor(self, oracle: Oracle) -> Executor:
        limits = settings.outcome_limits(self.config)
        ears = self.machine, oracle, self.history
        return WatchedExecutor(*ears, self._app, limits=limits, threads=1, processes=1)

    def _opened(self, recovered: Recovered) -> None:
        self.lives += 1
        self._trace.note("opened", recovered.report.head, recovered.report.torn_bytes)
        self.oracle.recovered(recovered.state)
        self.state, self._journal = recovered.state, recovered.journal


class WatchedExecutor(Executor):
    """The executor of production, whose attempts are told to the oracle and the history."""

    def __init__(
        self, machine: Machine, oracle: Oracle, history: History, *arguments: Any, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.machine = machine
        self.oracle = oracle
        self.history = history

    def stage(self) -> Stage:
        """Where a worker runs its attempts, all of them."""
        return WatchedStage(self)


class WatchedStage(Stage):
    """A stage whose attempts are heard as they begin and end."""

    __slots__ = ("_ears",)

    def __init__(self, executor: WatchedExecutor) -> None:
        super().__init__(executor)
        self._ears = executor

    async def __call__(
        self,
        job: LeasedJob,
        begin: Callable[[int, Control], None],
        progress: Callable[[LeasedJob, bytes], None],
    ) -> Outcome:
        """Run one attempt."""
        ears = self._ears
        begun = False

        def watched_begin(fence: int, control: Control) -> None:
            nonlocal begun
            begun = True
            ears.oracle.began(job.job_id, job.attempt, job.fence)
            ears.history.began(job.job_id, job.attempt, job.fence)
            begin(fence, control)

        outcome: Outcome | None = None
        try:
            outcome = await super().__call__(job, watched_begin, progress)
            return outcome
        finally:
            if begun and ears.machine.alive:
                ears.oracle.ended(job.job_id, job.fence, outcome)
                self._tell_end(job, outcome)

    def _tell_end(self, job: LeasedJob, outcome: Outcome | None) -> None:
        result = None
        if isinstance(outcome, Succeeded) and outcome.result is not None:
            result = json.loads(outcome.result)
        how = "cut off" if outcome is None else type(outcome).__name__.lower()
        self._ears.history.ended(job.job_id, job.fence, how, result)


def leaves(error: BaseException | None) -> Iterator[BaseException]:
    """The errors in a group, or the error itself."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    elif error is not None:
        yield error
