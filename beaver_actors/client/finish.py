"""Waiting for jobs to finish: a few subscriptions serve all that one client waits for, whatever its number.

Nobody polls. A job's end is seen as an event, or, where the events are gone or began too late, by asking for
the job once. Like the core it drives, this file does no input or output and is not thread-safe.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from beaver_actors.client.core import Core
from beaver_actors.client.errors import ClientError, NotFound
from beaver_actors.client.pending import Pending
from beaver_actors.client.subscriptions import EventSubscription
from beaver_actors.client.views import ENDINGS, FinishedJob, JobInfo, finished_from_info, plain, read_part
from beaver_actors.codec.wire_event_objects import EventFilter, EventObject
from beaver_actors.codec.wire_fields import JOB_IDS_MAX
from beaver_actors.codec.wire_job_messages import GetRequest
from beaver_actors.codec.wire_watch_messages import GapPush
from beaver_actors.core.job import JobState

GETS_MAX: Final = 64
"""Jobs asked for at once; after a gap there may be thousands to ask for."""
WATCHES_MAX: Final = 4
"""Subscriptions side by side. Each costs the server a look at every event."""

Done: TypeAlias = Callable[["FinishedJob | ClientError"], None]


class Wish(NamedTuple):
    """Someone waits for this job."""

    job_id: str
    since_lsn: int | None
    """A position at which the job was certainly not finished; None if none is known."""
    done: Done


@dataclass(slots=True, eq=False)
class _Watch:
    """A subscription, and the jobs that it is for; None for all."""

    subscription: EventSubscription
    job_ids: set[str] | None
    ask_for: list[str]
    """Jobs that may have finished before its first event; asked for as soon as it is open."""
    replaces_all: bool


class FinishWatcher:
    """All that is waited for in one client. What is added while a subscription opens shares the next one."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._wishes: dict[str, list[Wish]] = {}
        self._fresh: list[str] = []  # wished for, and not watched yet
        self._opening: _Watch | None = None
        self._watches: list[_Watch] = []
        self._to_get: deque[str] = deque()
        self._getting: dict[str, Pending] = {}
        self._get_again: set[str] = set()

    def add(self, wishes: Iterable[Wish]) -> None:
        """Wait for jobs. Each wish's `done` is called once, unless `give_up` comes first.

        Raises:
            ClientError: the client is at its end.
        """
        if self._core.error is not None:
            raise self._core.error.twin()
        for wish in wishes:
            waiting = self._wishes.get(wish.job_id)
            if waiting is None:
                self._wishes[wish.job_id] = [wish]
                self._fresh.append(wish.job_id)
            else:
                waiting.append(wish)  # no end has been seen, and the next one will be
        self._watch_fresh()

    def give_up(self, wishes: Iterable[Wish]) -> None:
        """Nobody waits for these any more. Harmless for those that are done."""
        for wish in wishes:
            waiting = self._wishes.get(wish.job_id, [])
            if wish in waiting:
                waiting.remove(wish)
                if not waiting:
                    self._drop(wish.job_id)

    def _watch_fresh(self) -> None:
        if self._opening is not None or self._core.error is not None:
            return
        fresh = {job_id: self._wishes[job_id] for job_id in self._fresh if job_id in self._wishes}
        self._fresh = []
        if any(watch.job_ids is None for watch in self._watches):
            self._get(fresh)  # their ends may have passed by already, unwanted
            return
        if not fresh:
            return
        since = {job_id: wishes[0].since_lsn for job_id, wishes in fresh.items()}
        known = [lsn for lsn in since.values() if lsn is not None]
        if replaces_all := len(fresh) > JOB_IDS_MAX or len(self._watches) >= WATCHES_MAX:
            job_ids = set(self._wishes) if len(self._wishes) <= JOB_IDS_MAX else None
        else:
            job_ids = set(fresh)
        # Ends of jobs whose beginning is known are replayed; all others are asked for.
        ask_for = [
            job_id for job_id in (self._wishes if replaces_all else fresh) if since.get(job_id) is None
        ]
        wanted = EventFilter(
            job_ids=tuple(sorted(job_ids)) if job_ids else None, events=tuple(sorted(ENDINGS))
        )
        subscription = EventSubscription(wanted, min(known) + 1 if known else None, lambda: None)
        watch = _Watch(subscription, job_ids, ask_for, replaces_all)
        subscription.notify = lambda: self._notified(watch)
        self._opening = watch
        self._core.subscribe(subscription)

    def _notified(self, watch: _Watch) -> None:
        if watch.subscription.error is not None:
            self._fail_all(watch.subscription.error)
            return
        if watch is self._opening:
            self._opened(watch)
        while items := watch.subscription.take():
            for item in items:
                if isinstance(item, GapPush):
                    self._get(list(self._wishes if watch.job_ids is None else watch.job_ids))
                else:
                    self._seen(item)

    def _opened(self, watch: _Watch) -> None:
        self._opening = None
        if watch.replaces_all:
            # Only now: until it was open the others saw what happened.
            for old in self._watches:
                self._core.unsubscribe(old.subscription)
            self._watches = []
        self._watches.append(watch)
        if watch.job_ids is not None:
            watch.job_ids &= self._wishes.keys()
        self._get(watch.ask_for)
        self._end_idle()
        self._watch_fresh()

    def _seen(self, event: EventObject) -> None:
        job_id = event.job_id
        if not isinstance(job_id, str) or job_id not in self._wishes:
            return
        if any(event.lsn <= wish.since_lsn for wish in self._wishes[job_id] if wish.since_lsn is not None):
            return  # of an earlier job with the same id
        if event.event == "job_completed":
            self._settle(job_id, FinishedJob(id=job_id, state=JobState.COMPLETED, result=plain(event.result)))
        elif event.event == "job_deleted":
            self._settle(job_id, FinishedJob(id=job_id, state=None))
        else:
            # The event has the last error only; and the job may have been put back since.
            self._get([job_id])

    def _get(self, job_ids: Iterable[str]) -> None:
        self._to_get.extend(job_ids)
        self._get_more()

    def _get_more(self) -> None:
        while self._to_get and len(self._getting) < GETS_MAX and self._core.error is None:
            job_id = self._to_get.popleft()
            if job_id in self._getting:
                self._get_again.add(job_id)  # the answer on its way may be older than what made us ask
            elif job_id in self._wishes:
                request = GetRequest(id="", job_id=job_id)
                self._getting[job_id] = self._core.ask(request, self._got, counted=False)

    def _got(self, pending: Pending) -> None:
        job_id = next(job_id for job_id, getting in self._getting.items() if getting is pending)
        del self._getting[job_id]
        if job_id in self._get_again:
            self._get_again.discard(job_id)
            self._to_get.append(job_id)
        try:
            job = read_part(JobInfo, pending.ok().job)
            if job.finished:
                self._settle(job_id, finished_from_info(job))
        except NotFound:
            self._settle(job_id, FinishedJob(id=job_id, state=None))
        except ClientError as error:
            self._settle(job_id, error)
        self._get_more()

    def _settle(self, job_id: str, outcome: FinishedJob | ClientError) -> None:
        wishes = self._wishes.get(job_id, [])
        self._drop(job_id)
        for wish in wishes:
            wish.done(outcome)

    def _drop(self, job_id: str) -> None:
        self._wishes.pop(job_id, None)
        for watch in self._watches:
            if watch.job_ids is not None:
                watch.job_ids.discard(job_id)
        self._end_idle()

    def _end_idle(self) -> None:
        """Watches end that nobody needs."""
        for watch in list(self._watches):
            if not (self._wishes if watch.job_ids is None else watch.job_ids):
                self._watches.remove(watch)
                self._core.unsubscribe(watch.subscription)

    def _fail_all(self, error: ClientError) -> None:
        """A job whose end would not be seen must not be waited for."""
        for watch in (*self._watches, *([self._opening] if self._opening else [])):
            self._core.unsubscribe(watch.subscription)
        self._watches, self._opening, self._fresh = [], None, []
        for job_id in list(self._wishes):
            self._settle(job_id, error)
