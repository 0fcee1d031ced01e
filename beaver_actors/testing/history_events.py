"""What watchers and handlers were told of one job, and whether it fits.

Its events follow the lifecycle table, have their causes and bear the fence of the lease; its executions have
leases that the log knows of, and what is recorded is what a handler told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import inf

from beaver_actors.core.facts import EVENT_NAMES, JOB_FACTS, JobDeleted, JobEnqueued
from beaver_actors.core.job import JobState
from beaver_actors.core.transitions import TRANSITIONS
from beaver_actors.testing.history_case import Case, Finding, contradicts
from beaver_actors.testing.history_stories import Event, Run

FACTS = {EVENT_NAMES[fact]: fact for fact in JOB_FACTS}
LEADS_TO = {EVENT_NAMES[fact]: target for (_, fact), target in TRANSITIONS.items()}
"""The state after each event; `scheduled` and `pending` are one here."""
CAUSES = {"job_cancel_requested": "cancel", "job_cancelled": "cancel", "job_retried": "retry"}
"""Events that a request must have caused."""
DELETED, ENQUEUED = EVENT_NAMES[JobDeleted], EVENT_NAMES[JobEnqueued]


def check_events(case: Case) -> Iterator[Finding]:
    """Its events: each follows from the one before by the table, under the fence of its lease."""
    stage: JobState | None = None
    stretch, rescues, failures = 0, 0, 0
    lease: int | None = None
    counted = True
    completed: Event | None = None
    for event in case.story.events:
        name, body = event.body["event"], event.body
        whole = event.stretch == stretch
        if whole and (stage, FACTS[name]) not in TRANSITIONS:
            before = [other.entry for other in case.story.events if other.lsn < event.lsn][-1:]
            promise = "P5" if FACTS[name] is JobEnqueued else "P4"
            yield case.finding(
                promise, f"has the event {name} (LSN {event.lsn}) when {stage}", *before, event.entry
            )
        elif completed is not None and name == "job_completed" and not case.gone(-inf, event.at):
            yield case.finding("P4", "was completed twice", completed.entry, event.entry)
        if name == "job_started":
            lease = event.lsn
        fence = body.get("fence", lease if whole else None)
        if whole and lease is not None and fence != lease:
            yield case.finding("P4", f"has {name} under fence {fence}, but the lease is {lease}", event.entry)
        counted &= whole
        if name in (ENQUEUED, "job_retried"):
            rescues, failures, counted = 0, 0, True
        rescues += name == "job_rescued"
        failures += name == "job_failed"
        yield from _cause(case, event, rescues if counted else None, failures if counted else None)
        stage, stretch, lease = LEADS_TO[name], event.stretch, fence
        if body.get("depends_on") or body.get("blocked"):
            stage = JobState.BLOCKED
        completed = event if name == "job_completed" else completed


def _cause(case: Case, event: Event, rescues: int | None, failures: int | None) -> Iterator[Finding]:
    """What an event says can have come about.

    Args:
        event: any.
        rescues: so far, if all events since the job's arrival are known.
        failures: likewise.
    """
    name, body, entries = event.body["event"], event.body, (event.entry,)
    wish = CAUSES.get(name)
    if name == DELETED and body["reason"] == "request":
        wish = "delete"
    if case.had_cause(body.get("reason")):
        wish = None
    if body.get("reason") == "parent_failed" and any(send.job.get("depends_on") for send in case.story.sends):
        wish = None  # it went with a job that it depends on
    if wish is not None and not case.wishes[wish].meet(-inf, event.at):
        yield case.finding("P3", f"has the event {name}, and nobody had asked for it", *entries)
    if name == DELETED and body["reason"] == "retention" and not case.rules.forgets:
        yield case.finding("P3", "was deleted by time, which nothing here is", *entries)
    sends = [send for send in case.story.sends if send.code is None]
    if name == ENQUEUED and sends and all(contradicts(send.job, body) for send in sends):
        yield case.finding("P3", "arrived with other content than what was sent", sends[0].entry, event.entry)
    if name != "job_died" or not sends:
        return
    attempts = [send.job.get("max_attempts") or case.rules.max_attempts or 0 for send in sends]
    match body["reason"]:
        case "poison" if rescues is not None and rescues + 1 < case.rules.max_rescues:
            yield case.finding("P12", f"is poison, and had been rescued {rescues} times", *entries)
        case "max_attempts" if failures is not None and failures + 1 < min(attempts):
            yield case.finding("P3", f"gave up after {failures + 1} failures of {min(attempts)}", *entries)
        case "expired" if not any(send.job.get("expires_at") for send in sends):
            yield case.finding("P3", "expired, and has no time to expire at", *entries)


def check_runs(case: Case) -> Iterator[Finding]:
    """Its executions: each under a fence of its own that the log gave it, none after it was completed."""
    for first, second in pairwise(_in_order(case.story.runs)):
        entries = first.entry, second.entry
        if second.fence < first.fence:
            yield case.finding(
                "P4", f"ran under fence {first.fence}, and later under {second.fence}", *entries
            )
        if second.attempt < first.attempt and not (
            case.gone(first.at, second.at) or case.wishes["retry"].meet(-inf, second.at)
        ):
            yield case.finding("P4", f"ran attempt {first.attempt}, and later {second.attempt}", *entries)
    for run in case.story.runs:
        event = case.all_events.get(run.fence)
        expected = "job_started", case.job_id
        if event is not None and (event.body["event"], event.body.get("job_id")) != expected:
            text = f"ran under fence {run.fence}, and the log has no start there"
            yield case.finding("P2", text, run.entry, event.entry)
    yield from _after_completion(case)
    yield from _fences_shown(case)
    if case.rules.handlers:
        yield from _reported(case)


def _in_order(runs: Sequence[Run]) -> list[Run]:
    """Without those that run late: on a machine that was cut off, under a lease that has gone to another."""
    kept: list[Run] = []
    for run in runs:
        if not (run.remote and kept and run.fence < max(other.fence for other in kept)):
            kept.append(run)
    return kept


def _after_completion(case: Case) -> Iterator[Finding]:
    told = [(e.at, e.entry, e.body["fence"]) for e in case.story.events if e.body["event"] == "job_completed"]
    told += [
        (read.answered, read.entry, read.job["fence"])
        for read in case.story.reads
        if read.job and read.job["state"] == JobState.COMPLETED
    ]
    first, number, fence = min(told, default=(inf, 0, 0))
    for run in case.story.runs:
        late = run.remote and run.fence < fence
        if run.at > first and not late and not case.gone(-inf, run.at):
            yield case.finding("P4", "ran after it was told completed", number, run.entry)


def _fences_shown(case: Case) -> Iterator[Finding]:
    """A view that was asked for after an execution began knows of its start (P2)."""
    newest: Run | None = None
    position, runs = 0, case.story.runs
    for read in sorted(case.story.reads, key=lambda read: read.invoked):
        while position < len(runs) and runs[position].at < read.invoked:
            if newest is None or runs[position].fence > newest.fence:
                newest = runs[position]
            position += 1
        if newest is None or not read.job or case.gone(newest.at, read.answered):
            continue
        if read.job.get("fence", newest.fence) < newest.fence:
            text = f"ran under fence {newest.fence}, and is shown with {read.job['fence']} later"
            yield case.finding("P2", text, newest.entry, read.entry)


def _reported(case: Case) -> Iterator[Finding]:
    """A recorded success is what the handler under that fence returned (P4)."""
    runs = {run.fence: run for run in case.story.runs}
    told = [
        (event.entry, event.body["fence"], event.body.get("result"))
        for event in case.story.events
        if event.body["event"] == "job_completed"
    ]
    told += [
        (read.entry, read.job["fence"], read.job.get("result"))
        for read in case.story.reads
        if read.job.get("state") == JobState.COMPLETED
    ]
    for number, fence, result in told:
        run = runs.get(fence)
        if run is None or run.end is None or run.end.outcome != "succeeded":
            entries = (number,) if run is None else (run.entry, number)
            yield case.finding(
                "P4", f"is completed under fence {fence}, whose handler told no success", *entries
            )
        elif run.end.result != result:
            yield case.finding(
                "P4", "is completed with a result that its handler did not return", run.entry, number
            )
