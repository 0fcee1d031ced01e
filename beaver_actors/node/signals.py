"""SIGINT and SIGTERM: the first lets running jobs finish, the second stops them, the third ends the process.

A signal reaches the loop through Python's own handlers, which run in the main thread between two steps of
whatever that is busy with. So they work while a job blocks the loop, though the loop cannot hear of them, and
then the second one ends the process here and now. That loses nothing: recovery is made for such ends.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from types import FrameType

import trio

from beaver_actors.node.life import Orders
from beaver_actors.observe.log import get_logger
from beaver_actors.observe.watchdog import Watchdog

SIGNALS = (signal.SIGINT, signal.SIGTERM)
KILLED = 128
"""The exit code of a process that a signal ended, as shells count it, is this and the signal's number."""

log = get_logger("beaver_actors.node")


async def obey_signals(
    orders: Orders,
    watchdog: Watchdog,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Pass signals on as orders, until cancelled. Only in the main thread.

    Args:
        orders: set by the signals.
        watchdog: knows whether the loop turns.
    """
    ears = _Ears(orders, watchdog)
    watchdog.while_blocked = ears.loop_is_blocked
    before = {number: signal.signal(number, ears.hear) for number in SIGNALS}
    try:
        task_status.started()
        await trio.sleep_forever()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Ears:
    """What has been heard, and by whom."""

    def __init__(self, orders: Orders, watchdog: Watchdog) -> None:
        self._orders = orders
        self._watchdog = watchdog
        self._token = trio.lowlevel.current_trio_token()
        self._heard = self._passed_on = self._told = 0
        self._last = 0

    def hear(self, number: int, _: FrameType | None) -> None:
        """A signal has come. Runs in the middle of whatever the main thread does: it writes to no log, which
        may be what was interrupted."""
        self._heard += 1
        self._last = number
        # The loop may have ended a moment ago; then what there was to stop has stopped.
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._pass_on, number)
        if self._watchdog.blocked:
            self._end_if_told_twice()

    def loop_is_blocked(self) -> None:
        """Called by the watchdog, in its thread, again and again."""
        self._end_if_told_twice()
        if self._told < self._heard > self._passed_on:
            self._told = self._heard
            log.error(
                "told to stop, but the event loop is blocked: one more signal ends the process at once",
                signal=signal.Signals(self._last).name,
            )

    def _end_if_told_twice(self) -> None:
        if self._heard >= 2 and self._heard > self._passed_on:
            os._exit(KILLED + self._last)

    def _pass_on(self, number: int) -> None:
        self._passed_on += 1
        name = signal.Signals(number).name
        if not self._orders.drain.is_set():
            log.info("stopping: running jobs may finish, a second signal stops at once", signal=name)
            self._orders.drain.set()
            return
        log.warning("stopping at once", signal=name)
        self._orders.hurry.set()
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)
