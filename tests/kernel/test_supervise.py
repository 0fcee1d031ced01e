"""Restarting what failed alone, up to a limit."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from beaver_actors.kernel.mailbox import Closed, Mailbox
from beaver_actors.kernel.supervise import RestartLimit, TooManyRestarts, one_for_one


async def test_an_actor_that_fails_is_run_again_until_it_ends_by_itself(autojump_clock: MockClock) -> None:
    runs: list[int] = []
    failures: list[str] = []

    async def run() -> None:
        runs.append(len(runs))
        if len(runs) < 4:
            raise RuntimeError(f"run {len(runs)}")

    await one_for_one("flaky", run, lambda name, error: failures.append(f"{name}: {error}"))
    assert len(runs) == 4
    assert failures == ["flaky: run 1", "flaky: run 2", "flaky: run 3"]


async def test_an_actor_that_fails_too_often_takes_the_node_with_it(autojump_clock: MockClock) -> None:
    failures: list[str] = []

    async def run() -> None:
        raise RuntimeError("always")

    with pytest.raises(TooManyRestarts, match="hopeless failed more than 5 times") as caught:
        await one_for_one("hopeless", run, lambda name, error: failures.append(name))
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert len(failures) == 6


async def test_failures_far_apart_are_forgiven(autojump_clock: MockClock) -> None:
    lives = 0

    async def run() -> None:
        nonlocal lives
        lives += 1
        await trio.sleep(20)
        if lives < 20:
            raise RuntimeError("once in a while")

    await one_for_one("tired", run, lambda name, error: None)
    assert lives == 20


def test_the_pause_doubles_and_then_the_limit_is_hit() -> None:
    limit = RestartLimit(restarts_max=3, window=60)
    assert [limit.spend(0.0), limit.spend(1.0), limit.spend(2.0)] == [0.1, 0.2, 0.4]
    assert limit.spend(3.0) is None
    assert limit.spend(61.5) is not None


async def test_who_waits_for_an_actor_that_takes_everyone_with_it_has_not_failed(
    autojump_clock: MockClock,
) -> None:
    """By example: the WAL writer fails while the snapshotter waits for room in its mailbox."""
    failures: list[str] = []
    mailbox = Mailbox[int]("wal_writer", 1)
    wal = mailbox.handle()

    async def writer() -> None:
        with mailbox:
            await trio.sleep(1)
            raise RuntimeError("the disk has failed")

    async def snapshotter() -> None:
        for number in range(3):
            await wal.tell(number)

    async def live() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer)
            await one_for_one("snapshotter", snapshotter, lambda name, error: failures.append(name))

    with pytest.raises(BaseExceptionGroup) as caught:
        await live()
    assert [str(error) for error in caught.value.exceptions] == ["the disk has failed"]
    assert failures == []


async def test_who_finds_another_actor_gone_has_failed_if_all_else_goes_on(autojump_clock: MockClock) -> None:
    failures: list[Exception] = []
    mailbox = Mailbox[int]("wal_writer", 1)
    wal = mailbox.handle()
    with mailbox:
        pass
    runs = 0

    async def snapshotter() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            await wal.tell(1)

    await one_for_one("snapshotter", snapshotter, lambda name, error: failures.append(error))
    assert [type(error) for error in failures] == [Closed]


async def test_cancelling_is_not_a_failure(autojump_clock: MockClock) -> None:
    failures: list[str] = []
    with trio.move_on_after(5) as scope:
        await one_for_one("sleeper", trio.sleep_forever, lambda name, error: failures.append(name))
    assert scope.cancelled_caught
    assert failures == []
