"""A history taken apart by job: for each one the requests, the views, the events and the executions.

Sorting only; what may not be is said in `history_check` and the files it calls.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf
from typing import Any, NamedTuple

from beaver_actors.testing.history import Began, Call, Ended, Entry, Seen

WISHES = frozenset({"cancel", "retry", "delete"})
FILTERS = ("state", "queue", "kind", "tag", "reason", "after")


class Send(NamedTuple):
    """One job of an enqueue."""

    entry: int
    invoked: float
    answered: float
    """Infinite without an answer: it may be carried out at any time after."""
    job: dict[str, Any]
    code: str | None
    """Of the refusal, if it was refused."""
    duplicate: bool | None
    """None if it was not granted."""
    order: int | None
    """The LSN of its arrival, if it was granted and is no duplicate."""

    @property
    def granted(self) -> bool:
        return self.duplicate is not None


class Ask(NamedTuple):
    """One job of a cancel, retry or delete."""

    entry: int
    invoked: float
    answered: float
    changed: bool | None
    """None without an answer."""
    state: str | None
    """The job's afterwards, as told."""


class Read(NamedTuple):
    """A job as somebody was shown it; an empty `job` tells that it was not there."""

    entry: int
    invoked: float
    answered: float
    job: dict[str, Any]


class Event(NamedTuple):
    """An event, when first seen."""

    entry: int
    at: float
    lsn: int
    stretch: int
    """Events in one stretch have no unseen ones between them; the first stretch, 0, begins with LSN 1."""
    body: dict[str, Any]


@dataclass(slots=True)
class Run:
    """An execution."""

    entry: int
    at: float
    attempt: int
    fence: int
    remote: bool = False
    end: Ended | None = None


class Spans:
    """Stretches of time, to be asked which of them lie where, in logarithmic time."""

    def __init__(self, spans: Iterable[tuple[float, float]]) -> None:
        by_begin = sorted(spans)
        self._begins = [begin for begin, _ in by_begin]
        self._latest_end = list(accumulate((end for _, end in by_begin), max))
        by_end = sorted((end, begin) for begin, end in by_begin)
        self._ends = [end for end, _ in by_end]
        self._latest_begin = list(accumulate((begin for _, begin in by_end), max))

    def __len__(self) -> int:
        return len(self._begins)

    def meet(self, after: float, before: float) -> bool:
        """Whether one of them may have happened after `after` and before `before`."""
        count = bisect_left(self._begins, before)
        return count > 0 and self._latest_end[count - 1] > after

    def last_over(self, before: float) -> float | None:
        """Of those that were over before `before`, the latest begin."""
        count = bisect_left(self._ends, before)
        return self._latest_begin[count - 1] if count else None


@dataclass(slots=True)
class Story:
    """All about one id."""

    job_id: str
    sends: list[Send] = field(default_factory=list)
    asks: dict[str, list[Ask]] = field(default_factory=lambda: {wish: [] for wish in WISHES})
    reads: list[Read] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    """By LSN."""
    runs: list[Run] = field(default_factory=list)
    """By time."""

    def possible(self) -> Spans:
        """The sendings that were, or may have been, carried out."""
        return Spans((send.invoked, send.answered) for send in self.sends if send.code is None)

    def granted(self) -> Spans:
        return Spans((send.invoked, send.answered) for send in self.sends if send.granted)

    def wishes(self, wish: str) -> Spans:
        """The requests of this kind that did, or may have done, something."""
        return Spans((ask.invoked, ask.answered) for ask in self.asks[wish] if ask.changed is not False)


@dataclass(slots=True)
class Stories:
    """The whole history, taken apart."""

    jobs: dict[str, Story] = field(default_factory=dict)
    events: dict[int, Event] = field(default_factory=dict)
    """By LSN, as first seen."""
    operations: list[tuple[int, Call]] = field(default_factory=list)
    """Requests to retry or delete many jobs that were, or may have been, carried out."""
    nameless: int = 0
    """Jobs that were sent without an id, and got no answer that tells it."""

    def story(self, job_id: str) -> Story:
        story = self.jobs.get(job_id)
        if story is None:
            story = self.jobs[job_id] = Story(job_id)
        return story


def take_apart(entries: Sequence[Entry]) -> Stories:
    """Sort a history by job."""
    stories = Stories()
    runs: dict[tuple[str, int], Run] = {}
    seen: dict[int, tuple[int, Seen]] = {}
    listings: list[tuple[int, Call, frozenset[str]]] = []
    for number, entry in enumerate(entries):
        match entry:
            case Call():
                _take_call(stories, number, entry, listings)
            case Seen(event=event):
                seen.setdefault(event["lsn"], (number, entry))
            case Began(job_id=job_id, at=at, attempt=attempt, fence=fence, remote=remote):
                run = Run(number, at, attempt, fence, remote)
                stories.story(job_id).runs.append(run)
                runs[job_id, fence] = run
            case Ended(job_id=job_id, fence=fence):
                stories.story(job_id)
                if (job_id, fence) in runs:
                    runs[job_id, fence].end = entry
    _take_events(stories, seen)
    for number, call, there in listings:
        for job_id in stories.jobs.keys() - there:
            stories.jobs[job_id].reads.append(Read(number, call.invoked, call.answered or inf, {}))
    return stories


def _take_call(
    stories: Stories, number: int, call: Call, listings: list[tuple[int, Call, frozenset[str]]]
) -> None:
    request, answer = call.request, call.answer or {}
    kind, granted = request["type"], answer.get("type") == "ok"
    answered = inf if call.answered is None else call.answered

    def read(job: dict[str, Any], job_id: str) -> None:
        stories.story(job_id).reads.append(Read(number, call.invoked, answered, job))

    if kind == "operate" and (granted or not answer):
        stories.operations.append((number, call))
    elif kind == "enqueue":
        _take_sends(stories, number, call)
    elif kind in WISHES:
        changes = answer["changes"] if granted else [None] * len(request["job_ids"])
        refused = False if answer and not granted else None
        for job_id, change in zip(request["job_ids"], changes, strict=True):
            changed = refused if change is None else change["changed"]
            state = None if change is None else change.get("state")
            stories.story(job_id).asks[kind].append(Ask(number, call.invoked, answered, changed, state))
            if change is not None and change.get("code") == "not_found":
                read({}, job_id)
    elif kind == "get" and granted:
        read(answer["job"], request["job_id"])
    elif kind == "get" and answer.get("code") == "not_found":
        read({}, request["job_id"])
    elif kind == "list" and granted:
        for job in answer["jobs"]:
            read(job, job["id"])
        if answer["next"] is None and all(request.get(name) is None for name in FILTERS):
            listings.append((number, call, frozenset(job["id"] for job in answer["jobs"])))


def _take_sends(stories: Stories, number: int, call: Call) -> None:
    jobs, answer = call.request["jobs"], call.answer or {}
    answered = inf if call.answered is None else call.answered
    code = answer.get("code")
    receipts = answer["jobs"] if answer.get("type") == "ok" else [None] * len(jobs)
    order = answer.get("lsn", 0) - sum(1 for receipt in receipts if receipt and not receipt["duplicate"])
    for job, receipt in zip(jobs, receipts, strict=True):
        if receipt is not None and job.get("id") not in (None, receipt["id"]):
            refused = Send(number, call.invoked, answered, job, "not_unique", None, None)
            stories.story(job["id"]).sends.append(refused)  # another holds its key, and was returned
            continue
        job_id = job.get("id") if receipt is None else receipt["id"]
        duplicate = None if receipt is None else receipt["duplicate"]
        order += duplicate is False
        if job_id is None:
            stories.nameless += code is None
            continue
        arrived = receipt.get("lsn", order) if receipt and not duplicate and "lsn" in answer else None
        send = Send(number, call.invoked, answered, job, code, duplicate, arrived)
        stories.story(job_id).sends.append(send)


def _take_events(stories: Stories, seen: dict[int, tuple[int, Seen]]) -> None:
    stretch, before = 0, 0
    for lsn in sorted(seen):
        number, entry = seen[lsn]
        stretch += lsn != before + 1
        before = lsn
        event = Event(number, entry.at, lsn, stretch, entry.event)
        stories.events[lsn] = event
        if entry.event.get("job_id") is not None:
            stories.story(entry.event["job_id"]).events.append(event)
