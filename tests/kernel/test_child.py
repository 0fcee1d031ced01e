"""A child process for one piece of work."""

from __future__ import annotations

import sys

import pytest
import trio

from beaver_actors.kernel.child import ChildFailed, run_child


async def test_the_output_of_a_child_comes_back() -> None:
    assert await run_child([sys.executable, "-c", "print('done')"]) == b"done\n"


async def test_a_child_that_fails_is_told_with_its_last_words() -> None:
    with pytest.raises(ChildFailed, match="exit code 3: no such luck"):
        await run_child([sys.executable, "-c", "import sys; sys.stderr.write('no such luck'); sys.exit(3)"])


async def test_a_child_that_watches_its_input_learns_when_it_is_no_longer_wanted() -> None:
    """The pipe stays open while we live, and a cancelled child is gone afterwards."""
    script = "import sys; sys.stdin.read(); print('left alone')"
    with trio.move_on_after(0.5) as scope:
        await run_child([sys.executable, "-c", script])
    assert scope.cancelled_caught


async def test_a_child_that_fails_politely_is_told_with_what_it_answered() -> None:
    """Its standard error is empty: the reason stands in the answer."""
    script = 'import sys; print(\'{"message": "no room"}\'); sys.exit(1)'
    with pytest.raises(ChildFailed, match=r'exit code 1: ."message": "no room"'):
        await run_child([sys.executable, "-c", script])


async def test_a_child_has_a_process_group_of_its_own() -> None:
    """Ctrl-C on the terminal is not for it."""
    output = await run_child([sys.executable, "-c", "import os; print(os.getpgrp() == os.getpid())"])
    assert output == b"True\n"
