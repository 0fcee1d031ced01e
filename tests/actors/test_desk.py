"""The desk: leased jobs in hand, attempts under way, and who is told to stop."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from beaver_actors.actors.desk import Desk, Message, weigh
from beaver_actors.core.answers import LeasedJob
from beaver_actors.core.commands import Progress, Report
from beaver_actors.core.job import JobError, Terms
from beaver_actors.core.outcome import (
    Crashed,
    Failed,
    Outcome,
    Rejected,
    Released,
    Snoozed,
    Stopped,
    Succeeded,
    TimedOut,
)
from beaver_actors.kernel.mailbox import Mailbox
from tests.actors.world import Board


class Control:
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def cancel(self) -> None:
        self.asked.append("cancel")

    def release(self) -> None:
        self.asked.append("release")


def leased(fence: int) -> LeasedJob:
    return LeasedJob(f"job{fence}", fence, 1, Terms("work"), b"{}")


def desk_and_outcomes() -> tuple[Desk, Mailbox[Message]]:
    outcomes = Mailbox[Message]("controller", 100)
    return Desk(outcomes.handle(), Board(), lambda: 0.5), outcomes


async def test_what_has_not_begun_goes_back_although_all_others_who_report_have_gone() -> None:
    """P3: a drain under load; the controller hears one report at a time, and the desk has more for it."""
    outcomes = Mailbox[Message]("controller", 1)
    desk = Desk(outcomes.handle(), Board(), lambda: 0.5)
    await desk.put(tuple(leased(fence) for fence in range(1, 6)), 0.0)
    heard: list[Message] = []
    async with trio.open_nursery() as nursery:
        desk.close()
        nursery.start_soon(desk.clear)
        await wait_all_tasks_blocked()
        desk.hang_up()
        desk.hang_up()
        with outcomes:
            while batch := await outcomes.batch(1):
                heard += batch
    assert heard == [Report(f"job{fence}", fence, Released()) for fence in range(1, 6)]


async def test_a_cancel_that_overtakes_its_lease_stops_the_attempt() -> None:
    """Both are released by one commit, and the word of the cancel reaches the desk first."""
    desk, _ = desk_and_outcomes()
    control = Control()
    desk.cancel(7)
    await desk.put((leased(7),), 0.0)
    job = await desk.take()
    assert job is not None
    desk.begin(job.fence, control)
    assert control.asked == ["cancel"]


async def test_a_cancel_for_an_attempt_that_is_over_is_nobodys() -> None:
    """It would otherwise be kept for good."""
    desk, _ = desk_and_outcomes()
    await desk.put((leased(7), leased(8)), 0.0)
    for _ in range(2):
        job = await desk.take()
        assert job is not None
        desk.begin(job.fence, Control())
        assert desk.end(job, Succeeded(), 0.01) is None
    desk.cancel(7)
    desk.cancel(8)
    assert not desk._cancelled


async def test_a_cancel_reaches_the_attempt_under_way_and_no_other() -> None:
    desk, _ = desk_and_outcomes()
    controls = {7: Control(), 8: Control()}
    await desk.put((leased(7), leased(8)), 0.0)
    for _ in range(2):
        job = await desk.take()
        assert job is not None
        desk.begin(job.fence, controls[job.fence])
    desk.cancel(8)
    assert (controls[7].asked, controls[8].asked) == ([], ["cancel"])


async def test_leases_that_arrive_at_a_closed_desk_go_straight_back() -> None:
    """The drain has begun while a lease was on its way to the disk."""
    desk, outcomes = desk_and_outcomes()
    desk.close()
    await desk.put((leased(7), leased(8)), 0.0)
    assert await outcomes.batch(10) == [Report("job7", 7, Released()), Report("job8", 8, Released())]
    assert desk.in_hand == 0
    assert await desk.take() is None
    assert await desk.wait_wanted() == 0


async def test_workers_wait_while_too_many_bytes_of_results_wait_for_the_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """P11: the memory that outcomes take is bounded by their size, not only by their number."""
    monkeypatch.setattr("beaver_actors.actors.desk.OUTCOME_BYTES_MAX", 1000)
    desk, outcomes = desk_and_outcomes()
    assert desk.end(leased(1), Succeeded(b"x" * 600), 0.0) is None
    assert desk.end(leased(2), Succeeded(b"x" * 600), 0.0) is None  # 600 are below the limit: one more
    async with trio.open_nursery() as nursery:
        for fence, outcome in ((3, Succeeded(b"x")), (4, Stopped())):
            report = desk.end(leased(fence), outcome, 0.0)
            assert report is not None
            nursery.start_soon(desk.tell, report)
        desk.progress(leased(5), b"50")  # a later word will do
        await wait_all_tasks_blocked()
        assert [message.fence for message in await outcomes.batch(10)] == [1, 2]
        desk.recorded(100)
        await wait_all_tasks_blocked()
        assert not len(outcomes)
        desk.recorded(600)
    assert sorted(message.fence for message in await outcomes.batch(10)) == [3, 4]
    desk.progress(leased(5), b"60")
    assert await outcomes.batch(10) == [Progress("job5", 5, b"60")]


ERROR = JobError("ValueError", "no" * 10, "line\n" * 100)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Succeeded(None), 0),
        (Succeeded(b"12345"), 5),
        (Failed(ERROR), 520),
        (TimedOut(ERROR), 520),
        (Rejected(ERROR), 520),
        (Crashed(ERROR), 520),
        (Snoozed(1000), 0),
        (Stopped(), 0),
        (Released(), 0),
    ],
)
def test_an_outcome_weighs_what_it_carries(outcome: Outcome, expected: int) -> None:
    """For every kind of outcome."""
    assert weigh(Report("j1", 7, outcome)) == expected


def test_progress_weighs_its_text() -> None:
    assert weigh(Progress("j1", 7, b"12345")) == 5
