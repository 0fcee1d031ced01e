"""What a worker holds and has told: leases, reports that wait or have no answer yet, and what to say next.

It does no input or output and knows no clock; `uplink.py` hands it what arrived and asks it what to send.
Reports are kept until they are answered, and sent again over the next connection, which is harmless (P5).
Used by the thread of the connection alone."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from msgspec import UNSET

from beaver_actors.client.errors import ProtocolError
from beaver_actors.codec.wire import Error, Ok, Request
from beaver_actors.codec.wire_decode import decode_reply, encode_request
from beaver_actors.codec.wire_errors import WireError
from beaver_actors.codec.wire_fields import REPORTS_MAX
from beaver_actors.codec.wire_worker_messages import (
    DeregisterRequest,
    HeartbeatRequest,
    LeasePush,
    NoticePush,
    ReadyRequest,
    RegisterRequest,
    ReportRequest,
)
from beaver_actors.codec.wire_worker_objects import (
    FailureObject,
    LeasedJobObject,
    ProgressObject,
    ReportObject,
    WorkerLimits,
)
from beaver_actors.core.workers import Registration, Standing

UNANSWERED_MAX: Final = 4
"""Messages with reports under way: while the server writes one to its disk, the next collects."""
MESSAGE_BYTES: Final = 1024 * 1024
"""Where reports are split; a single one may be larger."""

log = logging.getLogger("beaver_actors.remote")


class Work(Protocol):
    """Those who run the jobs. No call waits."""

    def welcomed(self, limits: WorkerLimits) -> None:
        """The server takes reports of at most this size; called before the first lease of a connection."""

    def leased(self, jobs: list[LeasedJobObject]) -> None:
        """Run these."""

    def cancelled(self, fences: Iterable[int]) -> None:
        """Someone wants these stopped."""

    def lost(self, fences: Iterable[int]) -> None:
        """These are no longer ours: stop, and nobody wants to hear how they end."""

    def overdue(self, fences: Iterable[int]) -> None:
        """The timeout of these has passed."""


class Ledger:
    """One per worker.

    Args:
        registration: what the worker says of itself, the number of its slots included.
        work: told what the server wants.
        changed: called when the server has said something.
    """

    def __init__(self, registration: Registration, work: Work, changed: Callable[[], None]) -> None:
        self.registered = False
        """Whether this connection is the worker's."""
        self.refusal: str | None = None
        """Why the server did not register it on this connection."""
        self.lease_seconds = 60.0
        self.heartbeat_seconds = 15.0
        self.unheard = 0
        """Heartbeats in a row that were not answered."""
        self.lost_count = 0
        """Outcomes that came too late."""
        self._registration = registration
        self._work = work
        self._changed = changed
        self._running: dict[int, str] = {}
        """The jobs of the leases that are held and not reported, by fence."""
        self._reports: deque[ReportObject] = deque()
        self._progress: dict[int, ProgressObject] = {}
        self._control: deque[Request] = deque()
        self._asked: dict[str, Request] = {}
        self._requests = 0
        self._overdue: set[int] = set()
        """Attempts that the work was warned of."""
        self._alone = 0
        """How many of the next reports go one by one."""
        self._message_bytes = MESSAGE_BYTES
        self._closing = self._parting = self._gone = False
        """Whether the worker ends; whether goodbye is said, on this connection; whether that is answered."""

    # What the worker tells.

    @property
    def done(self) -> bool:
        """Whether the worker has ended, and the server knows all that there is to know."""
        return self._closing and (self._gone or (not self.registered and not self.fences()))

    @property
    def unreported(self) -> int:
        """Outcomes that the server has not confirmed."""
        return len(self._reports) + sum(len(batch) for batch in self._unanswered())

    def ready(self, slots: int) -> None:
        """It can hold so many jobs from now on."""
        self._registration = self._registration._replace(slots=slots)
        if self.registered:
            self.say(ReadyRequest(id="", slots=slots))

    def beat(self) -> None:
        """Time for a heartbeat."""
        if self.registered:
            self.unheard += 1
            self.say(HeartbeatRequest(id="", fences=self.fences()))

    def report(self, report: ReportObject) -> None:
        """An attempt has ended. Of one that is not ours any more nothing is told."""
        if self._running.pop(report.fence, None) is not None:
            self._progress.pop(report.fence, None)
            self._reports.append(report)

    def progress(self, word: ProgressObject) -> None:
        """How far an attempt is; only the last word counts."""
        if word.fence in self._running:
            self._progress[word.fence] = word

    def close(self) -> None:
        """The worker ends, and has told everything: once that is answered, goodbye is said."""
        self._closing = True

    def fences(self) -> list[int]:
        """What is held: what runs, and what is reported without an answer."""
        unanswered = (report.fence for batch in self._unanswered() for report in batch)
        return [*self._running, *(report.fence for report in self._reports), *unanswered]

    # What the connection does.

    def opened(self) -> None:
        """There is a connection: everything without an answer is told again, after who we are."""
        again = [report for batch in self._unanswered() for report in batch]
        self._reports.extendleft(reversed(again))
        self._asked.clear()
        self._control.clear()
        self.registered, self.refusal, self.unheard, self._parting = False, None, 0, False
        who = self._registration
        queues = None if who.queues is None else dict(who.queues)
        self.say(
            RegisterRequest(
                id="",
                worker_id=who.worker_id,
                kinds=sorted(who.kinds),
                queues=queues,
                slots=who.slots,
                fences=self.fences(),
                host=who.host,
                pid=who.pid,
                version=who.version,
            )
        )

    def next_message(self) -> str | bytes | None:
        """What to send next, None for nothing."""
        request = self._control.popleft() if self._control else self._next_report() or self._goodbye()
        if request is None:
            return None
        self._requests += 1
        request.id = str(self._requests)
        self._asked[request.id] = request
        return encode_request(request, "json")

    def received(self, data: str | bytes) -> None:
        """Take a message from the server.

        Raises:
            ProtocolError: it cannot be understood. The connection is of no more use.
        """
        try:
            message = decode_reply(data)
        except WireError as error:
            raise ProtocolError(f"the server sent something else than beaver.v1: {error.message}") from None
        match message:
            case Ok():
                self._answered(message)
            case Error():
                self._refused(message)
            case LeasePush(jobs=jobs):
                self._running.update((job.fence, job.job_id) for job in jobs)
                self._work.leased(jobs)
            case NoticePush():
                self._stand(Standing(tuple(message.lost), tuple(message.cancel), tuple(message.overdue)))
            case _:
                pass  # nothing that a worker has asked for
        self._changed()

    def _answered(self, ok: Ok) -> None:
        match self._asked.pop(ok.re, None):
            case RegisterRequest():
                if isinstance(ok.limits, WorkerLimits):
                    self._message_bytes = min(MESSAGE_BYTES, ok.limits.message_bytes // 2)
                    self._work.welcomed(ok.limits)
                if isinstance(ok.lease, int | float) and isinstance(ok.heartbeat, int | float):
                    self.lease_seconds, self.heartbeat_seconds = float(ok.lease), float(ok.heartbeat)
                self.registered = True
                self._stand(_standing(ok))
            case HeartbeatRequest():
                self.unheard = 0
                self._stand(_standing(ok))
            case ReportRequest():
                receipts = [] if ok.reports is UNSET else ok.reports
                late = sum(not receipt.recorded for receipt in receipts)
                if late:
                    self.lost_count += late
                    log.warning("%d outcomes came too late, their leases were lost", late)
            case DeregisterRequest():
                self._gone = True
            case _:
                pass

    def _refused(self, error: Error) -> None:
        request = self._asked.pop(error.re or "", None)
        match request:
            case RegisterRequest():
                self.refusal = f"{error.code}: {error.message}"
            case ReportRequest(reports=reports):
                if error.code == "conflict":  # this connection is not the worker's any more
                    self._reports.extendleft(reversed(reports))
                    self.refusal = f"{error.code}: {error.message}"
                else:
                    self._mend(reports, error)
            case None:
                pass
            case _:
                log.warning("the server refused %s: %s", request.__struct_config__.tag, error.message)

    def _mend(self, reports: list[ReportObject], error: Error) -> None:
        """A message was refused as a whole for one report in it: they go one by one, and the one that is to
        blame becomes a rejection that says why."""
        if len(reports) > 1:
            for report in reversed(reports):
                self._reports.appendleft(report)
            self._alone = len(reports)
            return
        for report in reports:
            if report.error is not None and report.error.type == "BadReport":
                log.error("the server takes no report of job %s: %s", report.job_id, error.message)
                continue
            text = f"the server did not take the outcome: {error.message}"[:1000]
            failure = FailureObject(type="BadReport", message=text)
            self._reports.appendleft(
                ReportObject(job_id=report.job_id, fence=report.fence, outcome="rejected", error=failure)
            )

    def _stand(self, standing: Standing) -> None:
        lost = [fence for fence in standing.lost if fence in self._running]
        for fence in lost:
            del self._running[fence]
            self._progress.pop(fence, None)
        self._overdue &= self._running.keys()
        overdue = [fence for fence in standing.overdue if fence in self._running.keys() - self._overdue]
        self._overdue.update(overdue)
        if lost:
            self._work.lost(lost)
        if standing.cancel:
            self._work.cancelled(standing.cancel)
        if overdue:
            self._work.overdue(overdue)

    def say(self, request: Request) -> None:
        """Have this said before any report."""
        # One heartbeat that has not left is as good as two.
        if not any(type(waiting) is type(request) for waiting in self._control):
            self._control.append(request)
        elif isinstance(request, ReadyRequest | HeartbeatRequest):
            self._control = deque(w for w in self._control if type(w) is not type(request))
            self._control.append(request)

    def _next_report(self) -> ReportRequest | None:
        if not self.registered or len(list(self._unanswered())) >= UNANSWERED_MAX:
            return None
        progress = list(self._progress.values())[:REPORTS_MAX]
        reports: list[ReportObject] = []
        size = 0
        limit = 1 if self._alone else REPORTS_MAX
        while self._reports and len(reports) < limit:
            size += _weight(self._reports[0])
            if reports and size > self._message_bytes:
                break
            reports.append(self._reports.popleft())
        self._alone = max(0, self._alone - len(reports))
        if not reports and not progress:
            return None
        for word in progress:
            del self._progress[word.fence]
        return ReportRequest(id="", reports=reports, progress=progress)

    def _goodbye(self) -> DeregisterRequest | None:
        if not self._closing or not self.registered or self._parting or any(self._unanswered()):
            return None
        self._parting = True
        return DeregisterRequest(id="")

    def _unanswered(self) -> Iterable[list[ReportObject]]:
        return (request.reports for request in self._asked.values() if isinstance(request, ReportRequest))


def _standing(ok: Ok) -> Standing:
    lists = (ok.lost, ok.cancel, ok.overdue)
    return Standing(*(() if listed is UNSET else tuple(listed) for listed in lists))


def _weight(report: ReportObject) -> int:
    """About the bytes of a report."""
    size = 200 + (0 if report.result is UNSET else len(bytes(report.result)))
    if isinstance(report.error, FailureObject):
        size += len(report.error.message) + len(report.error.traceback)
    return size
