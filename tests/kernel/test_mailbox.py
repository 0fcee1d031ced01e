"""Mailboxes, replies, signals: the ground rules every actor stands on."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from trio.testing import wait_all_tasks_blocked

from beaver_actors.kernel.mailbox import Closed, Mailbox, Reply
from beaver_actors.kernel.signal import Signal


async def test_a_batch_is_what_waits_in_order_up_to_the_limit() -> None:
    mailbox = Mailbox[int]("numbers", 10)
    handle = mailbox.handle()
    for number in range(5):
        await handle.tell(number)
    assert await mailbox.batch(3) == [0, 1, 2]
    assert await mailbox.batch(3) == [3, 4]
    assert mailbox.peak == 5


async def test_a_full_mailbox_makes_the_sender_wait_and_nobody_else() -> None:
    """P11: bounded; by filling a mailbox of two."""
    mailbox = Mailbox[int]("small", 2)
    handle = mailbox.handle()
    sent: list[int] = []

    async def send() -> None:
        for number in range(4):
            await handle.tell(number)
            sent.append(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        assert sent == [0, 1]
        assert not handle.tell_nowait(9)
        taken: list[int] = []
        while len(taken) < 4:
            taken += await mailbox.batch(10)
    assert taken == [0, 1, 2, 3]


async def test_closing_the_last_handle_ends_the_loop_after_the_last_message() -> None:
    mailbox = Mailbox[str]("work", 10)
    handle = mailbox.handle()
    other = handle.clone()
    await handle.tell("first")
    handle.close()
    await other.tell("last")
    other.close()
    assert await mailbox.batch(10) == ["first", "last"]
    assert await mailbox.batch(10) == []


async def test_telling_an_actor_that_is_gone_says_so() -> None:
    mailbox = Mailbox[str]("gone", 10)
    handle = mailbox.handle()
    with mailbox:
        pass
    with pytest.raises(Closed, match="gone"):
        await handle.tell("anyone?")
    with pytest.raises(Closed, match="gone"):
        handle.tell_nowait("anyone?")


async def test_a_reply_reaches_the_asker_whether_it_waits_already_or_not() -> None:
    early: Reply[int] = Reply()
    early.give(1)
    assert await early.wait() == 1
    late: Reply[int] = Reply()
    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            assert await late.wait() == 2

        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        late.give(2)


async def test_a_reply_to_an_asker_that_has_gone_disturbs_nobody(
    autojump_clock: trio.testing.MockClock,
) -> None:
    reply: Reply[int] = Reply()
    with trio.move_on_after(1):
        await reply.wait()
    reply.give(1)
    assert reply.given


async def test_a_reply_knows_whether_its_asker_has_given_up(autojump_clock: trio.testing.MockClock) -> None:
    """P11: what nobody waits for need not be kept."""
    patient, hurried = Reply[int](), Reply[int]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(patient.wait)
        with trio.move_on_after(1):
            await hurried.wait()
        assert (patient.abandoned, hurried.abandoned) == (False, True)
        patient.give(1)
        hurried.give(2)
    assert not patient.abandoned


async def test_a_failed_reply_raises_at_the_asker_and_never_overwrites_an_answer() -> None:
    reply: Reply[int] = Reply()
    reply.fail(Closed("mill"))
    with pytest.raises(Closed, match="mill"):
        await reply.wait()
    answered: Reply[int] = Reply()
    answered.give(3)
    answered.fail(Closed("mill"))
    assert await answered.wait() == 3


async def test_answering_twice_is_a_bug() -> None:
    reply: Reply[int] = Reply()
    reply.give(1)
    with pytest.raises(AssertionError, match="twice"):
        reply.give(2)


async def test_a_signal_rung_twice_is_heard_once_and_never_missed() -> None:
    signal: Signal[str] = Signal()
    signal.ring("a")
    signal.ring("b")
    signal.ring("a")
    assert await signal.wait() == ["a", "b"]
    heard: list[list[str]] = []

    async def listen() -> None:
        heard.append(await signal.wait())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        await wait_all_tasks_blocked()
        signal.ring("c")
    assert heard == [["c"]]
