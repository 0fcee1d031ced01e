"""The far end of a client's connection in a test kit: the server's side of the protocol, without a network.

It reads requests and writes replies and pushes with the server's own codec, so what a test sends is checked,
carried and shown as in production. What the requests mean is the engine's business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from beaver_actors import __version__
from beaver_actors.codec.ids import JobIds
from beaver_actors.codec.wire import Error, Ok, Request
from beaver_actors.codec.wire_answers import NodeView, reply, status_object, status_reply
from beaver_actors.codec.wire_commands import to_command
from beaver_actors.codec.wire_decode import Form, Limits, decode_request, encode, in_form
from beaver_actors.codec.wire_errors import WireError
from beaver_actors.codec.wire_events import event_json, events_push
from beaver_actors.codec.wire_job_messages import EnqueueRequest
from beaver_actors.codec.wire_jobs import Defaults
from beaver_actors.codec.wire_past import past_ok, to_wish
from beaver_actors.codec.wire_schedule_messages import (
    ScheduleRequest,
    SchedulesRequest,
    TriggerScheduleRequest,
)
from beaver_actors.codec.wire_schedules import NextTimes, schedules_ok, to_schedule_command
from beaver_actors.codec.wire_watch import WatchEvents, WatchStatus, to_watch
from beaver_actors.codec.wire_watch_messages import (
    HistoryRequest,
    PastRequest,
    StatusPush,
    SubscribeRequest,
    UnsubscribeRequest,
)
from beaver_actors.codec.wire_worker_messages import WorkerRequest, WorkersRequest
from beaver_actors.core.answers import Schedules, Status
from beaver_actors.core.commands import Count
from beaver_actors.core.facts import Fact, JobFact
from beaver_actors.testing.kit.engine import Engine


@dataclass(slots=True)
class _Watch:
    """A subscription, and how far it has come."""

    wanted: WatchEvents | WatchStatus
    form: Form
    after_lsn: int


class FarEnd:
    """Serves one client.

    Args:
        engine: the queue.
        defaults: for jobs that do not say.
        send: takes what is sent to the client.
        enqueued: called when jobs have been accepted.
    """

    def __init__(
        self,
        engine: Engine,
        defaults: Defaults,
        send: Callable[[str | bytes], None],
        enqueued: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._defaults = defaults
        self._send = send
        self._enqueued = enqueued
        self._ids = JobIds(lambda: engine.now_ms, lambda bits: 0)
        self._next_times = NextTimes()
        self._watches: dict[str, _Watch] = {}
        self._watched = 0

    def take(self, data: str | bytes) -> None:
        """Answer a message."""
        form: Form = "json" if isinstance(data, str) else "cbor"
        try:
            request = decode_request(data, Limits())
            if isinstance(request, SubscribeRequest):
                self._subscribe(request, form)
            elif isinstance(request, UnsubscribeRequest):
                self._watches.pop(request.subscription, None)
                self._send(encode(Ok(re=request.id), form))
            else:
                self._send(encode(self._answer(request), form))
                if isinstance(request, EnqueueRequest | TriggerScheduleRequest):
                    self._enqueued()
        except WireError as error:
            told = Error(re=error.request_id, code=error.code, message=error.message)
            self._send(encode(told, form))

    def push(self) -> None:
        """Something has happened: tell those who watch."""
        for name, watch in tuple(self._watches.items()):
            if isinstance(watch.wanted, WatchStatus):
                answer = self._engine.do(Count())
                assert isinstance(answer, Status)
                status = status_object(answer, self._node, self._engine.now_ms)
                self._send(encode(StatusPush(subscription=name, status=status), watch.form))
                continue
            facts = self._engine.facts_after(watch.after_lsn)
            watch.after_lsn = self._engine.head
            if texts := [event_json(lsn, fact) for lsn, fact in facts if self._fits(watch.wanted, fact)]:
                self._send(in_form(events_push(name, texts), watch.form))

    def hang_up(self) -> None:
        """The connection is gone, and with it its subscriptions."""
        self._watches.clear()

    def _answer(self, request: Request) -> Ok | Error:
        if isinstance(request, HistoryRequest | PastRequest):
            return past_ok(request.id, self._engine.look_back(to_wish(request)))
        if isinstance(request, ScheduleRequest):
            return self._about_schedules(request)
        if isinstance(request, WorkerRequest | WorkersRequest):
            return Error(re=request.id, code="unsupported", message="a test kit has no workers but itself")
        command = to_command(request, self._ids, Limits(), self._defaults)  # type: ignore[arg-type]  # as sessions do
        answer = self._engine.do(command)
        if isinstance(answer, Status):
            return status_reply(request.id, answer, self._node, self._engine.now_ms)
        return reply(request.id, answer)

    def _about_schedules(self, request: ScheduleRequest) -> Ok | Error:
        now_ms = self._engine.now_ms
        answer = self._engine.do(to_schedule_command(request, now_ms, self._ids, Limits(), self._defaults))
        if isinstance(request, SchedulesRequest) and isinstance(answer, Schedules):
            return schedules_ok(request, answer, now_ms, self._next_times)
        return reply(request.id, answer)

    def _subscribe(self, request: SubscribeRequest, form: Form) -> None:
        wanted = to_watch(request)
        self._watched += 1
        name, head = f"s{self._watched}", self._engine.head
        after_lsn = head
        if isinstance(wanted, WatchEvents) and wanted.from_lsn is not None:
            if wanted.from_lsn > head + 1:
                message = f"from_lsn: expected at most {head + 1}, got {wanted.from_lsn}"
                raise WireError("bad_request", message, request_id=request.id)
            after_lsn = max(wanted.from_lsn - 1, 0)
        self._watches[name] = _Watch(wanted, form, after_lsn)
        if isinstance(wanted, WatchEvents):
            self._send(encode(Ok(re=request.id, subscription=name, lsn=after_lsn), form))
        else:
            self._send(encode(Ok(re=request.id, subscription=name), form))
        self.push()

    def _fits(self, wanted: WatchEvents, fact: Fact) -> bool:
        if wanted.facts is not None and type(fact) not in wanted.facts:
            return False
        if not isinstance(fact, JobFact):
            unasked = wanted.job_ids is None and wanted.kind is None
            return unasked and wanted.queue in (None, getattr(fact, "queue", None))
        if wanted.job_ids is not None and fact.job_id not in wanted.job_ids:
            return False
        job = self._engine.state.jobs.get(fact.job_id)
        if job is None:  # it is deleted, and nobody can place it
            return True
        terms = job.terms
        return wanted.kind in (None, terms.kind) and wanted.queue in (None, terms.queue)

    @property
    def _node(self) -> NodeView:
        return NodeView(__version__, self._engine.now_ms, draining=False, workers=1, sessions=1)
