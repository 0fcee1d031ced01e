"""Tests of progress: what may be said, and how it is thinned out on its way."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import trio
import trio.testing

from beaver_actors.core.outcome import Failed, Succeeded
from beaver_actors.execute.context import Context
from beaver_actors.execute.progress import Thinner
from tests.execute.support import run


async def test_of_many_words_five_a_second_go_out_and_always_the_last(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """A handler speaks every 10 ms for two seconds; what arrives is noted with its time."""
    heard: list[tuple[float, bytes]] = []
    thinner = Thinner()
    nursery.start_soon(thinner.run)

    async def handler(context: Context) -> None:
        for step in range(200):
            context.progress(step / 2)
            await trio.sleep(0.01)
        context.progress(100)

    await run(handler, report=lambda word: heard.append((trio.current_time(), word)), thinner=thinner)
    assert heard[0] == (0.0, b'{"percent":0.0}')
    assert heard[-1][1] == b'{"percent":100}'
    times = [time for time, _ in heard[:-1]]
    assert len(times) >= 5
    assert all(later - earlier >= 0.2 - 1e-9 for earlier, later in pairwise(times))


async def test_a_word_held_back_does_not_wait_for_the_next_one(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """Two words at once, then an hour's silence: the second one is out in less than half a second."""
    heard: list[bytes] = []
    thinner = Thinner()
    nursery.start_soon(thinner.run)

    async def handler(context: Context) -> None:
        context.progress(1)
        context.progress(2)
        await trio.sleep(0.45)
        assert heard == [b'{"percent":1}', b'{"percent":2}']
        await trio.sleep(3600)

    assert await run(handler, report=heard.append, thinner=thinner) == Succeeded(None)


async def test_a_quiet_handler_costs_no_ticking(autojump_clock: trio.testing.MockClock) -> None:
    """With nothing held back the clock jumps to the end in one leap."""
    thinner = Thinner()
    with trio.move_on_after(1_000_000_000):
        await thinner.run()


async def test_percent_message_and_data_go_out_together() -> None:
    """What is not given is left out."""
    heard: list[bytes] = []

    async def handler(context: Context) -> None:
        context.progress(50, "half", {"rows": [1, 2]})

    await run(handler, report=heard.append)
    assert heard == [b'{"percent":50,"message":"half","data":{"rows":[1,2]}}']


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"percent": -1}, "percent: expected a number from 0 to 100, got -1"),
        ({"percent": math.nan}, "percent: expected a number from 0 to 100, got nan"),
        ({"percent": "abc"}, "percent: expected a number from 0 to 100, got 'abc'"),
        ({"percent": True}, "percent: expected a number from 0 to 100, got True"),
        (
            {"percent": "x" * 1000},
            "percent: expected a number from 0 to 100, got 'xxxxxxxxxxxx...xxxxxxxxxxxxx'",
        ),
        ({"message": 5}, "message: expected text, got 5"),
        ({"data": object()}, "progress cannot be written as JSON"),
        ({"data": [math.inf]}, "inf is not a JSON number"),
        ({"message": "x" * 70_000}, "progress: at most 65536 bytes, got"),
    ],
)
async def test_a_word_that_cannot_be_kept_is_refused_to_the_handler(
    words: dict[str, Any], message: str
) -> None:
    """It is the handler's mistake, and fails its attempt unless it minds."""

    async def handler(context: Context) -> None:
        context.progress(**words)

    outcome = await run(handler)
    assert isinstance(outcome, Failed)
    assert outcome.error.type == "ValueError"
    assert message in outcome.error.message
