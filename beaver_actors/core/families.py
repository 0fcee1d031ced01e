"""Which jobs wait for which: parents, their children, and the children whose waiting is over.

An index over the jobs, derived like the others. A child is blocked until each of its parents has ended; a
parent that is gone has nothing to say any more. Because that follows from the jobs as they stand, no message
between them can be lost: a child whose time has come is *ripe* until a fact about it says what became of it,
and whoever comes next, a later command or a later life, finds it so. Part of `fold`: it is kept up, and never
decides; `settle` reads it and decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from beaver_actors.core.facts import Fact, JobCancelled, JobUnblocked
from beaver_actors.core.job import FINISHED, Job, JobState

BLOCKED, COMPLETED = JobState.BLOCKED, JobState.COMPLETED
FAILED = frozenset({JobState.DEAD, JobState.CANCELLED})

SETTLED_MAX = 1000
"""Children that one command lets go at once, all in its own batch; those beyond follow by ticks, so that a
parent of thousands does not hold up the commands behind it."""


class Family:
    """The children of one job, in order of arrival."""

    __slots__ = ("children", "unfinished")

    def __init__(self) -> None:
        self.children: dict[str, Job] = {}
        self.unfinished = 0
        """While there are any, retention leaves the parent alone: they may yet read its result."""


class Families:
    """All families."""

    __slots__ = ("_by_parent", "_open", "ripe")

    def __init__(self) -> None:
        self._by_parent: dict[str, Family] = {}
        self._open: dict[str, int] = {}
        """For each blocked job, the parents that have yet to end."""
        self.ripe: dict[str, Job] = {}
        """Blocked jobs with nothing left to wait for: all parents have ended, or one failed that must not."""

    def of(self, parent_id: str) -> Family | None:
        """The children of this job; None if it has none."""
        return self._by_parent.get(parent_id)

    def parents(self) -> set[str]:
        """Every job that has children."""
        return set(self._by_parent)

    def needs(self, parent_id: str) -> bool:
        """Whether a child that has yet to finish may ask for this job."""
        family = self._by_parent.get(parent_id)
        return family is not None and family.unfinished > 0

    def open_parents(self) -> Mapping[str, int]:
        """For each blocked job, how many of its parents have yet to end."""
        return self._open

    def join(self, child: Job, jobs: Mapping[str, Job]) -> None:
        """A job that has parents is there."""
        for parent_id in child.depends_on:
            family = self._by_parent.get(parent_id)
            if family is None:
                family = self._by_parent[parent_id] = Family()
            family.children[child.id] = child
            family.unfinished += child.state not in FINISHED
        if child.state is BLOCKED:
            self._block(child, jobs)

    def begun(self, parent_id: str, jobs: Mapping[str, Job]) -> None:
        """A job has come, or come back, whose children may be there already."""
        for child in self._blocked(parent_id):
            self._open[child.id] += 1
            self._weigh(child, jobs)

    def moved(self, job: Job, source: JobState, jobs: Mapping[str, Job]) -> list[str]:
        """A job has gone from one state to another. Returns the parents that nobody needs any more."""
        target = job.state
        free: list[str] = []
        was, is_now = source in FINISHED, target in FINISHED
        if job.depends_on:
            if source is BLOCKED:
                self._unblock(job)
            if was is not is_now:
                free = self._count(job, -1 if is_now else 1)
            if target is BLOCKED:
                self._block(job, jobs)
        if was is not is_now and job.id in self._by_parent:
            if is_now:
                self._ended(job.id, jobs, failed=target in FAILED)
            else:
                self.begun(job.id, jobs)
        return free

    def left(self, job: Job, jobs: Mapping[str, Job]) -> list[str]:
        """A job is deleted, gone from `jobs` already. Returns the parents that nobody needs any more."""
        free: list[str] = []
        if job.depends_on:
            if job.state is BLOCKED:
                self._unblock(job)
            if job.state not in FINISHED:
                free = self._count(job, -1)
            for parent_id in job.depends_on:
                family = self._by_parent[parent_id]
                del family.children[job.id]
                if not family.children:
                    del self._by_parent[parent_id]
        if job.id in self._by_parent:
            if job.state not in FINISHED:
                self._ended(job.id, jobs, failed=False)
            elif job.state in FAILED:
                for child in self._blocked(job.id):
                    self._weigh(child, jobs)
        return free

    def _ended(self, parent_id: str, jobs: Mapping[str, Job], *, failed: bool) -> None:
        for child in self._blocked(parent_id):
            self._open[child.id] -= 1
            if failed:
                self._weigh(child, jobs)
            elif not self._open[child.id]:
                self.ripe[child.id] = child

    def _blocked(self, parent_id: str) -> list[Job]:
        family = self._by_parent.get(parent_id)
        return [] if family is None else [job for job in family.children.values() if job.state is BLOCKED]

    def _block(self, child: Job, jobs: Mapping[str, Job]) -> None:
        parents = (jobs.get(parent_id) for parent_id in child.depends_on)
        self._open[child.id] = sum(parent is not None and parent.state not in FINISHED for parent in parents)
        self._weigh(child, jobs)

    def _unblock(self, child: Job) -> None:
        del self._open[child.id]
        self.ripe.pop(child.id, None)

    def _weigh(self, child: Job, jobs: Mapping[str, Job]) -> None:
        """Whether this blocked job is ripe."""
        if not self._open[child.id] or is_doomed(child, jobs):
            self.ripe[child.id] = child
        else:
            self.ripe.pop(child.id, None)

    def _count(self, child: Job, more: int) -> list[str]:
        free: list[str] = []
        for parent_id in child.depends_on:
            family = self._by_parent[parent_id]
            family.unfinished += more
            if not family.unfinished:
                free.append(parent_id)
        return free


def is_doomed(child: Job, jobs: Mapping[str, Job]) -> bool:
    """Whether a parent has failed that must not."""
    if child.on_parent_failure == "continue":
        return False
    parents = (jobs.get(parent_id) for parent_id in child.depends_on)
    return any(parent is not None and parent.state in FAILED for parent in parents)


def settle(
    families: Families, jobs: Mapping[str, Job], now_ms: int, limit: int = SETTLED_MAX
) -> Iterator[Fact]:
    """What becomes of the ripe ones, at most so many. A cancelled one may have children in turn, which are
    ripe once its fact is folded: ask again until there are none."""
    for child in islice(families.ripe.values(), max(limit, 0)):
        if is_doomed(child, jobs):
            yield JobCancelled(child.id, now_ms, "parent_failed")
        else:
            yield JobUnblocked(child.id, now_ms, max(child.run_at_ms, now_ms))
