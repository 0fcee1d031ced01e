"""Supervision: restart an actor that failed alone; above a limit its failure is everyone's."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

import trio

from beaver_actors.kernel.mailbox import Closed

RESTARTS_MAX = 5
WINDOW_SECONDS = 60.0
BACKOFF_SECONDS_MAX = 5.0


class TooManyRestarts(Exception):
    """An actor failed more often than its limit allows; the cause is the last failure."""


class RestartLimit:
    """At most so many restarts in a sliding window of time, with a pause that doubles in between.

    Args:
        restarts_max: how many restarts within the window are tolerated.
        window: length of the window, seconds.
    """

    def __init__(self, restarts_max: int = RESTARTS_MAX, window: float = WINDOW_SECONDS) -> None:
        self._restarts_max = restarts_max
        self._window = window
        self._times: deque[float] = deque()

    def spend(self, now: float) -> float | None:
        """Note a failure at `now` (seconds). Returns the pause before the restart, None above the limit."""
        times = self._times
        while times and times[0] <= now - self._window:
            times.popleft()
        if len(times) >= self._restarts_max:
            return None
        times.append(now)
        return min(0.1 * 2.0 ** (len(times) - 1), BACKOFF_SECONDS_MAX)


async def one_for_one(
    name: str, run: Callable[[], Awaitable[None]], failed: Callable[[str, Exception], None]
) -> None:
    """Run an actor, and run it again when it raises; ends when it returns.

    Args:
        name: the actor's name.
        run: starts one life of the actor.
        failed: told of each failure before the restart.

    Raises:
        TooManyRestarts: it failed more than five times in a minute.
    """
    limit = RestartLimit()
    while True:
        try:
            await run()
        except Exception as error:  # whatever ended the actor, the answer is the same
            if isinstance(error, Closed):
                # Another actor has ended. If everyone is to end with it, nobody has failed here.
                await trio.lowlevel.checkpoint_if_cancelled()
            failed(name, error)
            pause = limit.spend(trio.current_time())
            if pause is None:
                raise TooManyRestarts(f"{name} failed more than {RESTARTS_MAX} times in a minute") from error
            await trio.sleep(pause)
        else:
            return
