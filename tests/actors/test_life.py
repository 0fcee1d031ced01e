"""A whole life: jobs run, stop, come back; actors fail alone or together; the node drains."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from beaver_actors.actors import publisher
from beaver_actors.actors.controller import REPORTS_BYTES_MAX, Settings, snapshot_due
from beaver_actors.actors.publisher import Chunk
from beaver_actors.actors.wal_writer import StorageFailed
from beaver_actors.core.answers import Changed, LeasedJob, Refused
from beaver_actors.core.commands import Cancel, Enqueue, NewJob, Pause, Policy, Resume
from beaver_actors.core.facts import JobCancelled, JobCompleted, JobReleased, JobStarted
from beaver_actors.core.invariants import check
from beaver_actors.core.job import JobError, JobState, Terms
from beaver_actors.core.outcome import Crashed, Failed, Outcome, Rejected, Snoozed, Succeeded
from tests.actors.world import MemoryLog, running

COMPLETED, DEAD, CANCELLED = JobState.COMPLETED, JobState.DEAD, JobState.CANCELLED

MIB = 1024 * 1024


async def test_an_enqueued_job_runs_and_its_result_is_recorded_once(autojump_clock: MockClock) -> None:
    """P1, P2, P4: by reading the log after the answer."""
    async with running() as world:
        await world.enqueue("a")
        job = await world.until("a", COMPLETED)
        assert job.result == b"1"
        assert job.attempt == 1
    assert world.kinds() == ["JobEnqueued", "JobStarted", "JobCompleted"]
    check(world.state)


async def test_no_job_begins_before_its_lease_is_in_the_log(autojump_clock: MockClock) -> None:
    """P2: the script looks into the log at the moment it is run."""
    seen: list[bool] = []

    async def look(job: LeasedJob) -> Outcome:
        fact = world.log.facts[job.fence - 1]
        seen.append(isinstance(fact, JobStarted) and fact.job_id == job.job_id)
        return Succeeded()

    async with running(look) as world:
        await world.enqueue(*(f"j{number}" for number in range(20)))
        await world.until("j19", COMPLETED)
    assert seen == [True] * 20


async def test_large_results_that_come_together_are_recorded_in_small_commits(
    autojump_clock: MockClock,
) -> None:
    """P7, P11: a hundred results of a megabyte at one moment, by reading what each commit was given."""
    megabyte = b'"' + b"x" * (1024 * 1024 - 2) + b'"'
    all_at_once = trio.Event()

    async def wait(job: LeasedJob) -> Outcome:
        if len(world.began) == 100:
            all_at_once.set()
        await all_at_once.wait()
        return Succeeded(megabyte)

    async with running(wait, workers=100) as world:
        await world.enqueue(*(f"j{number}" for number in range(100)))
        with trio.fail_after(60):
            for number in range(100):
                await world.until(f"j{number}", COMPLETED)
    sizes = []
    first = 0
    for count in world.log.commits:
        facts = world.log.facts[first : first + count]
        sizes.append(sum(len(fact.result or b"") for fact in facts if isinstance(fact, JobCompleted)))
        first += count
    assert sum(sizes) == 100 * len(megabyte)
    assert max(sizes) <= REPORTS_BYTES_MAX
    assert len([size for size in sizes if size]) == 13  # twelve full ones, and one with four


async def test_an_answer_to_enqueue_leaves_after_the_sync(autojump_clock: MockClock) -> None:
    """P1: the log holds the job when the answer comes."""
    async with running(workers=1) as world:
        answer = await world.enqueue("a", "b")
        assert answer.lsn <= world.log.head
        assert world.kinds()[:2] == ["JobEnqueued", "JobEnqueued"]


async def test_jobs_run_as_many_at_a_time_as_there_are_workers(autojump_clock: MockClock) -> None:
    now, most = 0, 0

    async def work(job: LeasedJob) -> Outcome:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await trio.sleep(1)
        now -= 1
        return Succeeded()

    async with running(work, workers=3) as world:
        await world.enqueue(*(f"j{number}" for number in range(9)))
        for number in range(9):
            await world.until(f"j{number}", COMPLETED)
    assert most == 3


async def test_a_failed_job_is_tried_again_after_its_back_off_and_dies_in_the_end(
    autojump_clock: MockClock,
) -> None:
    async def fail(job: LeasedJob) -> Outcome:
        return Failed(JobError("ValueError", "no", "trace"))

    async with running(fail) as world:
        await world.enqueue("a", max_attempts=3)
        job = await world.until("a", DEAD)
        assert job.reason == "max_attempts"
        assert [error.attempt for error in job.errors] == [1, 2, 3]
    assert world.kinds().count("JobStarted") == 3


async def test_a_delayed_job_runs_to_the_millisecond_though_the_controller_slept(
    autojump_clock: MockClock,
) -> None:
    began: list[float] = []

    async def work(job: LeasedJob) -> Outcome:
        began.append(trio.current_time())
        return Succeeded()

    async with running(work) as world:
        await trio.sleep(10.123)
        start = trio.current_time()
        await world.enqueue("a", delay_ms=345)
        await world.until("a", COMPLETED)
    assert began == [pytest.approx(start + 0.345, abs=0.002)]


async def test_cancelling_a_running_job_cancels_its_handler(autojump_clock: MockClock) -> None:
    async def work(job: LeasedJob) -> Outcome:
        await trio.sleep_forever()
        raise AssertionError("unreachable")

    async with running(work) as world:
        await world.enqueue("a")
        await world.until("a", JobState.IN_FLIGHT)
        answer = await world.ask(Cancel(("a",)))
        assert isinstance(answer, Changed)
        assert answer.changes[0].changed
        await world.until("a", CANCELLED)
    assert world.kinds()[-2:] == ["JobCancelRequested", "JobCancelled"]


async def test_a_job_cancelled_while_in_hand_stops_when_it_begins(autojump_clock: MockClock) -> None:
    async def work(job: LeasedJob) -> Outcome:
        await trio.sleep(0.5)
        return Succeeded()

    async with running(work, workers=1, ahead_max=4) as world:
        for number in range(12):
            await world.enqueue(f"warm{number}")
        await world.until("warm0", COMPLETED)
        await world.ask(Cancel(tuple(f"warm{number}" for number in range(12))))
        for number in range(1, 12):
            await world.until(f"warm{number}", CANCELLED, COMPLETED)
    completed = [fact for fact in world.log.facts if isinstance(fact, JobCompleted)]
    cancelled = [fact for fact in world.log.facts if isinstance(fact, JobCancelled)]
    assert len(completed) + len(cancelled) == 12
    assert len(completed) <= 2


async def test_a_snoozed_job_comes_back_without_using_an_attempt(autojump_clock: MockClock) -> None:
    async def work(job: LeasedJob) -> Outcome:
        return Snoozed(5_000) if len(world.began) < 4 else Succeeded()

    async with running(work) as world:
        await world.enqueue("a", max_attempts=1)
        job = await world.until("a", COMPLETED, DEAD)
        assert (job.state, job.attempt) == (COMPLETED, 1)


async def test_a_rejected_job_dies_at_once(autojump_clock: MockClock) -> None:
    async def work(job: LeasedJob) -> Outcome:
        return Rejected(JobError("Reject", "useless"))

    async with running(work) as world:
        await world.enqueue("a")
        assert (await world.until("a", DEAD)).reason == "rejected"


async def test_a_job_that_keeps_killing_its_worker_is_poison_and_its_neighbours_are_not(
    autojump_clock: MockClock,
) -> None:
    """P12: the worker of one kind of job dies each time."""

    async def work(job: LeasedJob) -> Outcome:
        await trio.sleep(0.01)
        return Crashed(JobError("WorkerDied", "boom")) if job.job_id == "bad" else Succeeded()

    async with running(work, workers=4) as world:
        await world.enqueue("bad", *(f"good{number}" for number in range(20)))
        assert (await world.until("bad", DEAD)).reason == "poison"
        for number in range(20):
            assert (await world.until(f"good{number}", COMPLETED, DEAD)).state is COMPLETED


async def test_a_worker_that_fails_alone_is_restarted_and_its_job_runs_again(
    autojump_clock: MockClock,
) -> None:
    """Supervision, one for one: an exception that is a bug of ours, not of the job."""

    async def work(job: LeasedJob) -> Outcome:
        if len(world.began) == 1:
            raise RuntimeError("a bug in the worker")
        return Succeeded()

    async with running(work, workers=1) as world:
        await world.enqueue("a")
        job = await world.until("a", COMPLETED)
        assert (job.rescues, job.attempt) == (1, 2)
    assert world.watcher.restarts == ["worker 0"]


async def test_a_job_of_an_unknown_kind_waits_and_says_why(autojump_clock: MockClock) -> None:
    async with running() as world:
        await world.enqueue("a", kind="mystery")
        await world.enqueue("b")
        await world.until("b", COMPLETED)
        job = await world.show("a")
        assert (job.state, job.waits_for) == (JobState.PENDING, "unknown_kind")


async def test_a_paused_queue_starts_nothing_until_it_is_resumed(autojump_clock: MockClock) -> None:
    async with running() as world:
        await world.ask(Pause("default"))
        await world.enqueue("a")
        await trio.sleep(5)
        assert (await world.show("a")).waits_for == "queue_paused"
        await world.ask(Resume("default"))
        await world.until("a", COMPLETED)


async def test_a_drain_lets_running_jobs_finish_within_the_grace(autojump_clock: MockClock) -> None:
    async def work(job: LeasedJob) -> Outcome:
        await trio.sleep(5)
        return Succeeded()

    async with running(work, grace=10) as world:
        await world.enqueue("a", "b", "c")
        await world.until("a", JobState.IN_FLIGHT)
    assert world.kinds().count("JobCompleted") == 2
    assert world.state.jobs["c"].state is JobState.PENDING
    check(world.state)


async def test_a_drain_takes_unfinished_jobs_back_without_using_an_attempt(autojump_clock: MockClock) -> None:
    async def work(job: LeasedJob) -> Outcome:
        await trio.sleep(1000)
        return Succeeded()

    async with running(work, grace=10) as world:
        await world.enqueue("a")
        await world.until("a", JobState.IN_FLIGHT)
        began = trio.current_time()
    assert trio.current_time() - began == pytest.approx(10, abs=0.1)
    job = world.state.jobs["a"]
    assert (job.state, job.attempt, job.rescues) == (JobState.PENDING, 0, 0)
    assert isinstance(world.log.facts[-1], JobReleased)


async def test_a_second_signal_takes_running_jobs_back_at_once(autojump_clock: MockClock) -> None:
    async def work(job: LeasedJob) -> Outcome:
        await trio.sleep(1000)
        return Succeeded()

    async with running(work, grace=100) as world:
        await world.enqueue("a")
        await world.until("a", JobState.IN_FLIGHT)
        world.orders.drain.set()
        await trio.sleep(1)
        world.orders.hurry.set()
        began = trio.current_time()
    assert trio.current_time() - began < 1
    assert world.state.jobs["a"].state is JobState.PENDING


async def test_leased_jobs_that_no_worker_begins_go_back(autojump_clock: MockClock) -> None:
    """P12: short jobs teach the controller to lease ahead, then long ones come."""

    async def work(job: LeasedJob) -> Outcome:
        await trio.sleep(0.0001 if job.job_id.startswith("short") else 30)
        return Succeeded()

    async with running(work, workers=2, ahead_max=50) as world:
        await world.enqueue(*(f"short{number}" for number in range(500)))
        await world.until("short499", COMPLETED)
        await world.enqueue(*(f"long{number}" for number in range(10)))
        await trio.sleep(10)
        held = [job for job in world.state.jobs.values() if job.state is JobState.IN_FLIGHT]
        assert len(held) == 2
    assert world.state.totals.rescued == 0


async def test_a_full_disk_refuses_new_jobs_and_records_outcomes(autojump_clock: MockClock) -> None:
    """P7, in the actors: the journal says that there is room for outcomes only."""

    async def work(job: LeasedJob) -> Outcome:
        await trio.sleep(5)
        return Succeeded()

    async with running(work) as world:
        await world.enqueue("a")
        await world.until("a", JobState.IN_FLIGHT)
        world.full = True
        answer = await world.ask(Enqueue((NewJob("b", Terms("work"), b"{}"),)))
        assert isinstance(answer, Refused)
        assert answer.code == "storage_full"
        await world.until("a", COMPLETED)
        world.full = False
        await world.enqueue("b")
        await world.until("b", COMPLETED)


async def test_a_failed_sync_answers_nobody_and_ends_the_life(autojump_clock: MockClock) -> None:
    """P8, P1: the asker gets no answer, and the error leaves the node."""
    log = MemoryLog()
    answers: list[object] = []
    with pytest.RaisesGroup(pytest.RaisesExc(StorageFailed), flatten_subgroups=True):
        async with running(log=log) as world:
            log.fail_with = OSError(5, "Input/output error")
            answers.append(await world.enqueue("a"))
    assert answers == []
    assert log.facts == []


async def test_the_stream_gives_every_fact_once_in_order_from_any_lsn(autojump_clock: MockClock) -> None:
    """P10: a watcher that starts at 0 and one that starts in the middle, both while jobs run."""
    async with running() as world:
        assert world.access is not None
        stream = world.access.stream
        seen: dict[int, list[int]] = {0: [], 7: []}

        async def watch(start: int) -> None:
            at = start
            while len(seen[start]) < 60 - start:
                chunk = await stream.read(at, 5)
                assert isinstance(chunk, Chunk)
                assert chunk.first_lsn == at + 1
                seen[start] += range(chunk.first_lsn, chunk.first_lsn + len(chunk.facts))
                at = seen[start][-1]

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch, 0)
            nursery.start_soon(watch, 7)
            for number in range(20):
                await world.enqueue(f"j{number}")
                await trio.sleep(0.1)
    assert seen == {0: list(range(1, 61)), 7: list(range(8, 61))}


async def test_a_publisher_that_is_run_again_knows_what_is_on_disk_though_nothing_more_comes(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P10: it fails with the last commit in its hand. Whoever reads on must not wait for the next one."""
    original, failures = publisher._Recent.add, 0

    def add(recent: publisher._Recent, chunk: Chunk) -> None:
        nonlocal failures
        if chunk.first_lsn == 2:
            failures += 1
            raise RuntimeError("injected by the test")
        original(recent, chunk)

    monkeypatch.setattr(publisher._Recent, "add", add)
    async with running() as world:
        assert world.access is not None
        await world.enqueue("a", kind="unknown")
        await world.enqueue("b", kind="unknown")
        with trio.fail_after(60):
            chunk = await world.access.stream.read(1, 100)
        assert (chunk, failures) == (Chunk(2, world.log.facts[1:]), 1)


async def test_a_snapshot_is_taken_when_the_log_has_grown_and_the_log_is_trimmed_after_it(
    autojump_clock: MockClock,
) -> None:
    async with running(snapshot_interval=30) as world:
        await world.enqueue("a")
        await trio.sleep(45)
        assert world.snapshots == [world.log.sealed]
        assert len(world.log.trimmed) == 1
        await trio.sleep(60)
        assert len(world.snapshots) == 1, "nothing has happened since"


def test_a_snapshot_is_due_by_what_it_is_worth() -> None:
    """By example: a share of the last one, which counts as 2 MiB at least; or the size of the log."""
    settings = Settings(
        worker_id="w", kinds=frozenset(), queues=None, workers=1, ahead_max=1,
        snapshot_interval=30, snapshot_min_growth=0.5, snapshot_log_bytes=256 * MIB,
    )  # fmt: skip
    for waited, log_bytes, snapshot_bytes, due in (
        (29, 100 * MIB, 0, False),
        (30, 100 * MIB, 0, True),
        (30, MIB - 1, 10_000, False),
        (30, MIB, 10_000, True),
        (30, 40 * MIB, 100 * MIB, False),
        (30, 50 * MIB, 100 * MIB, True),
        (1, 256 * MIB, 100 * MIB, True),
        (1, 256 * MIB, 300 * MIB, False),
    ):
        assert snapshot_due(waited, log_bytes, snapshot_bytes, settings) == due, (waited, log_bytes)


async def test_a_snapshotter_that_fails_is_restarted_and_the_node_serves_on(
    autojump_clock: MockClock,
) -> None:
    """Supervision, one for one."""

    async def fail(lsn: int) -> object:
        raise RuntimeError("no room for a snapshot")

    async with running(snapshot_interval=10, fold_snapshot=fail) as world:  # type: ignore[arg-type]  # never returns
        await world.enqueue("a")
        await trio.sleep(25)
        await world.enqueue("b")
        await world.until("b", COMPLETED)
    assert "snapshotter" in world.watcher.restarts


async def test_limits_on_a_queue_are_told_early(autojump_clock: MockClock) -> None:
    """P11."""
    policy = Policy(served_kinds=frozenset(), queue_jobs_max=2)
    async with running(policy=policy) as world:
        await world.enqueue("a", "b", kind="other")
        answer = await world.ask(Enqueue((NewJob("c", Terms("other"), b"{}"),)))
        assert isinstance(answer, Refused)
        assert (answer.code, answer.retry_after_ms) == ("queue_full", 1000)
