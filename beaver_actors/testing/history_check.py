"""The history checker: holds what was told against what a job queue may do.

Jobs are independent, so no search for an order of everything is needed: each job's requests, views, events
and executions are sorted, and neighbours compared; time grows as n log n. What this file checks itself spans
jobs: the streams of events, and the end of the log. `history_views` and `history_events` check one job.

A finding is certain: what an overlapping or unanswered request may have caused is no violation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from beaver_actors.testing.history import Began, Call, Entry, History, Missed, Seen, Watching, line
from beaver_actors.testing.history_case import Case, Finding, Rules, certainly_equal
from beaver_actors.testing.history_events import check_events, check_runs
from beaver_actors.testing.history_stories import Ask, Send, Stories, Story, take_apart
from beaver_actors.testing.history_views import check_views

__all__ = ["Rules", "Violation", "check", "explain"]


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that cannot have happened if the promises are kept."""

    promise: str
    """"P1" to "P12"."""
    job_id: str | None
    """None if it is not about one job."""
    message: str
    entries: tuple[int, ...]
    """Positions in the history of what does not fit together."""

    def __str__(self) -> str:
        about = "" if self.job_id is None else f"job {self.job_id} "
        where = ", ".join(str(number) for number in self.entries)
        return f"{self.promise}: {about}{self.message} (entries {where})"


def check(history: History | Iterable[Entry], rules: Rules | None = None) -> list[Violation]:
    """Check everything.

    Args:
        history: what was told.
        rules: what kind of server it was, and how much of its doings is in the history.

    Returns:
        What cannot have happened, in the order of the last entry involved; empty if all is well.
    """
    entries = history.entries if isinstance(history, History) else list(history)
    rules = rules or Rules()
    stories = take_apart(entries)
    found = [*_streams(entries), *_heads(entries), *_conflicts(entries, stories), *_fences(stories)]
    strays = 0
    for story in stories.jobs.values():
        if not story.sends and (story.reads or story.events or story.runs):
            strays += 1
            if strays <= stories.nameless:
                continue  # one of those whose ids the server chose and nobody was told
        _take_schedule(story, rules)
        _take_operations(story, stories)
        case = Case(story, stories, rules)
        found += [*check_views(case), *check_events(case), *check_runs(case)]
    violations = [Violation(*finding) for finding in found]
    return sorted(violations, key=lambda violation: max(violation.entries, default=0))


def _take_schedule(story: Story, rules: Rules) -> None:
    """A job of a schedule is sent by the server itself, who knows when; and it may be cancelled by it."""
    scheduled = rules.scheduled.get(story.job_id.partition("@")[0])
    if scheduled is not None and not story.sends:
        job, cancels = scheduled
        story.sends.append(Send(0, -inf, inf, job, None, None, None))
        if cancels:
            story.asks["cancel"].append(Ask(0, -inf, inf, None, None))


def _take_operations(story: Story, stories: Stories) -> None:
    """An operation may retry or delete any job that fits, whenever it comes to it."""
    for number, call in stories.operations:
        kind, queue, tag = (call.request.get(name) for name in ("kind", "queue", "tag"))
        for send in story.sends:
            job = send.job
            own = job.get("queue") or "default"
            if kind in (None, job["kind"]) and queue in (None, own) and tag in (None, *job.get("tags", ())):
                asked = Ask(number, call.invoked, inf, None, None)
                story.asks[call.request["word"]].append(asked)
                break


def explain(history: History | Sequence[Entry], violations: Iterable[Violation]) -> str:
    """Violations as text, each with its entries below it."""
    entries = history.entries if isinstance(history, History) else history
    lines: list[str] = []
    for violation in violations:
        lines.append(str(violation))
        lines += (f"  {number}: {line(entries[number])}" for number in violation.entries)
    return "\n".join(lines)


def _streams(entries: Sequence[Entry]) -> Iterator[Finding]:
    """Each watcher hears of every event in order, or of a gap; and an event is the same for all (P10)."""
    watching: dict[str, tuple[int, bool]] = {}
    first: dict[int, tuple[int, dict[str, Any]]] = {}
    for number, entry in enumerate(entries):
        match entry:
            case Watching(watcher=watcher, from_lsn=from_lsn, filtered=filtered):
                watching[watcher] = max(from_lsn, 1), filtered
            case Missed(watcher=watcher, from_lsn=from_lsn, to_lsn=to_lsn):
                expected, filtered = watching.get(watcher, (from_lsn, False))
                begins_well = from_lsn >= expected if filtered else from_lsn == expected
                if not (begins_well and from_lsn <= to_lsn):
                    gap = f"{from_lsn}..{to_lsn}"
                    text = f"watcher {watcher} waits for event {expected}, and is told of a gap {gap}"
                    yield Finding("P10", None, text, (number,))
                watching[watcher] = to_lsn + 1, filtered
            case Seen(watcher=watcher, event=event):
                lsn = event["lsn"]
                expected, filtered = watching.get(watcher, (lsn, False))
                if lsn < expected or (lsn > expected and not filtered):
                    text = f"watcher {watcher} waits for event {expected}, and is told of {lsn}"
                    yield Finding("P10", event.get("job_id"), text, (number,))
                watching[watcher] = lsn + 1, filtered
                before = first.setdefault(lsn, (number, event))
                if before[1] != event:
                    text = f"the event at LSN {lsn} was told in two ways"
                    yield Finding("P10", event.get("job_id"), text, (before[0], number))


def _heads(entries: Sequence[Entry]) -> Iterator[Finding]:
    """An answer knows of everything that had been told anywhere before it was asked for: an LSN that was told
    is never taken back (P1)."""
    told: list[tuple[float, int, int]] = []
    answers: list[tuple[float, int, int]] = []
    for number, entry in enumerate(entries):
        match entry:
            case Seen(at=at, event=event):
                told.append((at, event["lsn"], number))
            case Missed(at=at, to_lsn=to_lsn):
                told.append((at, to_lsn, number))
            case Began(at=at, fence=fence):
                told.append((at, fence, number))
            case Call(answered=float() | int() as answered, answer=dict() as answer):
                lsn = _head(answer)
                if lsn is not None:
                    answers.append((entry.invoked, lsn, number))
                told += ((answered, heard, number) for heard in _lsns(answer))
    told.sort()
    highest, teller, position = 0, 0, 0
    for invoked, lsn, number in sorted(answers):
        while position < len(told) and told[position][0] < invoked:
            if told[position][1] > highest:
                _, highest, teller = told[position]
            position += 1
        if lsn < highest:
            text = f"LSN {highest} was told, and an answer asked for after that knows of no more than {lsn}"
            yield Finding("P1", None, text, (teller, number))


def _head(answer: dict[str, Any]) -> int | None:
    """The end of the log as the answer knows it, if it says so."""
    lsn = answer.get("lsn", answer.get("status", {}).get("lsn"))
    return lsn if isinstance(lsn, int) and "subscription" not in answer else None


def _lsns(answer: dict[str, Any]) -> Iterator[int]:
    """LSNs that an answer tells of."""
    head = _head(answer)
    if head is not None:
        yield head
    for job in [answer.get("job"), *(answer.get("jobs") or ())]:
        if job is not None and "lsn" in job:
            yield job["lsn"]


def _conflicts(entries: Sequence[Entry], stories: Stories) -> Iterator[Finding]:
    """A conflict needs another content under the same id (P5)."""
    for number, entry in enumerate(entries):
        if not (
            isinstance(entry, Call)
            and entry.request["type"] == "enqueue"
            and entry.answer is not None
            and entry.answer.get("code") == "conflict"
        ):
            continue
        named = [job for job in entry.request["jobs"] if job.get("id") is not None]
        others = (
            not certainly_equal(job, send.job)
            for job in named
            for send in stories.jobs[job["id"]].sends
            if send.invoked < (entry.answered or 0) and _may_count(send, number)
        )
        if not any(others):
            text = "a conflict was told, but no id in the request was ever sent with other content"
            yield Finding("P5", None, text, (number,))


def _may_count(send: Send, number: int) -> bool:
    """Whether this sending may be what a refused one conflicts with: itself, or one that was accepted."""
    return send.entry == number or send.code is None


def _fences(stories: Stories) -> Iterator[Finding]:
    """A fence is the right to one execution (P4)."""
    runs = sorted(
        (run.entry, run.fence, story.job_id) for story in stories.jobs.values() for run in story.runs
    )
    used: dict[int, tuple[int, str]] = {}
    for entry, fence, job_id in runs:
        first, owner = used.setdefault(fence, (entry, job_id))
        if first != entry:
            yield Finding(
                "P4", job_id, f"runs under fence {fence}, under which job {owner} ran", (first, entry)
            )
