"""The fleet among the real actors, on a clock that jumps: leases, their end, restarts, liars."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from beaver_actors.actors.fleet import (
    Deregister,
    Heartbeat,
    Left,
    ListWorkers,
    Message,
    Outcomes,
    Ready,
    Register,
)
from beaver_actors.actors.fleet_leases import draw_turns
from beaver_actors.core.answers import Finished, LeasedJob, Refused, Status
from beaver_actors.core.commands import Cancel, Count, Progress, Report
from beaver_actors.core.fold import fold
from beaver_actors.core.job import JobError, JobState
from beaver_actors.core.outcome import Failed, Outcome, Released, Succeeded
from beaver_actors.core.state import State
from beaver_actors.core.workers import Registration, Standing, Welcome
from tests.actors.world import MemoryLog, World, running

LEASE = 60.0
SILENCE = 37.5
SUCCEEDED = Succeeded(b"1")


class Far:
    """A worker on another machine, as the fleet sees it: what it is told, and what it says."""

    def __init__(self, world: World, name: str = "far", kinds: tuple[str, ...] = ("remote",)) -> None:
        self.world = world
        self.registration = Registration(name, frozenset(kinds))
        self.jobs: list[LeasedJob] = []
        self.told: list[Standing] = []
        self._came = trio.lowlevel.ParkingLot()

    def lease(self, jobs: tuple[LeasedJob, ...]) -> None:
        self.jobs += jobs
        self._came.unpark_all()

    def notice(self, standing: Standing) -> None:
        self.told.append(standing)

    async def tell(self, message: Message) -> None:
        assert self.world.access is not None
        await self.world.access.fleet.tell(message)

    async def register(self, slots: int = 0, fences: tuple[int, ...] = (), **changes: Any) -> Standing:
        self.registration = self.registration._replace(slots=slots, **changes)
        message = Register(self.registration, self, fences)
        await self.tell(message)
        answer = await message.reply.wait()
        assert isinstance(answer, Welcome), answer
        return answer.standing

    async def ready(self, slots: int) -> None:
        message = Ready(self.registration.worker_id, self, slots)
        await self.tell(message)
        assert isinstance(await message.reply.wait(), Standing)

    async def beat(self, *fences: int) -> Standing | Refused:
        message = Heartbeat(self.registration.worker_id, self, fences)
        await self.tell(message)
        return await message.reply.wait()

    async def report(self, *reports: Report, progress: tuple[Progress, ...] = ()) -> Finished | Refused:
        message = Outcomes(self.registration.worker_id, self, reports, progress)
        await self.tell(message)
        return await message.reply.wait()

    async def finish(self, job: LeasedJob, outcome: Outcome = SUCCEEDED) -> bool:
        answer = await self.report(Report(job.job_id, job.fence, outcome))
        assert isinstance(answer, Finished), answer
        return answer.accepted == (True,)

    async def leave(self) -> None:
        await self.tell(Left(self.registration.worker_id, self))

    async def say_goodbye(self) -> None:
        message = Deregister(self.registration.worker_id, self)
        await self.tell(message)
        await message.reply.wait()

    async def take(self, count: int) -> list[LeasedJob]:
        """Wait until so many jobs have come, and take them."""
        with trio.fail_after(1000):
            while len(self.jobs) < count:
                await self._came.park()
        taken, self.jobs = self.jobs, []
        return taken


async def show(world: World) -> dict[str, str]:
    assert world.access is not None
    listing = ListWorkers()
    await world.access.fleet.tell(listing)
    return {view.registration.worker_id: view.state for view in await listing.reply.wait()}


@asynccontextmanager
async def one_job_out(*, slots: int = 1, **options: Any) -> AsyncIterator[tuple[World, Far, LeasedJob]]:
    """A worker that holds one job."""
    async with running() as world:
        far = Far(world)
        await far.register(slots)
        await world.enqueue("a", kind="remote", **options)
        (job,) = await far.take(1)
        yield world, far, job


async def test_a_worker_gets_what_it_asks_for_and_reports(autojump_clock: MockClock) -> None:
    """P2, P4: as many as it can hold, each on record before it comes; a report makes room for the next."""
    async with running() as world:
        far = Far(world)
        await far.register()
        await world.enqueue("a", "b", "c", kind="remote")
        await trio.sleep(1)
        assert far.jobs == []
        await far.ready(2)
        a, b = await far.take(2)
        assert world.kinds()[-2:] == ["JobStarted", "JobStarted"]
        await trio.sleep(1)
        assert far.jobs == []
        assert await far.finish(a)
        (c,) = await far.take(1)
        assert [job.job_id for job in (a, b, c)] == ["a", "b", "c"]
        assert await far.finish(b)
        assert await far.finish(c, Failed(JobError("E", "no")))
        job = await world.show("a")
        assert (job.state, job.result, job.worker_id) == (JobState.COMPLETED, b"1", "far")


async def test_kinds_of_connected_workers_are_served(autojump_clock: MockClock) -> None:
    """P11: what nobody can run says so; no longer once somebody can, and again when all have left."""
    async with running() as world:
        await world.enqueue("a", kind="remote")
        assert (await world.show("a")).waits_for == "unknown_kind"
        far = Far(world)
        await far.register()
        assert (await world.show("a")).waits_for == "turn"
        status = await world.ask(Count())
        assert isinstance(status, Status)
        assert status.unknown_kinds == {}
        await far.leave()
        await wait_all_tasks_blocked()
        assert (await world.show("a")).waits_for == "unknown_kind"
        await world.enqueue("b", kind="work")
        await world.until("b", JobState.COMPLETED)


async def test_a_lease_that_is_renewed_lasts(autojump_clock: MockClock) -> None:
    """P4: as long as heartbeats name it, however long the job takes."""
    async with one_job_out() as (world, far, job):
        for _ in range(20):
            await trio.sleep(LEASE / 4)
            assert await far.beat(job.fence) == Standing()
        assert await far.finish(job)
        assert (await world.show("a")).attempt == 1


async def test_a_lease_that_runs_out_uses_a_rescue(autojump_clock: MockClock) -> None:
    """P4, P12: the job runs elsewhere; the late result changes nothing and is told the new fence."""
    async with one_job_out() as (world, far, job):
        await far.ready(0)
        began = trio.current_time()
        await world.until("a", JobState.PENDING)
        assert trio.current_time() - began == pytest.approx(LEASE, abs=0.1)
        assert far.told[-1] == Standing(lost=(job.fence,))
        other = Far(world, "other")
        await other.register(1)
        (again,) = await other.take(1)
        answer = await far.report(Report("a", job.fence, Succeeded(b"2")))
        assert isinstance(answer, Finished)
        assert (answer.accepted, answer.fences) == ((False,), (again.fence,))
        assert await other.finish(again)
        view = await world.show("a")
        assert (view.result, view.attempt, view.rescues) == (b"1", 2, 1)
        assert view.errors[0].type == "WorkerDied"
        assert "lease ran out" in view.errors[0].message
        assert world.watcher.lost_count == 1


async def test_a_worker_whose_leases_keep_running_out_is_poisoned_by_one_job(
    autojump_clock: MockClock,
) -> None:
    """P12: the third time is the last."""
    async with one_job_out() as (world, far, _):
        for _ in range(3):
            await trio.sleep(LEASE)
            await far.beat()
        view = await world.until("a", JobState.DEAD)
        assert (view.reason, view.rescues) == ("poison", 3)


async def test_a_worker_that_comes_back_in_time_resumes(autojump_clock: MockClock) -> None:
    """P4: over a new connection, under the same id."""
    async with one_job_out() as (world, far, job):
        await far.leave()
        await wait_all_tasks_blocked()
        assert await show(world) == {"far": "suspect"}
        await trio.sleep(LEASE - 1)
        again = Far(world)
        assert await again.register(1, (job.fence,)) == Standing()
        await trio.sleep(LEASE - 1)
        assert await again.finish(job)
        assert (await world.show("a")).rescues == 0


async def test_the_old_connection_is_told_that_it_is_no_longer_the_workers(
    autojump_clock: MockClock,
) -> None:
    """P4: whatever it says changes nothing."""
    async with one_job_out() as (_, far, job):
        again = Far(far.world)
        await again.register(1, (job.fence,))
        refused = await far.report(Report("a", job.fence, Succeeded(b"2")))
        assert isinstance(refused, Refused)
        assert refused.code == "conflict"
        assert isinstance(await far.beat(job.fence), Refused)
        assert await again.finish(job)


async def test_a_suspect_gets_no_more_jobs(autojump_clock: MockClock) -> None:
    """P4: neither one without a connection, nor one that has missed two heartbeats."""
    async with running() as world:
        far, silent, alive = Far(world, "gone"), Far(world, "silent"), Far(world, "alive")
        for worker in (far, silent, alive):
            await worker.register(10)
        await far.leave()
        await trio.sleep(SILENCE - 1)
        await alive.beat()
        await trio.sleep(2)
        assert await show(world) == {"gone": "suspect", "silent": "suspect", "alive": "ready"}
        await world.enqueue("a", "b", "c", kind="remote")
        await alive.take(3)
        assert far.jobs == silent.jobs == []
        assert world.kinds().count("JobReleased") == 0


async def test_what_a_worker_does_not_want_any_more_is_not_leased_for_it(autojump_clock: MockClock) -> None:
    """P11: the lease that waited for it is taken back before any job comes."""
    async with running() as world:
        far = Far(world)
        await far.register(5)
        await trio.sleep(1)
        await far.ready(2)
        await trio.sleep(1)
        await world.enqueue("a", "b", "c", kind="remote")
        await trio.sleep(1)
        assert [job.job_id for job in far.jobs] == ["a", "b"]
        await far.register(3, tuple(job.fence for job in far.jobs), kinds=frozenset({"other"}))
        await trio.sleep(1)
        assert len(far.jobs) == 2


async def test_a_worker_that_says_goodbye_gives_its_jobs_back(autojump_clock: MockClock) -> None:
    """P4: at once, and without using an attempt."""
    async with one_job_out() as (world, far, _):
        await far.say_goodbye()
        view = await world.until("a", JobState.PENDING)
        assert (view.attempt, view.rescues) == (0, 0)
        assert await show(world) == {}


async def test_a_worker_may_hand_a_job_back(autojump_clock: MockClock) -> None:
    """P4: released, it goes to the next."""
    async with one_job_out() as (world, far, job):
        await far.ready(0)
        assert await far.finish(job, Released())
        assert (await world.show("a")).attempt == 0


async def test_a_job_that_is_cancelled_elsewhere_is_asked_to_stop(autojump_clock: MockClock) -> None:
    """P3: pushed at once, repeated by heartbeats."""
    async with one_job_out() as (world, far, job):
        await world.ask(Cancel(("a",)))
        await wait_all_tasks_blocked()
        assert far.told == [Standing(cancel=(job.fence,))]
        assert await far.beat(job.fence) == Standing(cancel=(job.fence,))
        await far.finish(job, Failed(JobError("E", "stopped")))
        assert (await world.show("a")).state is JobState.CANCELLED


async def test_a_cancelled_job_whose_worker_is_gone_is_cancelled(autojump_clock: MockClock) -> None:
    """P3: when its lease ends, not put back."""
    async with one_job_out() as (world, far, _):
        await far.leave()
        await world.ask(Cancel(("a",)))
        assert (await world.until("a", JobState.CANCELLED)).rescues == 0


async def test_a_job_past_its_timeout_is_warned_of_and_then_taken(autojump_clock: MockClock) -> None:
    """P4: the worker has the grace; afterwards the attempt counts as failed, and its result comes too
    late."""
    async with one_job_out(timeout_ms=5_000) as (world, far, job):
        await trio.sleep(6)
        assert far.told == [Standing(overdue=(job.fence,))]
        await far.beat(job.fence)
        await trio.sleep(10)
        assert far.told[-1] == Standing(lost=(job.fence,))
        assert not await far.finish(job)
        view = await world.show("a")
        assert [error.type for error in view.errors] == ["Timeout"]


@pytest.mark.parametrize("lie", ["another's job", "an unknown fence", "another's fence for another job"])
async def test_a_worker_that_lies_changes_nothing(lie: str, autojump_clock: MockClock) -> None:
    """P4: not the state, and not the leases."""
    async with one_job_out() as (world, honest, job):
        liar = Far(world, "liar")
        await liar.register()
        await world.enqueue("b", kind="remote")
        job_id = "b" if lie == "another's fence for another job" else "a"
        fence = 999 if lie == "an unknown fence" else job.fence
        facts = len(world.log.facts)
        said = Report(job_id, fence, Succeeded(b"9"))
        answer = await liar.report(said, progress=(Progress(job_id, fence, b"99"),))
        assert isinstance(answer, Finished)
        assert answer.accepted == (False,)
        assert len(world.log.facts) == facts
        assert await honest.finish(job)
        assert (await world.show("a")).result == b"1"


async def test_what_is_reported_twice_counts_once(autojump_clock: MockClock) -> None:
    """P4, P5: the same again is told as recorded, another outcome as lost."""
    async with one_job_out() as (world, far, job):
        assert await far.finish(job)
        facts = len(world.log.facts)
        assert await far.finish(job)
        assert not await far.finish(job, Succeeded(b"2"))
        assert len(world.log.facts) == facts


async def test_a_lease_named_by_another_worker_is_not_renewed(autojump_clock: MockClock) -> None:
    """P4: a liar cannot keep the job of another from running out."""
    async with one_job_out() as (world, _, job):
        liar = Far(world, "liar")
        await liar.register(0, (job.fence,))
        assert await liar.beat(job.fence) == Standing(lost=(job.fence,))
        await trio.sleep(LEASE / 2)
        await liar.beat(job.fence)
        await trio.sleep(LEASE / 2 + 1)
        assert (await world.show("a")).rescues == 1


async def test_too_many_workers_are_refused(autojump_clock: MockClock) -> None:
    """P11: with a time to come back; one that is known may always return."""
    async with running(workers_max=1) as world:
        far, other = Far(world), Far(world, "other")
        await far.register()
        message = Register(other.registration, other, ())
        await other.tell(message)
        answer = await message.reply.wait()
        assert isinstance(answer, Refused)
        assert (answer.code, answer.retry_after_ms) == ("overloaded", 1_000)
        await far.register()


async def test_leases_stand_over_a_restart(autojump_clock: MockClock) -> None:
    """P4: the next life waits a full lease time; the worker resumes, and what never came back is rescued."""
    log = MemoryLog()
    async with running(log=log, drain=False) as world:
        far = Far(world)
        await far.register(2)
        await world.enqueue("a", "b", kind="remote")
        a, b = await far.take(2)
        await trio.sleep(LEASE - 1)
    state = State()
    for fact in log.facts:
        fold(state, fact)
    async with running(log=log, state=state) as world:
        assert await show(world) == {"far": "suspect"}
        assert (await world.show("a")).waits_for is None
        await trio.sleep(LEASE - 1)
        far = Far(world)
        assert await far.register(0, (a.fence,)) == Standing()
        view = await world.until("b", JobState.PENDING)
        assert (view.attempt, view.rescues) == (0, 0), "it was lost on its way: nobody is to blame"
        assert await far.finish(a)
        assert (await world.show("a")).attempt == 1
        assert not await far.finish(b)


async def test_a_draining_node_leaves_remote_jobs_where_they_are(autojump_clock: MockClock) -> None:
    """P4: it leases nothing more, hears reports to the last, and the rest is for the next life."""
    log = MemoryLog()
    async with running(log=log) as world:
        far = Far(world)
        await far.register(3)
        await world.enqueue("a", "b", kind="remote")
        a, _ = await far.take(2)
        world.orders.drain.set()
        assert await far.finish(a)
    assert [type(fact).__name__ for fact in log.facts].count("JobReleased") == 0
    state = State()
    for fact in log.facts:
        fold(state, fact)
    assert state.jobs["b"].state is JobState.IN_FLIGHT


async def test_weights_decide_how_often_a_queue_gets_a_turn(autojump_clock: MockClock) -> None:
    """P11: three to one, even where one job is leased at a time."""
    async with running() as world:
        far = Far(world)
        await far.register(1, queues=(("mail", 3), ("bulk", 1)))
        for queue in ("mail", "bulk", "elsewhere"):
            await world.enqueue(*(f"{queue}-{number}" for number in range(100)), kind="remote", queue=queue)
        taken: Counter[str] = Counter()
        for _ in range(100):
            (job,) = await far.take(1)
            taken[job.terms.queue] += 1
            await far.finish(job)
        assert set(taken) == {"mail", "bulk"}
        assert 60 <= taken["mail"] <= 90


def test_turns_are_drawn_by_weight() -> None:
    """P11: each queue as often as its weight says, in an order by chance; with equal weights none is
    drawn."""
    dice = Random(1).random
    turns = [draw_turns((("a", 3), ("b", 1)), dice) for _ in range(1000)]
    assert {Counter(drawn)["a"] for drawn in turns} == {3}
    firsts = Counter(drawn[0] for drawn in turns)
    assert 700 <= firsts["a"] <= 800
    assert draw_turns((("a", 2), ("b", 2)), dice) == ()
