"""One job's case: its story, the rules, and the questions that every check asks of them.

Here it is decided how sure one can be: whether a job may have been deleted, or replaced by another, between
two times, and whether two contents certainly differ. What is wrong with a job, the checks say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from beaver_actors.testing.history_stories import WISHES, Stories, Story

SHOWN = ("kind", "args", "queue", "priority", "max_attempts", "tags", "meta")
"""Fields of a job that are shown as they were sent."""
TIMES = frozenset({"id", "delay", "run_at", "expires_at"})
"""Fields of a job that are no part of its content."""


class Finding(NamedTuple):
    """What becomes a `Violation`: promise, job, message, entries."""

    promise: str
    job_id: str | None
    message: str
    entries: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """What is known of the server and of the history."""

    max_rescues: int = 3
    """Deaths of its worker after which a job is poison."""
    max_attempts: int | None = None
    """Of a job that does not say; None for not known."""
    forgets: bool = False
    """Whether time may have deleted finished jobs."""
    handlers: bool = False
    """Whether every execution is in the history."""
    scheduled: Mapping[str, tuple[dict[str, Any], bool]] = field(default_factory=dict)
    """By the name of each schedule, the job that it brings, and whether it may cancel the one before."""


class Case:
    """All that is known about one id."""

    def __init__(self, story: Story, stories: Stories, rules: Rules) -> None:
        self.job_id = story.job_id
        self.story = story
        self.all_events = stories.events
        self.rules = rules
        self.possible = story.possible()
        self.granted = story.granted()
        self._has_key = any(send.job.get("unique_key") for send in story.sends)
        self._has_parents = any(send.job.get("depends_on") for send in story.sends)
        self.wishes = {wish: story.wishes(wish) for wish in WISHES}
        self.forgotten = rules.forgets or any(
            event.body["event"] == "job_deleted" and event.body["reason"] == "retention"
            for event in story.events
        )

    def finding(self, promise: str, message: str, *entries: int) -> Finding:
        """A finding about this job."""
        return Finding(promise, self.job_id, message, entries)

    def had_cause(self, reason: object) -> bool:
        """Whether it may have been cancelled for this reason with nobody asking: another one took its key, or
        a parent failed."""
        return (reason == "replaced" and self._has_key) or (reason == "parent_failed" and self._has_parents)

    def gone(self, after: float, before: float) -> bool:
        """Whether it may have been deleted between these times, so that what was told may be of two jobs."""
        return self.forgotten or self.wishes["delete"].meet(after, before)

    def replaced(self, after: float, before: float) -> bool:
        """Whether another may have come in its place."""
        return self.gone(after, before) and self.possible.meet(after, before)


def certainly_equal(job: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two jobs as sent have the same content beyond doubt."""
    return _content(job) == _content(other)


def _content(job: dict[str, Any]) -> dict[str, Any]:
    return {"args": {}} | {key: value for key, value in job.items() if key not in TIMES}


def contradicts(sent: dict[str, Any], shown: dict[str, Any]) -> bool:
    """Whether a job that was shown, or sent as the same, has another content than the one sent. Fields that
    one of them leaves out may be the same."""
    sent, shown = {"args": {}, **sent}, {"args": {}, **shown} if "kind" in shown else shown
    named = (key for key in SHOWN if sent.get(key) is not None and shown.get(key) is not None)
    return any(sent[key] != shown[key] for key in named)
