"""Mistakes in what a client is told: each names the argument, what was expected and what came, in all
clients, and nothing is sent."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
import trio

from beaver_actors import App
from beaver_actors.client import Exponential, aio, connect, graphs, middleware, new_job, sync
from beaver_actors.testing.kit import Kit

app = App()


@app.job("work")
def work(number: int = 0) -> int:
    return number


JOB = new_job("work")
# Type checkers would see these mistakes, too.
chain: Any = graphs.chain
group: Any = graphs.group
when_all: Any = graphs.when_all
add_meta: Any = middleware.add_meta
Case = tuple[Callable[[Any], Any], type[Exception], str]

MISTAKES: dict[str, Case] = {
    "enqueue nothing": (
        lambda c: c.enqueue(None),
        TypeError,
        "kind: expected text, or a call (function.call), got None",
    ),
    "enqueue a job": (
        lambda c: c.enqueue(JOB),
        TypeError,
        "kind: expected text, or a call (function.call), got a NewJob; "
        "a job is handed in by enqueue_many([job])",
    ),
    "args": (lambda c: c.enqueue("work", [1]), TypeError, "args: expected an object (a dict), got a list"),
    "keys": (lambda c: c.enqueue("work", {1: 2}), TypeError, "args: expected text as key, got 1 (int)"),
    "bytes": (lambda c: c.enqueue("work", {"a": b""}), TypeError, "args: expected text, got bytes at a"),
    "meta": (
        lambda c: c.enqueue("work", meta={"a": {1}}),
        TypeError,
        "meta: expected a list, got a set at a",
    ),
    "queue": (lambda c: c.enqueue("work", queue=5), TypeError, "queue: expected text, got 5"),
    "priority": (
        lambda c: c.enqueue("work", priority="high"),
        TypeError,
        "priority: expected a whole number, got the text 'high'",
    ),
    "max_attempts": (
        lambda c: c.enqueue("work", max_attempts=True),
        TypeError,
        "max_attempts: expected a whole number, got True",
    ),
    "delay": (
        lambda c: c.enqueue("work", delay=[]),
        TypeError,
        'delay: expected seconds, text such as "5m", or a timedelta, got a list',
    ),
    "timeout": (
        lambda c: c.enqueue("work", timeout=True),
        TypeError,
        'timeout: expected seconds, text such as "5m", or a timedelta, got True',
    ),
    "run_at": (
        lambda c: c.enqueue("work", run_at=7),
        TypeError,
        "run_at: expected a datetime or RFC 3339 text, got 7",
    ),
    "expires_at": (
        lambda c: c.enqueue("work", expires_at=datetime(2030, 1, 1)),  # noqa: DTZ001  # that is the mistake
        ValueError,
        "expires_at: expected a datetime with a time zone, got 2030-01-01T00:00:00 without",
    ),
    "backoff": (
        lambda c: c.enqueue("work", backoff=object()),
        TypeError,
        "backoff: expected a rule such as Exponential(), a delay, or a list of delays, got an object",
    ),
    "backoff class": (
        lambda c: c.enqueue("work", backoff=Exponential),
        TypeError,
        "backoff: expected a rule such as Exponential(), a delay, or a list of delays, got a StructMeta",
    ),
    "backoff list": (
        lambda c: c.enqueue("work", backoff=[1, None]),
        TypeError,
        'backoff[1]: expected seconds, text such as "5m", or a timedelta, got None',
    ),
    "tags": (
        lambda c: c.enqueue("work", tags="a"),
        TypeError,
        "tags: expected a list of texts, got the text 'a'",
    ),
    "tag": (lambda c: c.enqueue("work", tags=["a", 1]), TypeError, "tags[1]: expected text, got 1"),
    "id": (lambda c: c.enqueue("work", id=7), TypeError, "id: expected text, got 7"),
    "unique_key": (lambda c: c.enqueue("work", unique_key=7), TypeError, "unique_key: expected text, got 7"),
    "unique_until": (
        lambda c: c.enqueue("work", unique_key="a", unique_until=7),
        TypeError,
        "unique_until: expected text, got 7",
    ),
    "on_conflict": (
        lambda c: c.enqueue("work", on_conflict=False),
        TypeError,
        "on_conflict: expected text, got False",
    ),
    "concurrency_key": (
        lambda c: c.enqueue("work", concurrency_key=7),
        TypeError,
        "concurrency_key: expected text, got 7",
    ),
    "parent": (
        lambda c: c.enqueue("work", depends_on=[None]),
        TypeError,
        "depends_on[0]: expected a job or the id of one, got None",
    ),
    "parents": (
        lambda c: c.enqueue("work", depends_on=7),
        TypeError,
        "depends_on: expected a job or the id of one, got 7",
    ),
    "many of a dict": (
        lambda c: c.enqueue_many([JOB, {"kind": "work"}]),
        TypeError,
        "jobs[1]: expected a job (new_job) or a call (function.call), got a dict",
    ),
    "many of text": (
        lambda c: c.enqueue_many("abc"),
        TypeError,
        "jobs: expected a list of jobs (new_job) and calls (function.call), got the text 'abc'",
    ),
    "many of one": (
        lambda c: c.enqueue_many(JOB),
        TypeError,
        "jobs: expected a list of jobs (new_job) and calls (function.call), got a NewJob",
    ),
    "atomic": (
        lambda c: c.enqueue_many([JOB], atomic="no"),
        TypeError,
        "atomic: expected True or False, got the text 'no'",
    ),
    "graph": (
        lambda c: c.enqueue_graph([JOB]),
        TypeError,
        "graph: expected a graph, made by chain, group or when_all, got a list",
    ),
    "group of a list": (
        lambda c: group([JOB, JOB]),
        TypeError,
        "group[0]: expected jobs (new_job), calls (function.call) or graphs, got a list",
    ),
    "chain": (
        lambda c: chain(JOB, "work"),
        TypeError,
        "chain[1]: expected jobs (new_job), calls (function.call) or graphs, got the text 'work'",
    ),
    "when_all of text": (
        lambda c: when_all("abc", JOB),
        TypeError,
        "steps: expected a list of jobs (new_job), calls (function.call) or graphs, got the text 'abc'",
    ),
    "when_all then": (
        lambda c: when_all([new_job("work")], None),
        TypeError,
        "then: expected jobs (new_job), calls (function.call) or graphs, got None",
    ),
    "when_all failure": (
        lambda c: when_all([new_job("work")], JOB, on_parent_failure="stop"),
        ValueError,
        "on_parent_failure: expected one of cancel, continue; got the text 'stop'",
    ),
    "get": (lambda c: c.get(None), TypeError, "job_id: expected text, got None"),
    "job": (lambda c: c.job(JOB), TypeError, "job_id: expected text, got a NewJob"),
    "history": (lambda c: c.history(7), TypeError, "job_id: expected text, got 7"),
    "explain": (lambda c: c.explain(7), TypeError, "job_id: expected text, got 7"),
    "get_at": (lambda c: c.get_at("a", lsn="5"), TypeError, "lsn: expected a whole number, got the text '5'"),
    "status_at": (lambda c: c.status_at(lsn=-1), ValueError, "lsn: expected 0 or more, got -1"),
    "status_at at": (
        lambda c: c.status_at(at=5),
        TypeError,
        "at: expected a datetime or RFC 3339 text, got 5",
    ),
    "list state": (
        lambda c: c.list(state="foo"),
        ValueError,
        "state: expected one of scheduled, pending, blocked, in_flight, completed, dead, cancelled; "
        "got the text 'foo'",
    ),
    "list reason": (
        lambda c: c.list(reason="foo"),
        ValueError,
        "reason: expected one of max_attempts, poison, expired, rejected; got the text 'foo'",
    ),
    "list kind": (lambda c: c.list(kind=work), TypeError, "kind: expected text, got a JobFunction"),
    "list limit": (lambda c: c.list(limit=0), ValueError, "limit: expected 1 or more, got 0"),
    "list page": (lambda c: c.list(page_size=1001), ValueError, "page_size: expected 1 to 1000, got 1001"),
    "list field": (
        lambda c: c.list(stat="dead"),
        TypeError,
        "stat: expected one of state, queue, kind, tag, reason, error_type, created_after, created_before, "
        "finished_after, finished_before",
    ),
    "cancel": (lambda c: c.cancel([JOB]), TypeError, "job_ids[0]: expected text, got a NewJob"),
    "retry": (lambda c: c.retry(7), TypeError, "job_ids: expected a list of texts, got 7"),
    "delete": (lambda c: c.delete(["a", None]), TypeError, "job_ids[1]: expected text, got None"),
    "retry_all": (
        lambda c: c.retry_all(queue=["a"]),
        TypeError,
        "queue: expected text, got a list",
    ),
    "delete_all": (lambda c: c.delete_all(operation_id=7), TypeError, "operation_id: expected text, got 7"),
    "operation": (lambda c: c.operation(7), TypeError, "operation_id: expected text, got 7"),
    "stop_operation": (lambda c: c.stop_operation(None), TypeError, "operation_id: expected text, got None"),
    "wait_operation": (
        lambda c: c.wait_operation("a", on_update="print"),
        TypeError,
        "on_update: expected a function, got the text 'print'",
    ),
    "pause": (lambda c: c.pause(None), TypeError, "queue: expected text, got None"),
    "resume": (lambda c: c.resume(7), TypeError, "queue: expected text, got 7"),
    "drain": (lambda c: c.drain(7), TypeError, "queue: expected text, got 7"),
    "delete_queue": (lambda c: c.delete_queue(7), TypeError, "queue: expected text, got 7"),
    "configure": (
        lambda c: c.configure("q", concurrency="5"),
        TypeError,
        "concurrency: expected a whole number, got the text '5'",
    ),
    "configure rate": (
        lambda c: c.configure("q", rate=5),
        TypeError,
        'rate: expected text such as "100/1m", a RateObject, or None, got 5',
    ),
    "configure rule": (
        lambda c: c.configure("q", speed=5),
        TypeError,
        "speed: expected one of jobs_max, concurrency, rate, key_concurrency, key_rate, ageing",
    ),
    "configure queue": (lambda c: c.configure(7, rate=None), TypeError, "queue: expected text, got 7"),
    "move": (lambda c: c.move("a", None), TypeError, "to: expected text, got None"),
    "move kind": (lambda c: c.move("a", "b", kind=7), TypeError, "kind: expected text, got 7"),
    "wait_all": (
        lambda c: c.wait_all(["id"]),
        TypeError,
        "jobs[0]: expected a handle, as enqueue and client.job(id) return them, got the text 'id'",
    ),
    "wait_all text": (
        lambda c: c.wait_all("id"),
        TypeError,
        "jobs: expected a list of handles, as enqueue returns them, got the text 'id'",
    ),
    "wait_all update": (
        lambda c: c.wait_all([], "print"),
        TypeError,
        "on_update: expected a function, got the text 'print'",
    ),
    "request": (
        lambda c: c.request({"type": "status"}),
        TypeError,
        "request: expected a message of beaver_actors.codec.wire, such as StatusRequest(id=''), got a dict",
    ),
    "schedule name": (
        lambda c: c.schedules.set(7, "work", every=60),
        TypeError,
        "name: expected text, got 7",
    ),
    "schedule kind": (
        lambda c: c.schedules.set("s", None, every=60),
        TypeError,
        "kind: expected text, or a call (function.call), got None",
    ),
    "schedule every": (
        lambda c: c.schedules.set("s", "work", every=[]),
        TypeError,
        'every: expected seconds, text such as "5m", or a timedelta, got a list',
    ),
    "schedule cron": (
        lambda c: c.schedules.set("s", "work", cron=5),
        TypeError,
        "cron: expected text, got 5",
    ),
    "schedule paused": (
        lambda c: c.schedules.set("s", "work", every=60, paused="no"),
        TypeError,
        "paused: expected True or False, got the text 'no'",
    ),
    "schedule args": (
        lambda c: c.schedules.set("s", "work", [], every=60),
        TypeError,
        "args: expected an object (a dict), got a list",
    ),
    "schedule get": (lambda c: c.schedules.get(None), TypeError, "name: expected text, got None"),
    "schedule next": (
        lambda c: c.schedules.get("s", next=101),
        ValueError,
        "next: expected 0 to 100, got 101",
    ),
    "schedule pause": (lambda c: c.schedules.pause(7), TypeError, "name: expected text, got 7"),
    "schedule trigger": (lambda c: c.schedules.trigger(7), TypeError, "name: expected text, got 7"),
    "add_meta": (
        lambda c: add_meta(new_job("work"), [("a", 1)]),
        TypeError,
        "more: expected an object (a dict), got a list",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_by_the_name_of_the_argument(name: str) -> None:
    """By example, in the synchronous client and in the one of Trio and asyncio; nothing is enqueued."""
    call, kind, message = MISTAKES[name]
    kit = Kit(app)
    with pytest.raises(kind) as caught:
        call(kit.client)
    assert str(caught.value) == message
    with pytest.raises(kind) as caught:
        trio.run(_called, call, kit.async_client)
    assert str(caught.value) == message
    assert kit.jobs() == []


async def _called(call: Callable[[Any], Any], client: Any) -> None:
    answer = call(client)
    if inspect.isawaitable(answer):
        await answer


STREAMS: dict[str, Case] = {
    "interval": (
        lambda c: c.subscribe_status(None),
        TypeError,
        'interval: expected seconds, text such as "5m", or a timedelta, got None',
    ),
    "job_ids": (
        lambda c: c.subscribe_events(job_ids="abc"),
        TypeError,
        "job_ids: expected a list of texts, got the text 'abc'",
    ),
    "events": (
        lambda c: c.subscribe_events(events="job_died"),
        TypeError,
        "events: expected a list of texts, got the text 'job_died'",
    ),
    "from_lsn": (
        lambda c: c.subscribe_events("1"),
        TypeError,
        "from_lsn: expected a whole number, got the text '1'",
    ),
    "queue": (lambda c: c.subscribe_events(queue=7), TypeError, "queue: expected text, got 7"),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_mistake_about_a_stream_is_told_before_it_is_entered(name: str) -> None:
    """By example: only the asynchronous client has them."""
    call, kind, message = STREAMS[name]
    with pytest.raises(kind) as caught:
        call(Kit(app).async_client)
    assert str(caught.value) == message


CONNECTS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "url": ({"url": 5}, TypeError, "url: expected text such as ws://127.0.0.1:7440, got 5"),
    "form": ({"form": "xml"}, ValueError, "form: expected one of json, cbor; got the text 'xml'"),
    "patience": ({"patience": -1}, ValueError, "patience: expected 0 seconds or more, got -1"),
    "patience text": (
        {"patience": "1m"},
        TypeError,
        "patience: expected a number of seconds, got the text '1m'",
    ),
    "deadline": (
        {"connect_deadline": 0},
        ValueError,
        "connect_deadline: expected more than 0 seconds, got 0",
    ),
    "deadline nan": (
        {"connect_deadline": float("nan")},
        ValueError,
        "connect_deadline: expected more than 0 seconds, got nan",
    ),
    "reconnect": ({"reconnect": 1}, TypeError, "reconnect: expected True or False, got 1"),
    "token": ({"token": b"a"}, TypeError, "token: expected text, got bytes"),
    "token lines": (
        {"token": "secret\nx"},
        ValueError,
        "token: expected printable characters without line breaks, got others",
    ),
    "tls": ({"tls": True}, TypeError, "tls: expected an ssl.SSLContext, got True"),
    "hooks": ({"on_enqueue": "x"}, TypeError, "on_enqueue: expected a list of functions, got the text 'x'"),
    "hook": (
        {"on_enqueue": print},
        TypeError,
        "on_enqueue: expected a list of functions, got a builtin_function_or_method",
    ),
    "hook none": ({"on_enqueue": [None]}, TypeError, "on_enqueue[0]: expected a function, got None"),
}


async def _entered(context: Any) -> None:
    async with context:
        raise AssertionError("it was entered")


@pytest.mark.parametrize("name", CONNECTS)
def test_a_mistake_about_the_connection_is_told_before_there_is_one(name: str) -> None:
    """By example, in all three clients."""
    options, kind, message = CONNECTS[name]
    for attempt in (
        lambda: sync.connect(**options),
        lambda: trio.run(_entered, connect(**options)),
        lambda: trio.run(_entered, aio.connect(**options)),  # it does not get as far as to ask for its loop
    ):
        with pytest.raises(kind) as caught:
            attempt()
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("timeout", "kind", "message"),
    [
        ("x", TypeError, "timeout: expected a number of seconds, got the text 'x'"),
        (-1, ValueError, "timeout: expected more than 0 seconds, got -1"),
    ],
)
def test_only_the_synchronous_client_has_a_timeout(timeout: Any, kind: type[Exception], message: str) -> None:
    """By example: for questions, and for results."""
    with pytest.raises(kind) as caught:
        sync.connect(timeout=timeout)
    assert str(caught.value) == message
    kit = Kit(app)
    job = kit.client.enqueue(work.call())
    kit.drain_queue()
    with pytest.raises(kind):
        job.result(timeout=timeout)


def test_every_method_is_tried_with_a_mistake() -> None:
    """A method that is added later is not forgotten here."""
    client = Kit(app).async_client
    methods = {name for name in dir(type(client)) if not name.startswith("_")}
    without_arguments = {"status", "workers", "operations", "schedules"}
    tried = set()
    for call, _, _ in [*MISTAKES.values(), *STREAMS.values()]:
        tried |= methods & set(call.__code__.co_names)
    assert methods - tried == without_arguments - tried
