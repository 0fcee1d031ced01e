"""The worker program: connects, works until it is told to stop, and leaves in order.

The first SIGINT or SIGTERM lets running jobs finish, for as long as the grace lasts; the second one has them
given back unfinished, the third ends the process. What is given back uses no attempt."""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType

import trio

from beaver_actors import __version__
from beaver_actors.client.address import parse_url
from beaver_actors.client.core import SUBPROTOCOLS
from beaver_actors.client.opening import Opener
from beaver_actors.codec.wire_worker_objects import ProgressObject, ReportObject
from beaver_actors.core.workers import Registration
from beaver_actors.execute.executor import Executor
from beaver_actors.remote.hands import Hands
from beaver_actors.remote.uplink import Uplink

CONNECT_SECONDS = 10.0
LINGER_SECONDS = 5.0
"""For handlers to end that were told to; whatever they hold then goes back with the goodbye."""
SIGNALS = (signal.SIGINT, signal.SIGTERM)
KILLED = 128
"""The exit code of a process that a signal ended, as shells count it, is this and the signal's number."""

log = logging.getLogger("beaver_actors.remote")


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What one worker is to do.

    Args:
        url: of the server.
        token: shown to it, None for none.
        queues: names and weights; None for all queues.
        concurrency: jobs at a time.
        buffer: jobs beyond those, to have at hand; a few hide the way to the server where jobs are short.
        grace: seconds that running jobs get when the worker is told to stop.
        tls: for wss; None for the system's trusted certificates.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    queues: tuple[tuple[str, int], ...] | None = None
    concurrency: int = 8
    buffer: int = 0
    grace: float = 30.0
    tls: ssl.SSLContext | None = None


@dataclass(slots=True)
class WorkerOrders:
    """What the operator wants."""

    drain: trio.Event = field(default_factory=trio.Event)
    hurry: trio.Event = field(default_factory=trio.Event)


def new_worker_id() -> str:
    """An id for this start of the process: no other start ever had it."""
    host = "".join(letter if "!" <= letter <= "~" else "-" for letter in socket.gethostname())[:100]
    return f"{host or 'host'}:{os.getpid()}:{secrets.token_hex(8)}"


async def run_worker(
    settings: WorkerSettings,
    executor: Executor,
    *,
    orders: WorkerOrders | None = None,
    worker_id: str | None = None,
    welcome: Callable[[], None] = lambda: None,
) -> int:
    """Work until told to stop.

    Args:
        settings: where, and how much.
        executor: holds the jobs' code; not running yet.
        orders: who embeds the worker stops it with these; without them, SIGINT and SIGTERM do.
        worker_id: made up if not given.
        welcome: called when the server has taken the worker in, the first time.

    Returns:
        How many outcomes the server has not confirmed; 0 in a sane world.

    Raises:
        ClientError: connecting makes no sense (a wrong token, say), or the server speaks another protocol.
        ValueError: the URL is none.
    """
    opener = Opener(
        parse_url(settings.url), SUBPROTOCOLS["json"], settings.token, settings.tls, CONNECT_SECONDS
    )
    registration = Registration(
        worker_id or new_worker_id(),
        executor.kinds,
        settings.queues,
        settings.concurrency + settings.buffer,
        socket.gethostname()[:200],
        os.getpid(),
        __version__,
    )
    worker = _Worker(settings, executor, opener, registration, welcome)
    async with trio.open_nursery() as nursery:
        if orders is None:
            orders = WorkerOrders()
            await nursery.start(_obey_signals, orders)
        await nursery.start(executor.run)
        try:
            await worker.work(orders)
        finally:
            worker.uplink.close()
        nursery.cancel_scope.cancel()
    return worker.uplink.unreported


class _Worker:
    """The parts of one worker and their order."""

    def __init__(
        self,
        settings: WorkerSettings,
        executor: Executor,
        opener: Opener,
        registration: Registration,
        welcome: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._ended = trio.Event()
        self._reason: BaseException | None = None
        self.hands = Hands(executor, settings.concurrency, self, _note, welcome)
        token = trio.lowlevel.current_trio_token()
        self.uplink = Uplink(opener, registration, self.hands, token, self._uplink_ended)

    async def work(self, orders: WorkerOrders) -> None:
        """Work, drain, and say goodbye. Raises what the connection was given up for."""
        self.uplink.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.hands.run)
            async with trio.open_nursery() as waiting:
                waiting.start_soon(_until, orders.drain.wait, waiting.cancel_scope)
                waiting.start_soon(_until, self._ended.wait, waiting.cancel_scope)
            await self._drain(orders)
            self.uplink.close()
            await self._ended.wait()
            nursery.cancel_scope.cancel()
        if self._reason is not None:
            raise self._reason

    def report(self, report: ReportObject) -> None:
        """An attempt has ended."""
        self.uplink.report(report)

    def progress(self, word: ProgressObject) -> None:
        """How far an attempt is."""
        self.uplink.progress(word)

    async def _drain(self, orders: WorkerOrders) -> None:
        """Begin nothing more, hand back what has not begun, and wait for the rest as long as the grace
        lasts."""
        self.uplink.ready(0)
        self.hands.close()
        grace = 0.0 if self._ended.is_set() else self._settings.grace
        with trio.move_on_after(grace):
            async with trio.open_nursery() as waiting:
                waiting.start_soon(_until, orders.hurry.wait, waiting.cancel_scope)
                waiting.start_soon(_until, self.hands.wait_quiet, waiting.cancel_scope)
        self.hands.release_all()
        with trio.move_on_after(LINGER_SECONDS) as patience:
            await self.hands.wait_quiet()
        if patience.cancelled_caught:
            log.warning("%d handlers go on although they were cancelled", self.hands.busy)

    def _uplink_ended(self, reason: BaseException | None) -> None:
        self._reason = reason
        self._ended.set()


async def _until(wait: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
    await wait()
    scope.cancel()


def _note(error: Exception) -> None:
    log.error("a fault of the worker, not of the job", exc_info=error)


async def _obey_signals(
    orders: WorkerOrders, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Pass signals on as orders, until cancelled. Only in the main thread."""
    token = trio.lowlevel.current_trio_token()
    heard = 0

    def hear(number: int, _: FrameType | None) -> None:
        # Runs in the middle of whatever the main thread does, a handler that blocks the loop included.
        nonlocal heard
        heard += 1
        if heard > 2:
            os._exit(KILLED + number)
        order = orders.drain if heard == 1 else orders.hurry
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(order.set)

    before = {number: signal.signal(number, hear) for number in SIGNALS}
    try:
        task_status.started()
        await trio.sleep_forever()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
