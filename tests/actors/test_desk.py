"""The desk: leased jobs in hand, attempts under way, and who is told to stop."""

from __future__ import annotations

from beaver_actors.actors.desk import Desk, Message
from beaver_actors.core.answers import LeasedJob
from beaver_actors.core.commands import Report
from beaver_actors.core.job import Terms
from beaver_actors.core.outcome import Released, Succeeded
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
        await desk.end(job, Succeeded(), 0.01)
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
