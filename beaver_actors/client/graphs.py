"""Graphs of jobs, put together from jobs: one after the other, side by side, and one when all have ended.

Values only: nothing is sent. A graph is enqueued by `client.enqueue_graph`, or, as it is a number of jobs, by
`client.enqueue_many`; the same in all three clients.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, get_args, overload

from beaver_actors.client.arguments import mistyped, one_of
from beaver_actors.client.new_jobs import JobCall, NewJob, new_job
from beaver_actors.core.job import OnParentFailure

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    R = TypeVar("R", default=Any)
    R_co = TypeVar("R_co", covariant=True, default=Any)
else:
    from typing import TypeVar

    R = TypeVar("R")
    R_co = TypeVar("R_co", covariant=True)


class Graph(Generic[R_co]):
    """Jobs of which some depend on others. `R` is what the job returns that comes last.

    Args:
        jobs: all of them, each after its parents.
        starts: those that depend on no other of them.
        ends: those that no other depends on.
    """

    __slots__ = ("ends", "jobs", "starts")

    def __init__(
        self, jobs: tuple[NewJob, ...], starts: tuple[NewJob, ...], ends: tuple[NewJob[R_co], ...]
    ) -> None:
        self.jobs = jobs
        self.starts = starts
        self.ends = ends

    def __iter__(self) -> Iterator[NewJob]:
        return iter(self.jobs)

    def __len__(self) -> int:
        return len(self.jobs)

    @property
    def last(self) -> NewJob[R_co]:
        """The one job that comes last.

        Raises:
            ValueError: there are several.
        """
        if len(self.ends) != 1:
            raise ValueError(
                f"this graph has {len(self.ends)} jobs that come last, not one: use enqueue_many"
            )
        return self.ends[0]


Step: TypeAlias = NewJob[R] | JobCall[R] | Graph[R]
"""A job, a call of a job function, or a graph."""
STEPS: Final = "jobs (new_job), calls (function.call) or graphs"


@overload
def chain(one: Step[R], /) -> Graph[R]: ...
@overload
def chain(one: Step[Any], two: Step[R], /) -> Graph[R]: ...
@overload
def chain(one: Step[Any], two: Step[Any], three: Step[R], /) -> Graph[R]: ...
@overload
def chain(one: Step[Any], two: Step[Any], three: Step[Any], four: Step[R], /) -> Graph[R]: ...
@overload
def chain(*steps: Step[Any]) -> Graph[Any]: ...


def chain(*steps: Step[Any]) -> Graph[Any]:
    """One after the other: each step runs when the one before has completed, and reads its results in its
    `context.parents`. A step that is a group is followed when all of it has completed.

    Raises:
        ValueError: no steps, or a job that stands there twice.
        TypeError: a step is none.
    """
    graphs = [_graph(step, f"chain[{place}]") for place, step in enumerate(steps)]
    if not graphs:
        raise ValueError("chain: expected at least one job, got none")
    for before, after in pairwise(graphs):
        for job in after.starts:
            _wait_for(job, before.ends)
    return Graph(_all(graphs), graphs[0].starts, graphs[-1].ends)


def group(*steps: Step[R]) -> Graph[R]:
    """Side by side: no step waits for another. May be empty.

    Raises:
        ValueError: a job that stands there twice.
        TypeError: a step is none.
    """
    return _group("group", steps)


def _group(name: str, steps: tuple[Step[R], ...]) -> Graph[R]:
    graphs = [_graph(step, f"{name}[{place}]") for place, step in enumerate(steps)]
    starts = tuple(job for graph in graphs for job in graph.starts)
    return Graph(_all(graphs), starts, tuple(job for graph in graphs for job in graph.ends))


def when_all(
    steps: Iterable[Step[Any]],
    then: NewJob[R] | JobCall[R],
    *,
    on_parent_failure: OnParentFailure = "continue",
) -> Graph[R]:
    """Side by side, and one job when all of them have ended; its `context.parents` say how.

    Args:
        steps: what comes before.
        then: the job that comes last.
        on_parent_failure: "continue": it runs however they have ended. "cancel": it is cancelled with the
            first of them that fails.

    Raises:
        ValueError: a job that stands there twice.
        TypeError: a step is none.
    """
    if isinstance(steps, str | Mapping | NewJob) or not isinstance(steps, Iterable):
        raise mistyped("steps", f"a list of {STEPS}", steps)
    one_of("on_parent_failure", on_parent_failure, get_args(OnParentFailure))
    before = _group("steps", tuple(steps))
    last = _graph(then, "then")
    if before.ends:
        _wait_for(last.last, before.ends)
        last.last.on_parent_failure = on_parent_failure
    return Graph(_all([before, last]), before.starts or last.starts, last.ends)


def _graph(step: Step[R], name: str) -> Graph[R]:
    if isinstance(step, Graph):
        return step
    if isinstance(step, NewJob):
        job = step
    elif hasattr(step, "read_result") and hasattr(step, "options"):
        job = new_job(step)
    else:
        raise mistyped(name, STEPS, step)
    return Graph((job,), (job,), (job,))


def _wait_for(job: NewJob, parents: Iterable[NewJob]) -> None:
    ids = [parent.id for parent in parents if parent.id is not None]
    job.depends_on = tuple(dict.fromkeys([*(job.depends_on or ()), *ids])) or None


def _all(graphs: Iterable[Graph[Any]]) -> tuple[NewJob, ...]:
    jobs = tuple(job for graph in graphs for job in graph.jobs)
    seen: set[str | None] = set()
    for job in jobs:
        if job.id in seen:
            raise ValueError(f"job {job.id} stands in the graph twice")
        seen.add(job.id)
    return jobs
