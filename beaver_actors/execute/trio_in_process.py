"""Runs an `async def` in a worker process, under a Trio of its own. Imported only where there is one to run,
because Trio takes longer to import than all the rest."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import trio

from beaver_actors.core.outcome import Outcome
from beaver_actors.execute.app import Handler
from beaver_actors.execute.context import Attempt
from beaver_actors.execute.control import Control
from beaver_actors.execute.outcomes import Limits, raised
from beaver_actors.execute.progress import Thinner, Valve
from beaver_actors.execute.run import run_on_loop


def run_with_trio(
    attempt: Attempt,
    handler: Handler,
    limits: Limits,
    report: Callable[[bytes], None],
    when_stopped: Callable[[Callable[[], None]], None],
) -> Outcome:
    """Run the handler and say how it ended. Raises nothing, whatever the handler does.

    Args:
        attempt: what is run. Its timeout is kept here too; the server kills what does not keep it.
        handler: an `async def`.
        limits: how much of the outcome is kept.
        report: takes progress.
        when_stopped: told what to call, from another thread, when the server wants the attempt ended.
    """

    async def run() -> Outcome:
        control = Control()
        token = trio.lowlevel.current_trio_token()

        def stop() -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(control.cancel)

        when_stopped(stop)
        return await run_on_loop(attempt, handler, control, limits, Valve(report, Thinner()))

    try:
        return trio.run(run)
    except BaseException as error:  # noqa: BLE001 user code can break even Trio's own workings
        return raised(error, limits)
