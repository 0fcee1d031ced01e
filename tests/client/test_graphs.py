"""Graphs put together from jobs, and run through the whole of client, codec, core and handlers."""

from __future__ import annotations

import pytest

from beaver_actors import App, Context
from beaver_actors.client import JobCancelled, NewJob, chain, group, new_job, when_all
from beaver_actors.testing.kit import Kit

app = App()


@app.job("count")
def count(page: int) -> int:
    return page * 10


@app.job("tear", max_attempts=1)
def tear(page: int) -> int:
    raise ValueError(f"page {page} is torn")


@app.job("total")
async def total(context: Context, extra: int = 0) -> int:
    return extra + sum(int(parent.result) for parent in context.parents)


@app.job("states")
def states(context: Context) -> list[str]:
    return [str(parent.state) for parent in context.parents]


def parents(job: NewJob) -> tuple[str, ...] | None:
    return job.depends_on


def test_a_chain_runs_one_after_the_other() -> None:
    """P3: each reads what the one before returned; the handle is that of the last."""
    kit = Kit(app)
    job = kit.client.enqueue_graph(chain(count.call(page=1), total.call(extra=5), total.call(extra=7)))
    kit.drain_queue()
    result: int = job.result()
    assert result == 22


def test_a_group_runs_before_what_comes_after_it() -> None:
    """P3: fan out, join, go on; jobs, calls and graphs may be mixed."""
    graph = chain(new_job(count.call(page=4)), group(total.call(), total.call(extra=1)), total.call())
    kit = Kit(app)
    job = kit.client.enqueue_graph(graph)
    kit.drain_queue()
    assert job.result() == 81
    assert [len(parents(one) or ()) for one in graph] == [0, 1, 1, 2]


def test_one_job_runs_when_all_have_ended_however_they_have() -> None:
    """P3: the callback of a batch that never gets lost, and sees how each has ended."""
    kit = Kit(app)
    job = kit.client.enqueue_graph(when_all([count.call(page=1), tear.call(page=2)], states.call()))
    kit.drain_queue()
    assert job.result() == ["completed", "dead"]


def test_or_it_is_cancelled_with_the_first_that_fails() -> None:
    """P3: and who waits for it is told."""
    kit = Kit(app)
    graph = when_all([count.call(page=1), tear.call(page=2)], states.call(), on_parent_failure="cancel")
    job = kit.client.enqueue_graph(graph)
    kit.drain_queue()
    with pytest.raises(JobCancelled):
        job.result()
    info = kit.client.get(job.id)
    assert info.reason == "parent_failed"
    assert sorted(str(parent.state) for parent in info.parents) == ["completed", "dead"]


def test_of_nothing_all_has_ended() -> None:
    """P3: an empty batch has its callback at once."""
    kit = Kit(app)
    job = kit.client.enqueue_graph(when_all([], states.call()))
    kit.drain_queue()
    assert job.result() == []


def test_what_is_no_graph_is_refused_before_anything_is_sent() -> None:
    """P3: with what is wrong about it."""
    job = new_job("work")
    with pytest.raises(ValueError, match="stands in the graph twice"):
        group(job, job)
    with pytest.raises(ValueError, match="at least one job"):
        chain()
    with pytest.raises(ValueError, match="2 jobs that come last"):
        Kit(app).client.enqueue_graph(group(new_job("work"), new_job("work")))
    with pytest.raises(TypeError, match=r"depends_on\[1\]: expected a job or the id of one"):
        new_job("work", depends_on=[job, 7])  # type: ignore[list-item]


def test_a_graph_may_be_larger_than_another_batch() -> None:
    """P11: ten thousand jobs in one message, where others are a thousand."""
    kit = Kit(app)
    kit.client.enqueue_many(when_all([new_job("work") for _ in range(1_500)], states.call()))
    assert len(kit.jobs(states)) == 1
