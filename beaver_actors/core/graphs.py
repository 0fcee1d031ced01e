"""Graphs of jobs that are enqueued together: which parents a job may have, and in which order the jobs come
into being, parents first. Part of `decide`: reads, never writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush

from beaver_actors.core.answers import Enqueued, Receipt, Refused
from beaver_actors.core.commands import NewJob
from beaver_actors.core.job import Extras
from beaver_actors.core.state import State

GRAPH_JOBS_MAX = 10_000
"""Jobs of one message that depend on each other."""
GRAPH_EDGES_MAX = 100_000
"""Dependencies in one message."""
CHILDREN_MAX = 10_000
"""Children of one job that have yet to finish: what is to be looked at when it ends."""


def parents_first(state: State, jobs: Sequence[NewJob]) -> Refused | list[int]:
    """The order in which to judge these jobs: places in `jobs`, each job after its parents and otherwise as
    they came; or why no such order exists, or a parent does not."""
    first = {new.job_id: place for place, new in reversed(list(enumerate(jobs)))}
    refused = _check(state, jobs, first)
    if refused is not None:
        return refused
    waits_for: list[int] = []
    children: dict[int, list[int]] = {}
    for place, new in enumerate(jobs):
        if place == first[new.job_id]:
            inside = [first[parent] for parent in _parents(state, new) if parent in first]
        else:
            inside = [first[new.job_id]]  # named twice: the first one counts
        waits_for.append(len(inside))
        for parent_place in inside:
            children.setdefault(parent_place, []).append(place)
    free = [place for place, count in enumerate(waits_for) if not count]  # sorted, so a heap
    order: list[int] = []
    while free:
        place = heappop(free)
        order.append(place)
        for child in children.get(place, ()):
            waits_for[child] -= 1
            if not waits_for[child]:
                heappush(free, child)
    if len(order) < len(jobs):
        place = min(place for place, count in enumerate(waits_for) if count)
        place = _in_circle(place, children, waits_for)
        text = f"jobs[{place}].depends_on: job {jobs[place].job_id} depends on itself through others"
        return Refused("bad_request", text)
    return order


def as_asked(order: Sequence[int], answer: Enqueued) -> Enqueued:
    """The receipts in the order of the request, each with the LSN of its arrival."""
    placed: dict[int, Receipt] = {}
    lsn = answer.lsn - sum(not receipt.duplicate for receipt in answer.receipts)
    for place, receipt in zip(order, answer.receipts, strict=True):
        lsn += not receipt.duplicate
        placed[place] = receipt if receipt.duplicate else receipt._replace(lsn=lsn)
    return Enqueued(tuple(placed[place] for place in range(len(order))), answer.lsn)


def renamed(extras: Extras, others: dict[str, str]) -> Extras:
    """What a job asks for, with the parents that are really there: `others` stand for jobs that were not
    taken because another held their unique key."""
    if not others or others.keys().isdisjoint(extras.depends_on):
        return extras
    parents = dict.fromkeys(others.get(parent, parent) for parent in extras.depends_on)
    return extras._replace(depends_on=tuple(parents))


def too_many_children(state: State, fresh: Iterable[NewJob]) -> Refused | None:
    """Why these new jobs would be more than a parent can have, if so."""
    counts: Counter[str] = Counter()
    for new in fresh:
        if new.extras is not None:
            counts.update(new.extras.depends_on)
    for parent, count in counts.items():
        family = None if state.families is None else state.families.of(parent)
        if (0 if family is None else family.unfinished) + count > CHILDREN_MAX:
            text = f"job {parent} has its limit of {CHILDREN_MAX} children that have yet to finish"
            return Refused("queue_full", text, 1_000)
    return None


def _parents(state: State, new: NewJob) -> tuple[str, ...]:
    """The parents this job waits for. None for one that exists: asking for it again changes nothing."""
    return () if new.extras is None or new.job_id in state.jobs else new.extras.depends_on


def _check(state: State, jobs: Sequence[NewJob], first: dict[str, int]) -> Refused | None:
    edges = 0
    for place, new in enumerate(jobs):
        if new.job_id in state.jobs or new.extras is None or first[new.job_id] != place:
            continue
        edges += len(new.extras.depends_on)
        for position, parent in enumerate(new.extras.depends_on):
            where = f"jobs[{place}].depends_on[{position}]"
            if parent == new.job_id:
                return Refused("bad_request", f"{where}: job {parent} cannot depend on itself")
            if parent not in first and parent not in state.jobs:
                text = f"{where}: job {parent} does not exist, neither here nor among the jobs before"
                return Refused("not_found", text)
    if edges > GRAPH_EDGES_MAX:
        text = f"jobs: expected at most {GRAPH_EDGES_MAX} dependencies in all, got {edges}"
        return Refused("too_large", text)
    return None


def _in_circle(place: int, children: dict[int, list[int]], waits_for: list[int]) -> int:
    """A job that really is part of a circle, not just behind one: follow parents until one comes twice."""
    parents = {child: parent for parent, own in children.items() if waits_for[parent] for child in own}
    seen: set[int] = set()
    while place not in seen:
        seen.add(place)
        place = parents[place]
    return place
