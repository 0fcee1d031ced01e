"""The worker at the other end of a connection: takes what it says to the fleet, and what the fleet has for it
to the connection. A session has one, which does nothing until the client registers as a worker.

Pushes wait here without a bound of their own: leases are bounded by the slots of the worker, and notices say
of each lease at most three things."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, assert_never

import trio

from beaver_actors.actors.fleet import Deregister, Heartbeat, Left, Message, Outcomes, Ready, Register
from beaver_actors.codec.wire import Error, Ok
from beaver_actors.codec.wire_answers import refusal
from beaver_actors.codec.wire_decode import Form, encode
from beaver_actors.codec.wire_errors import WireError
from beaver_actors.codec.wire_worker_messages import (
    DeregisterRequest,
    HeartbeatRequest,
    ReadyRequest,
    RegisterRequest,
    ReportRequest,
    WorkerRequest,
)
from beaver_actors.codec.wire_workers import (
    fences,
    lease_pushes,
    notice_push,
    outcomes,
    register_ok,
    registration,
    report_ok,
    slots,
    standing_ok,
)
from beaver_actors.core.answers import Finished, LeasedJob, Refused
from beaver_actors.core.commands import Report
from beaver_actors.core.workers import Standing, Welcome
from beaver_actors.kernel.mailbox import Closed, Reply
from beaver_actors.server.service import Service
from beaver_actors.server.subscriptions import Outgoing


class ToFleet(NamedTuple):
    """A message on its way to the fleet, and where its answer will be."""

    message: Message
    reply: Reply[Any]


class WorkerLink:
    """One per session.

    Args:
        service: the way to the fleet.
        outgoing: the way out of the connection.
    """

    def __init__(self, service: Service, outgoing: Outgoing) -> None:
        self._service = service
        self._outgoing = outgoing
        self._worker_id: str | None = None
        self._form: Form = "json"
        self._leases: deque[LeasedJob] = deque()
        self._notices = Standing()
        self._came = trio.lowlevel.ParkingLot()

    def understand(self, request: WorkerRequest, form: Form) -> tuple[ToFleet, Callable[[Any], Ok | Error]]:
        """Check what the worker says; returns what the fleet is to be told, and how its answer is written.

        Raises:
            WireError: a value is not allowed, or the worker is not registered here.
        """
        if isinstance(request, RegisterRequest):
            return self._register(request, form)
        worker_id = self._worker_id
        if worker_id is None:
            name = request.__struct_config__.tag
            raise WireError("conflict", f"{name}: register on this connection first", request.id)
        match request:
            case ReadyRequest():
                ready = Ready(worker_id, self, slots(request))
                return ToFleet(ready, ready.reply), partial(_done, request.id)
            case HeartbeatRequest():
                beat = Heartbeat(worker_id, self, fences(request))
                return ToFleet(beat, beat.reply), partial(_stands, request.id)
            case ReportRequest():
                told = Outcomes(
                    worker_id, self, *outcomes(request, self._service.limits, self._service.defaults)
                )
                return ToFleet(told, told.reply), partial(_judged, request.id, told.reports)
            case DeregisterRequest():
                goodbye = Deregister(worker_id, self)
                return ToFleet(goodbye, goodbye.reply), partial(_done, request.id)
            case _:
                assert_never(request)

    async def push(self) -> None:
        """Send leases and notices to the worker, until cancelled."""
        while True:
            while not self._leases and not any(self._notices):
                await self._came.park()
            jobs, self._leases = list(self._leases), deque()
            for message in lease_pushes(jobs):
                await self._outgoing.send(encode(message, self._form))
            standing, self._notices = self._notices, Standing()
            if any(standing):
                await self._outgoing.send(encode(notice_push(standing), self._form))

    async def leave(self) -> None:
        """The connection has ended."""
        if self._worker_id is not None:
            # The fleet never waits, so this does not either.
            with trio.CancelScope(shield=True), suppress(Closed):
                await self._service.fleet.tell(Left(self._worker_id, self))

    # What the fleet tells; neither waits.

    def lease(self, jobs: tuple[LeasedJob, ...]) -> None:
        self._leases.extend(jobs)
        self._came.unpark_all()

    def notice(self, standing: Standing) -> None:
        unsent = {job.fence for job in self._leases}
        lost = {fence for fence in standing.lost if fence in unsent}
        if lost:  # it never hears of them
            self._leases = deque(job for job in self._leases if job.fence not in lost)
        kept = standing._replace(lost=tuple(fence for fence in standing.lost if fence not in lost))
        self._notices = Standing(*(_joined(*pair) for pair in zip(self._notices, kept, strict=True)))
        self._came.unpark_all()

    def _register(self, request: RegisterRequest, form: Form) -> tuple[ToFleet, Callable[[Any], Ok | Error]]:
        registered, named = registration(request)
        if self._worker_id not in (None, registered.worker_id):
            message = f"worker_id: this connection is that of worker {self._worker_id}"
            raise WireError("conflict", message, request.id)
        self._worker_id, self._form = registered.worker_id, form
        told = Register(registered, self, named)
        return ToFleet(told, told.reply), partial(self._welcomed, request.id)

    def _welcomed(self, re: str, answer: Welcome | Refused) -> Ok | Error:
        if isinstance(answer, Refused):
            return refusal(re, answer)
        standing, lease_ms, heartbeat_ms = answer
        return register_ok(re, standing, lease_ms, heartbeat_ms, self._service.limits)


def _stands(re: str, answer: Standing | Refused) -> Ok | Error:
    return refusal(re, answer) if isinstance(answer, Refused) else standing_ok(re, answer)


def _done(re: str, answer: Standing | Finished | Refused) -> Ok | Error:
    return refusal(re, answer) if isinstance(answer, Refused) else Ok(re=re)


def _judged(re: str, reports: tuple[Report, ...], answer: Finished | Refused) -> Ok | Error:
    return refusal(re, answer) if isinstance(answer, Refused) else report_ok(re, reports, answer)


def _joined(old: tuple[int, ...], new: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(dict.fromkeys((*old, *new)))
