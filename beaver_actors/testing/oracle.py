"""The oracle: told all that clients, watchers and handlers do and hear, and shown every state that a crash
has left, it raises `Broken` at the first thing that breaks a promise.

This file listens, and finds what is wrong with what was told alone: stale leases, holes in a stream, answers
that contradict each other. It writes what it hears into `oracle_notes`; what must be true of a state stands
in `oracle_checks`. It drives nothing, looks at no clock and never says too much: what a request without an
answer may have done is not held against the server. `history_check` weighs answers by their times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from beaver_actors.core.commands import NewJob, Policy
from beaver_actors.core.facts import (
    EVENT_NAMES,
    JOB_FACTS,
    Fact,
    JobCancelled,
    JobCancelRequested,
    JobDeleted,
    JobEnqueued,
    JobFact,
    JobRetried,
    JobStarted,
)
from beaver_actors.core.job import JobState
from beaver_actors.core.outcome import Outcome
from beaver_actors.core.state import State
from beaver_actors.core.transitions import TRANSITIONS
from beaver_actors.testing.oracle_checks import check_finished, check_state
from beaver_actors.testing.oracle_notes import Broken, Known, Notes, batch_of
from beaver_actors.testing.oracle_operations import Sweeps

__all__ = ["Broken", "Oracle"]

Event: TypeAlias = Mapping[str, Any]
"""An event in the words of the wire: `lsn`, `event`, `job_id` and whatever else it has."""

FACTS: dict[str, type[JobFact]] = {EVENT_NAMES[fact]: fact for fact in JOB_FACTS}
COME_BACK = frozenset({"queue_full", "overloaded", "storage_full"})
"""Refusals that come with a time to try again (P11)."""
WISHES: dict[type[JobFact], str] = {
    JobCancelRequested: "cancel",
    JobCancelled: "cancel",
    JobRetried: "retry",
}
"""Facts that somebody must have asked for. Deletion is asked for, or time's."""
LEADS_TO = {fact: target for (_, fact), target in TRANSITIONS.items()}
"""The state after each fact; `scheduled` and `pending` are one here."""


class Oracle:
    """Everything told so far, over all lives on one data directory.

    Args:
        policy: the rules of the server: rescues, and the kinds that are served, where any are named.
        retention: whether time may have deleted finished jobs. If so, no job must be there.
        handlers: whether `began` and `ended` are called for every execution. If not, nothing is concluded
            from their absence.
    """

    def __init__(
        self, policy: Policy | None = None, *, retention: bool = False, handlers: bool = True
    ) -> None:
        self.notes = Notes(policy or Policy(), retention, handlers)
        self.sweeps = Sweeps(self.notes)
        self._owner: str | None = None
        self._places: dict[str, int] = {}
        """For each watcher, the LSN that comes next."""
        self._events: dict[int, Event] = {}
        self._next = 1
        """The LSN after the highest event that was told."""
        self._since = 1
        """From this LSN on, every event was told."""

    # What clients ask and hear.

    def sent(self, jobs: Iterable[NewJob]) -> None:
        """An enqueue leaves a client. Call it for each sending, repeated ones too, before the bytes go."""
        self.notes.sent(jobs)

    def answered(self, jobs: Sequence[NewJob], arrivals: Sequence[int | None], lsn: int) -> None:
        """An enqueue was granted.

        Args:
            jobs: as sent.
            arrivals: for each job the LSN of its arrival, by its receipt; None for a duplicate.
            lsn: of the answer.
        """
        self.notes.hear(lsn, "the answer to an enqueue")
        self.notes.batches.pop(batch_of(jobs), None)
        for job, order in zip(jobs, arrivals, strict=True):
            known = self.notes.known(job.job_id, "was acknowledged")
            known.open -= 1
            there = lsn if order is None else order
            if known.gone >= there:
                continue  # the answer was long on its way: the job is deleted by now
            if known.acknowledged is not None and not self.notes.may_be_gone(known):
                # The answer to the first may come after the answer to its duplicate.
                if order is not None and (order > known.acknowledged_lsn or known.order not in (None, order)):
                    raise Broken("P5", job.job_id, "was acknowledged before, and is taken a second time")
                if known.acknowledged != (job.terms, job.args):
                    raise Broken("P5", job.job_id, "passed for a duplicate with other content")
            if order is None and known.sent == 1:
                raise Broken("P5", job.job_id, "is called a duplicate, but was sent once")
            if there >= known.acknowledged_lsn:
                known.acknowledged, known.acknowledged_lsn = (job.terms, job.args), there
            if order is not None:
                known.arrive(order, replaceable=self.notes.retention)

    def refused(self, jobs: Iterable[NewJob], code: str, retry_after: float | None = None) -> None:
        """An enqueue was refused: none of these jobs is accepted by it (P1). A connection that broke is no
        refusal, it leaves the fate of the jobs open; then nothing is told here."""
        if code in COME_BACK and retry_after is None:
            raise Broken("P11", None, f"{code}, and no time to come back")
        jobs = tuple(jobs)
        known = [self.notes.known(job.job_id, "was refused") for job in jobs]
        for one in known:
            one.open -= 1
        if all(one.open <= 0 for one in known):
            self.notes.batches.pop(batch_of(jobs), None)
        if code == "not_unique" and all(one.unique == {None} for one in known):
            raise Broken("P5", None, "refused for a unique key, and no job has one")
        if code == "conflict" and all(len(one.contents) == 1 for one in known):
            raise Broken("P5", None, "a conflict, but no id was sent with other content")

    def returned(self, job: NewJob, holder: str) -> None:
        """An enqueue was granted, and in the place of this job stands another: told before `answered`, which
        is told of the rest."""
        known, other = self.notes.known(job.job_id, "was answered"), self.notes.known(holder, "was returned")
        known.open -= 1
        wants = None if job.extras is None else job.extras.unique
        if job.on_conflict != "return_existing" or wants is None:
            raise Broken("P5", job.job_id, f"was answered with job {holder}, which it did not ask for")
        if all(unique is None or unique.key != wants.key for unique in other.unique):
            raise Broken("P5", holder, f"was returned for the key {wants.key!r}, which it never had")

    def asked(self, wish: str, job_ids: Iterable[str]) -> None:
        """A request to "cancel", "retry" or "delete" these jobs leaves a client."""
        for job_id in job_ids:
            known = self.notes.jobs.setdefault(job_id, Known())
            known.asked.add(wish)
            known.open_asks[wish] = known.open_asks.get(wish, 0) + 1

    def changed(self, wish: str, changes: Iterable[Mapping[str, Any]], lsn: int) -> None:
        """Such a request was granted.

        Args:
            wish: as asked.
            changes: one for each job, in the words of the wire: `name`, `changed`, `state`.
            lsn: of the answer.
        """
        self.notes.hear(lsn, f"the answer to a {wish}")
        for change in changes:
            known = self.notes.jobs[change["name"]]
            known.open_asks[wish] -= 1
            if not change["changed"]:
                continue
            if wish == "delete":
                known.leave(lsn)
            elif wish == "retry":
                known.retried = max(known.retried, lsn)
                if known.lsn < lsn:
                    known.state = None
            elif change["state"] == JobState.CANCELLED and max(known.lsn, known.retried) < lsn:
                known.state = JobState.CANCELLED

    def denied(self, wish: str, job_ids: Iterable[str]) -> None:
        """Such a request was refused as a whole."""
        for job_id in job_ids:
            self.notes.jobs[job_id].open_asks[wish] -= 1

    def shown(self, job: Mapping[str, Any]) -> None:
        """A client was shown a job, in the words of the wire: `id`, `lsn`, `state`, `result`."""
        known = self.notes.known(job["id"], "was shown")
        self.notes.hear(job["lsn"], f"a view of job {job['id']}")
        self._doubt(known)
        known.learn(job["lsn"], JobState(job["state"]), job.get("result"))

    # What watchers hear.

    def subscribed(self, watcher: str, from_lsn: int) -> None:
        """A watcher begins, or reads on, with this LSN, and wants every event."""
        self._places[watcher] = from_lsn

    def gap(self, watcher: str, from_lsn: int, to_lsn: int) -> None:
        """A watcher was told that these events are gone."""
        expected = self._places[watcher]
        if not from_lsn == expected <= to_lsn:
            raise Broken(
                "P10", None, f"{watcher} waits for {expected}, and hears of a gap {from_lsn}..{to_lsn}"
            )
        self._places[watcher] = to_lsn + 1
        self.notes.hear(to_lsn, f"a gap told to {watcher}")

    def event(self, watcher: str, event: Event) -> None:
        """A watcher was told of an event. All watchers must use the same form of events."""
        lsn = event["lsn"]
        expected = self._places[watcher]
        if lsn != expected:
            raise Broken("P10", None, f"{watcher} waits for event {expected}, and hears of {dict(event)}")
        self._places[watcher] = lsn + 1
        self.notes.hear(lsn, f"an event told to {watcher}")
        before = self._events.setdefault(lsn, event)
        if before is not event:
            if before != event:
                raise Broken("P10", None, f"LSN {lsn} was {dict(before)}, and is now {dict(event)}")
            return
        newest = lsn >= self._next
        if newest:
            self._since = self._since if lsn == self._next else lsn
            self._next = lsn + 1
        if event.get("job_id") is not None:
            known = self.notes.known(event["job_id"], f"has the event {event['event']}")
            if newest:
                self._follow(known, event)
            self._learn_event(known, event)

    def fact(self, watcher: str, lsn: int, fact: Fact) -> None:
        """`event`, for watchers that are told facts."""
        self.event(watcher, fact._asdict() | {"lsn": lsn, "event": EVENT_NAMES[type(fact)]})

    # What handlers do.

    def began(self, job_id: str, attempt: int, fence: int, *, remote: bool = False) -> None:
        """A handler is called. `remote`: on another machine, which may have been cut off since it got the
        lease: then it runs late, and nothing may come of it."""
        known = self.notes.known(job_id, "runs")
        what = f"begins attempt {attempt} under fence {fence}"
        late = fence < known.fence or (known.state is JobState.COMPLETED and fence < known.lsn)
        if remote and late and fence not in self.notes.fences:
            self.notes.fences[fence], known.outcomes[fence] = job_id, None
            return
        if known.state is JobState.COMPLETED and not self.notes.may_be_gone(known):
            raise Broken("P4", job_id, f"{what}, after it was told completed")
        if fence in self.notes.fences:
            raise Broken("P4", job_id, f"{what}, which was used by job {self.notes.fences[fence]}")
        if fence <= self.notes.head and not remote:
            raise Broken("P4", job_id, f"{what}, a lease of a life that ended with LSN {self.notes.head}")
        if fence <= known.fence:
            raise Broken("P4", job_id, f"{what}, after fence {known.fence}")
        event = self._events.get(fence)
        if event is not None and (event["event"], event["job_id"]) != ("job_started", job_id):
            raise Broken("P2", job_id, f"{what}, but the log says {dict(event)}")
        anew = self.notes.retention or known.asked & {"retry", "delete"}
        if attempt < max(known.attempt, 1) and not anew:
            raise Broken("P4", job_id, f"{what}, after attempt {known.attempt}")
        self.notes.fences[fence] = job_id
        known.fence, known.attempt, known.outcomes[fence] = fence, attempt, None

    def ended(self, job_id: str, fence: int, outcome: Outcome | None) -> None:
        """A handler is done, and nobody else has heard of it yet; None if it was cut off."""
        known = self.notes.known(job_id, "runs")
        assert known.outcomes.get(fence, outcome) is None, f"fence {fence} has not begun, or has ended before"
        known.outcomes[fence] = outcome

    # What the server does.

    def opened(self, owner: str) -> None:
        """A server has taken the data directory."""
        if self._owner is not None:
            raise Broken("P9", None, f"{owner} has the directory, and so has {self._owner}")
        self._owner = owner

    def closed(self) -> None:
        """The owner has let go of it, or died."""
        self._owner = None

    def sync_failed(self, head: int) -> None:
        """A sync has failed. Nobody must hear of anything after `head`, the last LSN known to be durable,
        before the next life."""
        self.notes.ceiling = head

    def start_refused(self, reason: str, *, damaged: bool) -> None:
        """A server would not start on the directory. `damaged`: something that was durable was changed."""
        if not damaged:
            raise Broken("P6", None, f"nothing was damaged, and the start was refused: {reason}")

    def recovered(self, state: State) -> None:
        """A life begins, in a new process or in the same, with this state as replayed from the disk."""
        self.check(state)
        self.notes.lives += 1
        self.notes.head = state.lsn
        self.notes.ceiling = None

    def check(self, state: State) -> None:
        """Hold a state replayed from the disk against everything told, and learn nothing from it."""
        check_state(self.notes, state)
        self.sweeps.check(state)

    def finished(self, state: State, now_ms: int | None = None) -> None:
        """After a life without faults and a quiet while: everything is done, or says why not.

        Args:
            state: as it is then.
            now_ms: the time; None for the latest on record.
        """
        self.check(state)
        check_finished(self.notes, state, state.time_ms if now_ms is None else now_ms)
        self.sweeps.check_finished(state)

    def _follow(self, known: Known, event: Event) -> None:
        """The next event of a stream without a hole: the table must allow it."""
        job_id, name, lsn = event["job_id"], event["event"], event["lsn"]
        fact = FACTS[name]
        if self._since > 1 and known.stage_lsn < self._since:
            known.lease = event.get("fence")  # what was before is not known
        else:
            if (known.stage, fact) not in TRANSITIONS:
                raise Broken("P4", job_id, f"has the event {name} at LSN {lsn}, when it was {known.stage}")
            if fact is JobStarted:
                known.lease = lsn
            if known.lease is not None and event.get("fence", known.lease) != known.lease:
                raise Broken("P4", job_id, f"has {name} under fence {event['fence']}, not {known.lease}")
        blocked = event.get("depends_on") or event.get("blocked")
        known.stage, known.stage_lsn = JobState.BLOCKED if blocked else LEADS_TO[fact], lsn

    def _learn_event(self, known: Known, event: Event) -> None:
        job_id, lsn, fact = event["job_id"], event["lsn"], FACTS[event["event"]]
        follows = fact is JobCancelled and known.had_cause(event.get("reason"), self.notes.replacing)
        if fact in WISHES and WISHES[fact] not in known.asked and not follows:
            raise Broken("P3", job_id, f"has the event {event['event']}, and nobody asked for it")
        if fact is JobDeleted and not (
            "delete" in known.asked if event["reason"] == "request" else self.notes.retention
        ):
            raise Broken("P3", job_id, f"is deleted for {event['reason']}, and had no cause to be")
        ran = self.notes.fences.get(lsn)
        if ran is not None and (fact is not JobStarted or ran != job_id):
            raise Broken("P2", ran, f"ran under fence {lsn}, where the log says {dict(event)}")
        if lsn <= known.gone or (lsn < known.lsn and fact is not JobDeleted):
            return
        if fact is JobEnqueued:
            known.arrive(lsn, replaceable=self.notes.retention)
        elif fact is JobDeleted:
            known.leave(lsn)
        else:
            self._doubt(known)
            if fact is JobRetried:
                known.retried = max(known.retried, lsn)
            known.learn(lsn, LEADS_TO[fact], event.get("result"))

    def _doubt(self, known: Known) -> None:
        """What is told now may be of another job under this id than what was told before."""
        if known.open and self.notes.may_be_gone(known):
            known.order = None
