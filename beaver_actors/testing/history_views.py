"""What clients were told of one job, and whether it fits.

It is there from its acknowledgement to its deletion, it is what was sent, and views of it go along the
lifecycle table. Of what overlaps, the kindest order is assumed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise
from math import inf

from beaver_actors.core.facts import EVENT_NAMES, JobEnqueued, JobRetried
from beaver_actors.core.job import WAITING, JobState
from beaver_actors.core.transitions import TRANSITIONS
from beaver_actors.testing.history_case import Case, Finding, contradicts
from beaver_actors.testing.history_stories import Event, Read, Spans

LEADS_TO = {EVENT_NAMES[fact]: target for (_, fact), target in TRANSITIONS.items()}
"""The state after each event; `scheduled` and `pending` are one here."""
ENQUEUED = EVENT_NAMES[JobEnqueued]


def _reachable(retried: bool) -> dict[JobState, frozenset[JobState]]:
    """From each state, those that a job may be in later."""
    moves: dict[JobState, set[JobState]] = {state: {state} for state in JobState}
    for (source, fact), target in TRANSITIONS.items():
        if source is not None and target is not None and (retried or fact is not JobRetried):
            moves[source].add(target)
    for waiting in WAITING:  # time, and facts that name one, lead from one to the other
        for source in JobState:
            if moves[source] & WAITING:
                moves[source].add(waiting)
    for _ in JobState:
        for source in JobState:
            moves[source] |= {end for middle in moves[source] for end in moves[middle]}
    return {source: frozenset(ends) for source, ends in moves.items()}


REACHABLE, REACHABLE_BY_RETRY = _reachable(False), _reachable(True)


def check_views(case: Case) -> Iterator[Finding]:
    """Everything that requests and their answers show."""
    yield from _invented(case)
    yield from _acknowledgements(case)
    yield from _presence(case)
    yield from _views(case)


def _invented(case: Case) -> Iterator[Finding]:
    """It is seen only after it was sent, and not if all that was sent was refused."""
    seen = [(read.answered, read.entry, "shown") for read in case.story.reads if read.job]
    seen += [(event.at, event.entry, "told of in an event") for event in case.story.events]
    seen += [(run.at, run.entry, "run") for run in case.story.runs]
    first_sent = min((send.invoked for send in case.story.sends), default=inf)
    for at, number, how in seen:
        if case.possible.meet(-inf, at):
            continue
        if first_sent >= at:
            yield case.finding("P3", f"is {how}, and nobody had sent it", number)
        else:
            refusals = tuple(send.entry for send in case.story.sends if send.answered < at)
            yield case.finding("P1", f"is {how}, and every enqueue of it was refused", *refusals[:3], number)


def _acknowledgements(case: Case) -> Iterator[Finding]:
    """The same content again is a duplicate, and only then (P5)."""
    granted = sorted((send for send in case.story.sends if send.granted), key=lambda send: send.answered)
    begins = sorted(send.invoked for send in case.story.sends if send.code is None)
    for send in granted:
        if send.duplicate and bisect_left(begins, send.answered) < 2:
            yield case.finding("P5", "is called a duplicate, and was sent only once", send.entry)
        event = None if send.order is None else case.all_events.get(send.order)
        arrival = ENQUEUED, case.job_id
        if event is not None and (event.body["event"], event.body.get("job_id")) != arrival:
            text = f"was acknowledged with LSN {send.order}, where something else happened"
            yield case.finding("P1", text, send.entry, event.entry)
    fresh = [send for send in granted if not send.duplicate]
    for first, second in pairwise(fresh):
        if not case.replaced(min(first.invoked, second.invoked), second.answered):
            yield case.finding(
                "P5", "was taken twice, the second time not as a duplicate", first.entry, second.entry
            )
    for first, second in pairwise(granted):
        replaced = case.replaced(min(first.invoked, second.invoked), second.answered)
        if not replaced and contradicts(first.job, second.job):
            yield case.finding("P5", "passed for a duplicate with other content", first.entry, second.entry)


def _presence(case: Case) -> Iterator[Finding]:
    """It is there from its acknowledgement to its deletion, and holds what was sent."""
    contents = [send for send in case.story.sends if send.code is None]
    gone = Spans((ask.invoked, ask.answered) for ask in case.story.asks["delete"] if ask.changed)
    listed = sorted(read.entry for read in case.story.reads if read.job)
    for first, second in pairwise(listed):
        if first == second:
            yield case.finding("P3", "is in one listing twice", first)
    for read in case.story.reads:
        if not read.job:
            since = case.granted.last_over(read.invoked)
            if since is None or case.gone(since, read.answered):
                continue
            told = next(send.entry for send in case.story.sends if send.invoked == since)
            yield case.finding("P3", "was acknowledged, and is not there", told, read.entry)
            continue
        since = gone.last_over(read.invoked)
        if since is not None and not case.possible.meet(since, read.answered):
            told = next(ask.entry for ask in case.story.asks["delete"] if ask.invoked == since)
            yield case.finding("P1", "was deleted, and is there", told, read.entry)
        if contents and all(contradicts(send.job, read.job) for send in contents):
            yield case.finding("P3", "holds other content than what was sent", contents[0].entry, read.entry)


def _views(case: Case) -> Iterator[Finding]:
    """Views of it, in the order of its LSNs: no step back, no move that the table does not have."""
    views = [read for read in case.story.reads if read.job]
    told = [(read.answered, read.job["lsn"], read.entry) for read in views]
    told += [(event.at, event.lsn, event.entry) for event in case.story.events]
    told.sort()
    newest, teller, position = 0, 0, 0
    for read in sorted(views, key=lambda read: read.invoked):
        while position < len(told) and told[position][0] < read.invoked:
            if told[position][1] > newest:
                _, newest, teller = told[position]
            position += 1
        if read.job["lsn"] < newest:
            text = f"was told of as of LSN {newest}, and is shown later as of {read.job['lsn']}"
            yield case.finding("P1", text, teller, read.entry)
    views.sort(key=lambda read: (read.job["lsn"], read.invoked))
    for first, second in pairwise(views):
        if not case.replaced(first.invoked, second.answered):
            yield from _step(case, first, second)
    for read in views:
        event = case.all_events.get(read.job["lsn"])
        if event is not None:
            yield from _against_event(case, read, event)
        if case.had_cause(read.job.get("reason")):
            continue
        if read.job["state"] == JobState.CANCELLED and not case.wishes["cancel"].meet(-inf, read.answered):
            yield case.finding("P3", "is cancelled, and nobody had asked for it", read.entry)


def _step(case: Case, first: Read, second: Read) -> Iterator[Finding]:
    """From one view to the next newer one."""
    before, after = first.job, second.job
    entries = first.entry, second.entry
    source, target = JobState(before["state"]), JobState(after["state"])
    if before["lsn"] == after["lsn"]:
        if source is not target and not {source, target} <= WAITING:
            yield case.finding("P3", f"is {source} and {target} at the same LSN {after['lsn']}", *entries)
        elif before.get("result") != after.get("result"):
            yield case.finding("P4", "has two results at the same LSN", *entries)
        return
    retried = case.wishes["retry"].meet(-inf, second.answered)
    if target not in (REACHABLE_BY_RETRY if retried else REACHABLE)[source]:
        yield case.finding("P4", f"was {source}, and is {target} later", *entries)
    elif source is JobState.COMPLETED and before.get("result") != after.get("result"):
        yield case.finding("P4", "was completed, and has another result later", *entries)
    if after.get("fence", 0) < before.get("fence", 0):
        yield case.finding("P4", f"had fence {before['fence']}, and {after['fence']} later", *entries)
    if not retried and "attempt" in before and "attempt" in after:
        least = before["attempt"] - (source is JobState.IN_FLIGHT)  # which may have been handed back
        if after["attempt"] < least:
            yield case.finding(
                "P4", f"was at attempt {before['attempt']}, and at {after['attempt']} later", *entries
            )
        if after.get("rescues", 0) < before.get("rescues", 0):
            yield case.finding(
                "P12", f"had {before['rescues']} rescues, and {after['rescues']} later", *entries
            )


def _against_event(case: Case, read: Read, event: Event) -> Iterator[Finding]:
    """A view and the event that it is as of."""
    entries, name = (event.entry, read.entry), event.body["event"]
    if event.body.get("job_id") != case.job_id:
        yield case.finding("P3", f"was shown as of LSN {event.lsn}, which is another's", *entries)
        return
    state, target = JobState(read.job["state"]), LEADS_TO[name]
    if state is not target and not (state in WAITING and target in WAITING):
        yield case.finding("P3", f"was shown as {state} as of LSN {event.lsn}, an event {name}", *entries)
    elif "result" in event.body and event.body["result"] != read.job.get("result"):
        yield case.finding("P4", "has one result in the stream and another in its view", *entries)
    elif target is JobState.DEAD and event.body.get("reason") != read.job.get("reason"):
        yield case.finding("P4", "died of one thing in the stream and of another in its view", *entries)
