"""A whole node with clients, held still: what the rules of `test_node_machine.py` do to it.

The server, its machine, its network and its clients are those of the simulation (`beaver_actors/testing`);
they run in a `Stepwise`, so that nothing moves, and no time passes, until a method here lets it. Nothing is
drawn here but from seeds that are handed in. What goes wrong is raised by the call that lets it happen.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from math import inf
from random import Random
from typing import NamedTuple

import trio

from beaver_actors.actors import publisher
from beaver_actors.client.new_jobs import NewJob
from beaver_actors.codec.wire_decode import Limits as WireLimits
from beaver_actors.config import Config
from beaver_actors.config.settings import Limits, Metrics, Retention, Snapshot, Wal, Workers
from beaver_actors.core import invariants
from beaver_actors.core.job import FINISHED, JobState
from beaver_actors.journal.recovery import open_journal
from beaver_actors.kernel.supervise import RESTARTS_MAX
from beaver_actors.node import life, settings
from beaver_actors.node.exits import Exit
from beaver_actors.testing.customer import Customer, Surroundings, Word
from beaver_actors.testing.determinism import Trace
from beaver_actors.testing.disk import CHANGES, ProcessDied
from beaver_actors.testing.fate import ROOM_BYTES, Plan, Steps
from beaver_actors.testing.machine import Death, Machine
from beaver_actors.testing.network import SimulatedNetwork
from beaver_actors.testing.oracle import Broken
from beaver_actors.testing.sabotage import Saboteur
from beaver_actors.testing.server import Server, leaves
from beaver_actors.testing.stepwise import Order, Stepwise

PATIENCE_SECONDS = 5.0
"""How long a rule waits for an answer, or for the server to get ready, before it goes on without."""
STOP_SECONDS = 300.0
"""Within which a server that was told to stop has stopped, whatever it does."""
DEATHS_MAX = 100
"""Of spared processes: each job that kills its process gets a few chances to."""
QUIET_SECONDS = 3 * 3600.0
"""Within which a server that is spared gets everything done."""
ROOM = {"roomy": (publisher.FACTS_KEPT, life.COMMITS_WAITING), "tight": (3, 1)}
"""Facts that the publisher keeps, and commits that may wait for it."""
RETENTIONS = {
    "for days": Retention(),
    "few": Retention(completed_count=3, dead_count=0),
    "shortly": Retention(completed_ms=3000, cancelled_ms=0, dead_ms=20_000),
}


class Setting(NamedTuple):
    """What a node is set to; the first of each is the plainest."""

    workers: int = 1
    grace_seconds: float = 30
    segment_bytes: int = 1 << 18
    appends_waiting: int = 4
    snapshot_seconds: float = 30
    snapshot_growth: float = 0.002
    snapshot_log_bytes: int = 1 << 20
    queue_jobs: int = 1000
    kept: str = "for days"
    publisher: str = "roomy"
    disk_seconds: float = 0.0
    network_seconds: float = 0.0

    def config(self) -> Config:
        """As the server reads it."""
        return Config(
            data_dir="simulated",
            workers=Workers(count=self.workers, grace_ms=round(self.grace_seconds * 1000)),
            wal=Wal(
                segment_bytes=self.segment_bytes,
                reserve_bytes=self.segment_bytes,
                mailbox=self.appends_waiting,
            ),
            snapshot=Snapshot(
                interval_ms=round(self.snapshot_seconds * 1000),
                min_growth=self.snapshot_growth,
                log_bytes=self.snapshot_log_bytes,
            ),
            metrics=Metrics(enabled=False),
            limits=Limits(pending_jobs=self.queue_jobs * 2, queue_jobs=self.queue_jobs),
            retention=RETENTIONS[self.kept],
        )


class Call:
    """Something that a client asks, and waits for."""

    def __init__(self, work: Callable[[], Awaitable[None]], open_calls: list[Call]) -> None:
        self.scope = trio.CancelScope()
        self.done = trio.Event()
        self._work = work
        self._open_calls = open_calls
        open_calls.append(self)

    async def make(self) -> None:
        """Ask, and wait for the answer."""
        with self.scope:
            await self._work()
        self.done.set()
        self._open_calls.remove(self)


class Watcher:
    """A client that follows all events, as long as it is told to."""

    def __init__(self, customer: Customer) -> None:
        self.customer = customer
        self.follows = False
        self._scope = trio.CancelScope()
        self._looks = trio.Event()
        self._looks.set()

    async def follow(self) -> None:
        """Take events from where it has come to, until `leave`."""
        self.follows = True
        with trio.CancelScope() as self._scope:
            async with self.customer.client.subscribe_events(self.customer.next_lsn) as events:
                self.customer.subscribed()
                while True:
                    await self._looks.wait()
                    for item in await events.batch():
                        self.customer.take(item)
        self.follows = False

    def leave(self) -> None:
        """Follow no more."""
        self._scope.cancel()

    def look_away(self) -> None:
        """Take nothing for a while."""
        if self._looks.is_set():
            self._looks = trio.Event()

    def look_again(self) -> None:
        """Go on taking."""
        self._looks.set()


class HeldNode:
    """One data directory, its processes, and everybody around them."""

    def __init__(self, setting: Setting, turns: int) -> None:
        self.server = Server(
            setting.config(),
            lambda opened: Machine(Random(turns), setting.disk_seconds, opened),
            lambda alive: SimulatedNetwork(Random(turns), setting.network_seconds, alive),
            Trace(),
        )
        self.machine = self.server.machine
        self.calls: list[Call] = []
        """Those that are open, oldest first."""
        self.failed = False
        """Whether something has gone wrong; then there is nothing left to check."""
        self._plans: list[Plan] = []
        self._strikes = 0
        self._orderly = False
        """Whether this process was told to stop."""
        self._storage_fails = False
        """Whether this process has met a fault of its disk that it may end of."""
        self._ended = trio.Event()
        self._ended.set()
        self._spared = False
        self._saboteur = Saboteur()
        self._steps = Steps()
        self._open = ExitStack()
        self._open.enter_context(self._saboteur.at_work())
        self._open.enter_context(_room(*ROOM[setting.publisher]))
        around, dice = self._surroundings(), Random(turns).random
        self.clients = [Customer(around, "a", "json", dice), Customer(around, "b", "cbor", dice)]
        eyes = [Customer(around, "x", "json", dice), Customer(around, "y", "cbor", dice)]
        self.watchers = [Watcher(customer) for customer in eyes]
        self._run = Stepwise(Order(turns), self.server.heard, [self._steps])
        for customer in (*self.clients, *eyes):
            self._run.start(partial(_stay, customer))

    def _surroundings(self) -> Surroundings:
        server = self.server
        limits = server.config.limits
        return Surroundings(
            network=server.network,
            oracle=server.oracle,
            history=server.history,
            trace=Trace(),
            defaults=settings.job_defaults(server.config, server.executor.app),
            limits=WireLimits(limits.message_bytes, limits.job_bytes, limits.batch_jobs),
        )

    # How things move.

    def go_on(self, steps: int) -> None:
        """For so many steps of tasks, or the few more that a turn of the loop takes."""
        self._moving(partial(self._run.run_steps, steps))

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._let(partial(trio.sleep, seconds))

    def _until(self, event: trio.Event, steps: int | None, seconds: float = PATIENCE_SECONDS) -> None:
        """Go on for so many steps; without a number, until something happens, or patience ends."""
        if steps is not None:
            return self.go_on(steps)

        async def wait() -> None:
            with trio.move_on_after(seconds):
                await event.wait()

        return self._let(wait)

    def _let(self, work: Callable[[], Awaitable[None]]) -> None:
        self._moving(partial(self._run.run, work))

    def _moving(self, move: Callable[[], None]) -> None:
        """Move, and tell plainly what has gone wrong."""
        try:
            move()
            if self.alive and not self.machine.alive:
                self._run.run(self._ended.wait)  # what is left of a dead process is of no interest
            if self.alive:
                invariants.check(self.server.state)
        except BaseException as error:
            self.failed = True
            found = list(leaves(error))
            raise next((leaf for leaf in found if isinstance(leaf, Broken)), found[0]) from error

    # The process.

    @property
    def alive(self) -> bool:
        """Whether a process runs."""
        return not self._ended.is_set()

    @property
    def serves(self) -> bool:
        """Whether a process runs and accepts clients."""
        return self.alive and self.server.ready.is_set()

    @property
    def troubled(self) -> bool:
        """Whether anything bad is planned for the process, or was done to its disk."""
        return bool(self._plans) or self._steps.planned or self.full or self.machine.fold_dies_at is not None

    def boot(self, steps: int | None = None) -> None:
        """Start a process."""
        self._ended, self._orderly, self._strikes = trio.Event(), False, 0
        self._storage_fails = self.machine.disk.capacity < ROOM_BYTES
        self.machine.on_call = self._disk_call
        self._run.start(self._process)
        self._let(trio.lowlevel.checkpoint)
        self._until(self.server.ready, steps)

    async def _process(self) -> None:
        server = self.server
        how = await server.run_process()
        self._plans.clear()
        self._steps.forget()
        self.machine.fold_dies_at = None
        server.network.server_died(silently=how == "power")
        assert not server.found, "; ".join(server.found)
        if isinstance(how, Exit):
            if how is Exit.DAMAGED:
                server.oracle.start_refused("its log says why", damaged=False)
            expected = self._expected()
            assert how in expected, f"the server ended with {how!r}, expected {expected}"
        self._ended.set()

    def _expected(self) -> set[Exit]:
        expected = {Exit.OK} if self._orderly else set()
        if self._storage_fails:
            expected |= {Exit.STORAGE, Exit.USAGE}
        if self._strikes > RESTARTS_MAX or (self._orderly and self._strikes):
            expected.add(Exit.ERROR)  # a life that fails while the server stops is not followed by another
        return expected

    def die(self, how: Death, luck: int) -> None:
        """The process is no more. `luck` decides what a power cut leaves; 0: nothing that was not synced."""
        self._draw_luck(luck)
        self.machine.die(how)
        self._until(self._ended, None, STOP_SECONDS)

    def die_in_call(self, number: int, how: Death, luck: int) -> None:
        """The process will die in the n-th disk call from now."""

        def die(kind: str, name: str) -> None:
            self._draw_luck(luck)
            self.machine.die(how)
            raise ProcessDied

        self._plans.append(Plan(number, CHANGES, die))

    def die_in_step(self, number: int, how: Death, luck: int) -> None:
        """The process will die before the n-th step of a task from now."""

        def die() -> None:
            self._draw_luck(luck)
            self.machine.die(how)

        self._steps.after(number, die)

    def _draw_luck(self, luck: int) -> None:
        self.machine.luck = Random(luck) if luck else None

    def stop(self, *, hurry: bool, steps: int | None) -> None:
        """Tell the process to stop."""
        self._orderly = True
        self.server.orders.drain.set()
        if hurry:
            self.server.orders.hurry.set()
        self._until(self._ended, steps, STOP_SECONDS)

    def fail(self, actor: str, which: int) -> bool:
        """Have one of the actors of this name fail; False if there is none."""
        struck = self._saboteur.strike(actor, Random(which))
        self._strikes += struck
        return struck

    # The disk.

    def _disk_call(self, number: int, kind: str, name: str) -> int | None:
        for plan in self._plans:
            plan.meet(kind, name)
        return None

    def break_disk(self, kinds: frozenset[str], number: int, luck: int, *, for_ever: bool) -> None:
        """The n-th call of these kinds will fail with an I/O error, or each from then on."""

        def fail(kind: str, name: str) -> None:
            self._storage_fails = True
            self.machine.disk.random = Random(luck) if luck else None
            if kind == "datasync" and name.endswith(".wal"):
                self.server.sync_fails()
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        self._plans.append(Plan(number, kinds, fail, for_ever))

    def fill_disk(self, left_bytes: int) -> None:
        """All but so many bytes are taken, until `make_room`."""
        disk = self.machine.disk
        disk.capacity -= max(0, disk.free_bytes() - left_bytes)
        self._storage_fails = (
            True  # beyond the reserve answers wait for room, and after a while the process ends
        )

    def make_room(self) -> None:
        """There is room again."""
        self.machine.disk.capacity = ROOM_BYTES

    @property
    def full(self) -> bool:
        """Whether the disk was filled."""
        return self.machine.disk.capacity < ROOM_BYTES

    def kill_fold(self, number: int) -> None:
        """The next process that folds a snapshot will be killed in its n-th disk call."""
        self.machine.fold_dies_at = number

    def look_at_disk(self, luck: int) -> None:
        """What if the power went now? A copy of the disk says, and life goes on."""
        copy = self.machine.disk.copy()
        copy.capacity, copy.fault = ROOM_BYTES, None
        copy.power_loss(Random(luck) if luck else None)
        try:
            recovered = open_journal(copy, settings.journal(self.server.config))
            self.server.oracle.check(recovered.state)
        except BaseException:
            self.failed = True
            raise

    # Those around it.

    def enqueue(self, client: int, jobs: Sequence[NewJob], steps: int | None) -> None:
        """A client asks for jobs."""
        self._ask(partial(self.clients[client].enqueue, jobs, inf), steps)

    def change(self, client: int, word: Word, job_ids: Sequence[str], steps: int | None) -> None:
        """A client cancels, retries or deletes jobs."""
        self._ask(partial(self.clients[client].change, word, job_ids, inf), steps)

    def pause(self, client: int, queue: str, steps: int | None) -> None:
        """A client pauses a queue."""
        self._ask(partial(self.clients[client].pause, queue, inf), steps)

    def look(self, client: int, steps: int | None) -> None:
        """A client has the newest jobs shown."""
        self._ask(partial(self.clients[client].look_around, inf), steps)

    def cancel_call(self) -> None:
        """The newest open call is cancelled by its caller."""
        self.calls[-1].scope.cancel()
        self._until(self.calls[-1].done, None)

    def _ask(self, work: Callable[[], Awaitable[None]], steps: int | None) -> None:
        call = Call(work, self.calls)
        self._run.start(call.make)
        self._until(call.done, steps)

    def watch(self, watcher: int) -> None:
        """Someone follows events from where it was, unless it does."""
        if not self.watchers[watcher].follows:
            self._run.start(self.watchers[watcher].follow)
            self.go_on(1)

    def break_connection(self, which: int, *, silently: bool) -> None:
        """One connection is cut, or goes silent."""
        self.server.network.random.seed(which)
        self.server.network.trouble(silently=silently)

    # The end.

    def see_it_done(self) -> None:
        """Spare the node from now on: every question gets its answer, every watcher every event, and every
        job is done."""
        if self.alive:
            self.die("kill", 0)
        self.make_room()
        deaths = 0
        while not self._spare():
            deaths += 1
            assert deaths < DEATHS_MAX, "the server dies again and again"
            if deaths == DEATHS_MAX // 2:
                # Under a short retention a job that kills, asked for again and again, is a new one each time.
                for call in self.calls:
                    call.scope.cancel()
        self.server.check_finished()

    def _spare(self) -> bool:
        """One process that is spared; returns whether everything was done."""
        self.boot()
        quiet = trio.Event()

        async def see() -> None:
            with trio.fail_after(QUIET_SECONDS):
                for call in list(self.calls):
                    await call.done.wait()
                for name, queue in self.server.state.queues.items():
                    if queue.paused:
                        await self.clients[0].resume(name)
                while not self._quiet():  # noqa: ASYNC110  # the server is not to know that it is watched
                    await trio.sleep(1)
            quiet.set()

        async def see_or_die() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_after, self._ended, nursery.cancel_scope)
                await see()
                nursery.cancel_scope.cancel()

        for watcher in self.watchers:
            watcher.look_again()
        self._let(see_or_die)
        if not quiet.is_set():
            return False
        self.stop(hurry=False, steps=None)
        assert self._ended.is_set(), "the server does not stop"
        return True

    def _quiet(self) -> bool:
        served, state = self.server.executor.kinds, self.server.state
        behind = any(watcher.follows and watcher.customer.next_lsn <= state.lsn for watcher in self.watchers)
        return (
            self.server.open
            and not behind
            and all(
                job.state in FINISHED or (job.state is JobState.PENDING and job.terms.kind not in served)
                for job in state.jobs.values()
            )
        )

    def close(self) -> None:
        """End everything, whatever state it is in."""
        with self._open:
            if self.machine.alive:
                self.machine.die("kill")
            try:
                self._run.close()
            except BaseException:
                if not self.failed:
                    raise


async def _stay(customer: Customer) -> None:
    async with trio.open_nursery() as nursery:
        await customer.begin(nursery)


async def _cancel_after(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


@contextmanager
def _room(facts_kept: int, commits_waiting: int) -> Iterator[None]:
    before = publisher.FACTS_KEPT, life.COMMITS_WAITING
    publisher.FACTS_KEPT, life.COMMITS_WAITING = facts_kept, commits_waiting
    try:
        yield
    finally:
        publisher.FACTS_KEPT, life.COMMITS_WAITING = before
