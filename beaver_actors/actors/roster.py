"""The roster: which workers on other machines there are, what each holds, and until when.

Bookkeeping without waiting: the fleet asks and tells it, and does what follows. Times are milliseconds UTC of
the node's clock. Nothing here is durable. What is in the log are the leases, and of those a new life makes
itself a roster (`inherit`), in which each has its full time again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from beaver_actors.core.answers import LeasedJob
from beaver_actors.core.commands import Report, Serving
from beaver_actors.core.job import Job
from beaver_actors.core.workers import FleetCount, Registration, Standing, WorkerState, WorkerView

EARLY_CANCELS_MAX = 1000
"""Cancel requests kept for leases that are still on their way here. They come within the same commit; what is
older than so many others is about an attempt that has ended."""


class Outlet(Protocol):
    """The way to a worker, while its connection stands. Neither call waits."""

    def lease(self, jobs: tuple[LeasedJob, ...]) -> None:
        """Hand it these jobs."""

    def notice(self, standing: Standing) -> None:
        """Tell it this of its leases."""


class Timing(NamedTuple):
    """How long is waited for whom, milliseconds."""

    lease_ms: int
    heartbeat_ms: int
    timeout_grace_ms: int
    """From a job's timeout to its deadline."""

    @property
    def silence_ms(self) -> int:
        """A worker that says nothing for so long is suspect: it has missed two heartbeats."""
        return min(2 * self.heartbeat_ms + self.heartbeat_ms // 2, self.lease_ms)


@dataclass(slots=True)
class Held:
    """One lease."""

    worker_id: str
    job_id: str
    fence: int
    until_ms: int
    """When it ends, unless it is renewed."""
    overdue_ms: int | None
    """When the job's timeout has passed; None for a job without one."""
    cancel: bool = False
    warned: bool = False


@dataclass(slots=True, eq=False)
class Worker:
    """One worker, connected or not."""

    registration: Registration
    seen_ms: int
    connected_ms: int | None = None
    outlet: Outlet | None = None
    leases: dict[int, Held] = field(default_factory=dict)
    known: bool = True
    """Whether it has registered in this life of the node; else only its leases are known."""


class Roster:
    """All workers.

    Args:
        timing: how long is waited for whom.
    """

    def __init__(self, timing: Timing) -> None:
        self.timing = timing
        self.workers: dict[str, Worker] = {}
        self._early_cancels: dict[int, None] = {}

    # What a life begins with.

    def inherit(self, in_flight: Iterable[Job], now_ms: int) -> None:
        """Take over the leases that the log knows. Whoever comes back within a full lease time resumes."""
        for job in in_flight:
            trail = job.trail
            if trail is None or trail.lease_ms is None or trail.worker_id is None:
                continue
            worker = self.workers.get(trail.worker_id)
            if worker is None:
                registration = Registration(trail.worker_id, frozenset())
                worker = Worker(registration, trail.started_ms or now_ms, known=False)
                self.workers[trail.worker_id] = worker
            until_ms = now_ms + max(trail.lease_ms, self.timing.lease_ms)
            held = self._held(worker, job.id, job.fence, trail.deadline_ms, until_ms)
            held.cancel = trail.cancel_requested

    # What workers say.

    def register(
        self, registration: Registration, outlet: Outlet, fences: Iterable[int], now_ms: int
    ) -> tuple[Standing, list[Held]]:
        """A worker is there, or there again, holding these leases.

        Returns:
            What it must know of them, and the leases that it was given and does not hold: they were lost on
            the way to it, and no attempt has begun.
        """
        worker = self.workers.get(registration.worker_id)
        if worker is None:
            worker = self.workers[registration.worker_id] = Worker(registration, now_ms)
        worker.registration, worker.known = registration, True
        worker.outlet, worker.connected_ms = outlet, now_ms
        standing = self.renew(worker, fences, now_ms)
        named = frozenset(fences)
        unknown = [held for fence, held in worker.leases.items() if fence not in named]
        for held in unknown:
            del worker.leases[held.fence]
        return standing, unknown

    def renew(self, worker: Worker, fences: Iterable[int], now_ms: int) -> Standing:
        """It still holds these: their time begins anew."""
        worker.seen_ms = now_ms
        lost: list[int] = []
        for fence in fences:
            held = worker.leases.get(fence)
            if held is None:
                lost.append(fence)
            else:
                held.until_ms = now_ms + self.timing.lease_ms
        cancel = tuple(fence for fence, held in worker.leases.items() if held.cancel)
        overdue = tuple(fence for fence, held in worker.leases.items() if self._is_overdue(held, now_ms))
        return Standing(tuple(lost), cancel, overdue)

    def reported(self, worker: Worker, reports: Iterable[Report], now_ms: int) -> None:
        """It has told how these ended, so it can take as many others."""
        worker.seen_ms = now_ms
        for report in reports:
            held = worker.leases.get(report.fence)
            # A report that names another job will be refused, and the lease goes on.
            if held is not None and held.job_id == report.job_id:
                del worker.leases[report.fence]

    def left(self, worker_id: str, outlet: Outlet) -> Worker | None:
        """A connection has ended; returns the worker whose it was, if it was still its."""
        worker = self.speaker(worker_id, outlet)
        if worker is not None:
            worker.outlet = worker.connected_ms = None
        return worker

    def retire(self, worker: Worker) -> list[Held]:
        """It says goodbye; returns what it held."""
        del self.workers[worker.registration.worker_id]
        held = list(worker.leases.values())
        worker.leases.clear()
        worker.outlet = None
        return held

    def speaker(self, worker_id: str, outlet: Outlet) -> Worker | None:
        """The worker that speaks over this connection; None if another connection speaks for it by now."""
        worker = self.workers.get(worker_id)
        return worker if worker is not None and worker.outlet is outlet else None

    # What becomes of jobs.

    def granted(self, worker: Worker, jobs: Iterable[LeasedJob], now_ms: int) -> Standing:
        """It was given these; returns what it must be told of them at once."""
        cancel: list[int] = []
        for job in jobs:
            until_ms = now_ms + self.timing.lease_ms
            held = self._held(worker, job.job_id, job.fence, job.deadline_ms, until_ms)
            if job.fence in self._early_cancels:
                del self._early_cancels[job.fence]
                held.cancel = True
                cancel.append(job.fence)
        return Standing(cancel=tuple(cancel))

    def cancelled(self, fence: int) -> None:
        """Someone wants this attempt stopped."""
        found = self._find(fence)
        if found is not None:
            worker, held = found
            held.cancel = True
            if worker.outlet is not None:
                worker.outlet.notice(Standing(cancel=(fence,)))
            return
        self._early_cancels[fence] = None
        if len(self._early_cancels) > EARLY_CANCELS_MAX:
            del self._early_cancels[next(iter(self._early_cancels))]

    def taken(self, fence: int) -> None:
        """The job manager has taken this job from its worker."""
        found = self._find(fence)
        if found is not None:
            self._lose(*found)

    # What time brings.

    def expired(self, now_ms: int) -> list[Held]:
        """Take out the leases that have ended, and tell their workers, should they listen after all. Workers
        that are gone and hold nothing are forgotten."""
        ended = [
            (worker, held)
            for worker in self.workers.values()
            for held in worker.leases.values()
            if held.until_ms <= now_ms
        ]
        for worker, held in ended:
            self._lose(worker, held)
        for worker in list(self.workers.values()):
            gone = worker.outlet is None and not worker.leases
            if gone and worker.seen_ms + self.timing.lease_ms <= now_ms:
                del self.workers[worker.registration.worker_id]
        return [held for _, held in ended]

    def warn(self, now_ms: int) -> None:
        """Tell workers which of their jobs have passed their timeout, once; heartbeats repeat it."""
        for worker in self.workers.values():
            due = [
                held for held in worker.leases.values() if not held.warned and self._is_overdue(held, now_ms)
            ]
            for held in due:
                held.warned = True
            if due and worker.outlet is not None:
                worker.outlet.notice(Standing(overdue=tuple(held.fence for held in due)))

    def next_ms(self, now_ms: int) -> int | None:
        """When time next brings something; None for never."""
        times: list[int] = []
        for worker in self.workers.values():
            for held in worker.leases.values():
                times.append(held.until_ms)
                if held.overdue_ms is not None and not held.warned:
                    times.append(held.overdue_ms)
            if worker.outlet is None:
                times.append(worker.seen_ms + self.timing.lease_ms)
            else:
                times.append(worker.seen_ms + self.timing.silence_ms)
        return min((at_ms for at_ms in times if at_ms > now_ms), default=None)

    def forgive(self, late_ms: int) -> None:
        """The node itself was silent for so long; nobody could have renewed anything meanwhile."""
        for worker in self.workers.values():
            worker.seen_ms += late_ms
            for held in worker.leases.values():
                held.until_ms += late_ms

    # What is asked.

    def wanted(self, worker: Worker, now_ms: int) -> int:
        """How many more jobs it may be given now."""
        if self.state(worker, now_ms) != "ready":
            return 0
        return max(0, worker.registration.slots - len(worker.leases))

    def state(self, worker: Worker, now_ms: int) -> WorkerState:
        """How it stands."""
        if worker.outlet is None or worker.seen_ms + self.timing.silence_ms <= now_ms:
            return "suspect"
        return "ready" if worker.registration.slots else "draining"

    def crew(self) -> tuple[Serving, ...]:
        """The connected workers, as far as it matters to jobs that wait."""
        connected = (worker.registration for worker in self.workers.values() if worker.outlet is not None)
        return tuple(
            Serving(
                told.worker_id,
                told.kinds,
                None if told.queues is None else frozenset(name for name, _ in told.queues),
                told.slots,
            )
            for told in connected
        )

    def count(self, now_ms: int) -> FleetCount:
        """All of them in numbers."""
        states = [self.state(worker, now_ms) for worker in self.workers.values()]
        suspect = states.count("suspect")
        free = sum(self.wanted(worker, now_ms) for worker in self.workers.values())
        held = sum(len(worker.leases) for worker in self.workers.values())
        return FleetCount(len(states) - suspect, suspect, free, held)

    def views(self, now_ms: int) -> tuple[WorkerView, ...]:
        """All of them, as they are shown."""
        return tuple(
            WorkerView(
                worker.registration,
                self.state(worker, now_ms),
                len(worker.leases),
                worker.connected_ms,
                worker.seen_ms,
            )
            for worker in self.workers.values()
        )

    def _held(self, worker: Worker, job_id: str, fence: int, deadline_ms: int | None, until_ms: int) -> Held:
        overdue_ms = None if deadline_ms is None else deadline_ms - self.timing.timeout_grace_ms
        held = Held(worker.registration.worker_id, job_id, fence, until_ms, overdue_ms)
        worker.leases[fence] = held
        return held

    def _is_overdue(self, held: Held, now_ms: int) -> bool:
        return held.overdue_ms is not None and held.overdue_ms <= now_ms

    def _find(self, fence: int) -> tuple[Worker, Held] | None:
        for worker in self.workers.values():
            held = worker.leases.get(fence)
            if held is not None:
                return worker, held
        return None

    def _lose(self, worker: Worker, held: Held) -> None:
        del worker.leases[held.fence]
        if worker.outlet is not None:
            worker.outlet.notice(Standing(lost=(held.fence,)))
