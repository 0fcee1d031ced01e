"""Handlers that enqueue jobs with their own completion, in every isolation, and what they may not ask for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from beaver_actors import App, Context
from beaver_actors.client import new_job
from beaver_actors.core.job import JobState
from beaver_actors.testing.kit import Kit

app = App()


@app.job("receipt", queue="mail", timeout="1m", tags=["paid"])
def receipt(order: int) -> int:
    return order


@app.job("pay")
def pay(context: Context, order: int) -> str:
    return context.enqueue(receipt.call(order=order), delay=5)


@app.job("spread")
async def spread(context: Context, pages: int) -> None:
    ids = [context.enqueue("receipt", {"order": page}) for page in range(pages)]
    context.enqueue("sum", depends_on=ids, id="the-sum")


@app.job("sum")
def add(context: Context) -> int:
    return sum(int(parent.result) for parent in context.parents)


@app.job("fail", max_attempts=1)
def fail(context: Context) -> None:
    context.enqueue("receipt", {"order": 1})
    raise ValueError("no")


@app.job("ask", max_attempts=1)
def ask(context: Context, case: str) -> None:
    match case:
        case "kind":
            context.enqueue("no kind")
        case "field":
            context.enqueue("work", prioritee=1)
        case "value":
            context.enqueue("work", priority=101)
        case "both":
            context.enqueue(new_job("work"), {"x": 1})
        case "json":
            context.enqueue("work", {"x": object()})
        case "set":
            context.enqueue("work", {"a": {1}})
        case "list":
            context.enqueue("work", [1])  # type: ignore[arg-type]
        case "nothing":
            context.enqueue(None)  # type: ignore[arg-type]
        case "many":
            for _ in range(1_001):
                context.enqueue("work")
        case "large":
            context.enqueue("work", {"x": "y" * 600_000})
            context.enqueue("work", {"x": "y" * 600_000})


def test_a_child_is_there_when_its_parent_has_completed() -> None:
    """P3: with the options of its function and its own; its id is told before it exists."""
    kit = Kit(app)
    job = kit.client.enqueue(pay.call(order=7))
    kit.drain_queue("default")
    (child,) = kit.assert_enqueued(receipt, args={"order": 7}, queue="mail")
    assert (child.state, child.timeout, child.tags) == (JobState.SCHEDULED, 60, ("paid",))
    assert job.result() == child.id
    kit.advance(timedelta(seconds=5))
    kit.drain_queue()
    assert kit.client.job(child.id).result() == 7


def test_a_handler_may_enqueue_a_graph() -> None:
    """P3: from an `async def`; the jobs depend on each other by the ids that they were given."""
    kit = Kit(app)
    kit.client.enqueue(spread.call(pages=4))
    kit.drain_queue()
    assert kit.client.job("the-sum").result() == 6


def test_who_fails_enqueues_nothing() -> None:
    """P3: not even what it had asked for before."""
    kit = Kit(app)
    kit.client.enqueue(fail.call())
    kit.drain_queue()
    kit.refute_enqueued(receipt)


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("kind", "kind: expected 1 to 200"),
        ("field", "prioritee: unknown field"),
        ("value", "priority: expected a number from -100 to 100, got 101"),
        ("both", "args: expected none beside a call or a job"),
        ("json", "the job cannot be written as JSON"),
        ("set", "the job cannot be written as JSON: expected a list, got a set at args.a"),
        ("list", "args: expected an object (a dict), got list"),
        ("nothing", "what: expected a kind, a call (function.call(…)) or a job (new_job(…)), got NoneType"),
        ("many", "at most 1000 jobs"),
        ("large", "at most 1048576 bytes of jobs"),
    ],
)
def test_what_is_wrong_is_told_to_the_handler(case: str, message: str) -> None:
    """P11: where it was asked for, naming the field."""
    kit = Kit(app)
    job = kit.client.enqueue(ask.call(case=case))
    kit.drain_queue()
    (error,) = kit.client.get(job.id).errors
    assert message in error.message
