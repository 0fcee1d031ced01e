"""The connection of a worker, in a thread of its own: opened again whenever it is lost, with heartbeats that
no user code can hold up. Only a C extension that keeps hold of the interpreter for longer than a lease could;
such code belongs into a process (`isolation="process"`).

Between the threads go calls that never wait, through Trio's tokens.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from math import inf
from typing import Any, Final, Protocol

import trio

from beaver_actors.client.chance import draw
from beaver_actors.client.core import reconnect_seconds
from beaver_actors.client.errors import ClientError, ConnectFailed, ProtocolError
from beaver_actors.client.link import Link
from beaver_actors.client.opening import Connection, Opener
from beaver_actors.codec.wire import Request
from beaver_actors.codec.wire_worker_objects import (
    LeasedJobObject,
    ProgressObject,
    ReportObject,
    WorkerLimits,
)
from beaver_actors.core.workers import Registration
from beaver_actors.remote.ledger import Ledger, Work

UNHEARD_MAX: Final = 2
"""Heartbeats without an answer after which the connection counts as dead: half a lease with the usual
times."""
GOODBYE_SECONDS: Final = 10.0
"""For the last reports and the goodbye, once the worker ends."""

EARLY: Final = 0.9
"""A heartbeat comes a little before it is due."""

log = logging.getLogger("beaver_actors.remote")


class Loop(Protocol):
    """Where calls can be brought to; Trio's token is one."""

    def run_sync_soon(self, call: Callable[..., None], /, *arguments: Any) -> None:
        """Have this called on the loop. Raises `trio.RunFinishedError` if it has ended."""


class Uplink:
    """One per worker.

    Args:
        opener: connects.
        registration: what the worker says of itself.
        work: told, on its own loop, what the server wants.
        loop: on which jobs run.
        ended: told there when the connection is given up for good, with the reason; None after `close`.
        dice: chance for pauses.
    """

    def __init__(
        self,
        opener: Opener,
        registration: Registration,
        work: Work,
        loop: Loop,
        ended: Callable[[BaseException | None], None],
        dice: Callable[[], float] = draw,
    ) -> None:
        self._opener = opener
        self._loop = loop
        self._ended = ended
        self._dice = dice
        self.ledger = Ledger(registration, _Across(work, loop), self._hear)
        """For this thread alone, while it runs."""
        self.heard_at = -inf
        """When the server last spoke to this worker, which it knows; Trio's time."""
        self._own: Loop | None = None
        self._link: Link | None = None
        self._has_been_there = False
        self._patience = trio.CancelScope()
        """Around whatever waits for a connection, or on one."""
        self._give_up = inf
        """When the worker ends, whether the server knows all or not; Trio's time."""
        self._news = trio.Event()
        """The times may have changed."""
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._run, name="uplink", daemon=True)

    # From any thread.

    def start(self) -> None:
        """Connect, and keep connected until closed. Waits the moment that a thread takes to start."""
        self._thread.start()
        self._up.wait()

    def report(self, report: ReportObject) -> None:
        """An attempt has ended."""
        self._call(self.ledger.report, report)

    def progress(self, word: ProgressObject) -> None:
        """How far an attempt is."""
        self._call(self.ledger.progress, word)

    def ready(self, slots: int) -> None:
        """The worker can hold so many jobs from now on."""
        self._call(self.ledger.ready, slots)

    def close(self) -> None:
        """Everything is told: say goodbye, once it is answered, and end."""
        self._call(self._close)

    @property
    def unreported(self) -> int:
        """Outcomes that the server has not confirmed; to be looked at after the end."""
        return self.ledger.unreported

    def join(self) -> None:
        """Wait for the thread to end; it has told so."""
        self._thread.join()

    # In its own thread.

    def _run(self) -> None:
        reason: BaseException | None = None
        try:
            trio.run(self._serve_here)
        except BaseException as error:  # noqa: BLE001  # whatever ends this thread, the other must know
            reason = error
        self._up.set()
        with suppress(trio.RunFinishedError):
            self._loop.run_sync_soon(self._ended, reason)

    async def _serve_here(self) -> None:
        await self.serve(trio.lowlevel.current_trio_token())

    async def serve(self, own: Loop) -> None:
        """Be connected until closed. `start` has it done in a thread.

        Args:
            own: the loop that this runs on.

        Raises:
            ClientError: trying again makes no sense.
        """
        self._own = own
        self._up.set()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._beat)
            await self._keep_connected()
            nursery.cancel_scope.cancel()

    async def _keep_connected(self) -> None:
        """One connection after the other, until the worker has ended. Raises ClientError when trying again
        makes no sense."""
        pause, failures = 0.0, 0
        while not self.ledger.done and trio.current_time() < self._give_up:
            connection: Connection | None = None
            error: ClientError | None = None
            with trio.CancelScope(deadline=self._give_up) as self._patience:
                await trio.sleep(pause)
                connection = await self._connect(quietly=failures > 0)
                if connection is not None:
                    self._has_been_there = True
                    self._link = Link(connection, self.ledger)
                    error = await self._link.run()
            self._link = None
            if isinstance(error, ProtocolError):
                raise error
            failures = 0 if connection is not None and self.ledger.registered else failures + 1
            pause = reconnect_seconds(failures, self._dice())
            if connection is not None and not self.ledger.done:
                log.warning("%s; connecting again", self.ledger.refusal or error or "the connection is lost")

    async def _connect(self, *, quietly: bool) -> Connection | None:
        try:
            return await self._opener.open()
        except ConnectFailed as error:
            # A page in place of a WebSocket may be a proxy's that passes; at the first try it is a wrong URL.
            is_another = not self._has_been_there and error.status is not None and error.status < 400
            if not error.transient or is_another:
                raise
            if not quietly:
                log.warning("%s; trying again", error)
            return None

    async def _beat(self) -> None:
        """Heartbeats, while the worker is registered."""
        ledger = self.ledger
        last = trio.current_time()
        while True:
            self._news = trio.Event()
            with trio.move_on_at(last + ledger.heartbeat_seconds * EARLY):
                await self._news.wait()
                continue  # perhaps at another pace
            last = trio.current_time()
            if ledger.unheard >= UNHEARD_MAX and ledger.refusal is None:
                ledger.refusal = "the server does not answer heartbeats"
            self._look()
            ledger.beat()
            self._wake()

    def say(self, request: Request) -> None:
        """Say anything that the protocol has words for."""
        self.ledger.say(request)
        self._wake()

    def _hear(self) -> None:
        """The server has said something."""
        if self.ledger.registered and self.ledger.unheard == 0:
            self.heard_at = trio.current_time()
        self._look()

    def _look(self) -> None:
        """Something has changed: the connection may be of no more use, or the worker at its end."""
        self._news.set()
        ledger, link = self.ledger, self._link
        if link is None:
            if ledger.done:
                self._patience.cancel()
        elif ledger.refusal is not None:
            self._patience.cancel()
        elif ledger.done:
            link.close()

    def _close(self) -> None:
        self._give_up = min(self._give_up, trio.current_time() + GOODBYE_SECONDS)
        self._patience.deadline = self._give_up
        self.ledger.close()
        self._look()

    def _wake(self) -> None:
        if self._link is not None:
            self._link.wake()

    def _call(self, tell: Callable[..., None], *arguments: object) -> None:
        """Have something done in this thread, and what follows from it sent."""

        def call() -> None:
            tell(*arguments)
            self._wake()

        own = self._own
        if own is not None:
            with suppress(trio.RunFinishedError):
                own.run_sync_soon(call)


class _Across:
    """What the server wants, brought over to the loop on which jobs run."""

    def __init__(self, work: Work, loop: Loop) -> None:
        self._work = work
        self._loop = loop

    def welcomed(self, limits: WorkerLimits) -> None:
        self._bring(self._work.welcomed, limits)

    def leased(self, jobs: list[LeasedJobObject]) -> None:
        self._bring(self._work.leased, jobs)

    def cancelled(self, fences: Iterable[int]) -> None:
        self._bring(self._work.cancelled, list(fences))

    def lost(self, fences: Iterable[int]) -> None:
        self._bring(self._work.lost, list(fences))

    def overdue(self, fences: Iterable[int]) -> None:
        self._bring(self._work.overdue, list(fences))

    def _bring(self, call: Callable[..., None], argument: object) -> None:
        with suppress(trio.RunFinishedError):
            self._loop.run_sync_soon(call, argument)
