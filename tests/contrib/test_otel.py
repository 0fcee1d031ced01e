"""Tracing with OpenTelemetry: spans as the SDK records them, through the client, the job and the executor."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import trio
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from beaver_actors.client import connect, meta_of, new_job
from beaver_actors.client.new_jobs import JobCall
from beaver_actors.contrib.otel import Tracing
from beaver_actors.core.answers import LeasedJob
from beaver_actors.core.job import Terms
from beaver_actors.core.outcome import Outcome
from beaver_actors.execute.app import App
from beaver_actors.execute.context import Context, Snooze
from beaver_actors.execute.executor import Executor
from tests.client.rig import rigged


class Recorded:
    """A provider that keeps its spans."""

    def __init__(self) -> None:
        self.provider = TracerProvider(shutdown_on_exit=False)
        self._exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


def app_with(tracing: Tracing) -> App:
    app = App()
    tracing.instrument(app)

    @app.job("work", queue="mail")
    async def work(context: Context, x: int) -> str | Snooze:
        await trio.lowlevel.checkpoint()
        if x == 1:
            raise ValueError("no luck")
        if x == 2:
            raise Snooze(5)
        if x == 3:
            await trio.sleep_forever()
        return context.traceparent or ""

    @app.job("thread")
    def in_thread(x: int) -> str:
        return format(trace.get_current_span().get_span_context().trace_id, "032x")

    return app


async def run(app: App, kind: str, x: int, meta: bytes = b"") -> Outcome:
    lease = LeasedJob("j1", 7, 2, Terms(kind, queue="mail", meta=meta), b'{"x":%d}' % x)
    return await Executor(app)(lease, lambda control: None, lambda progress: None)


async def test_a_job_belongs_to_the_trace_in_which_it_was_enqueued(recorded: Recorded) -> None:
    """Through a real client and back: producer span, traceparent in the job's meta, consumer span below
    it."""
    tracing = Tracing(recorded.provider)
    app = app_with(tracing)
    call: JobCall[Any] = app.functions["work"].call(0)
    async with rigged() as rig, connect(rig.url, on_enqueue=[tracing.on_enqueue]) as client:
        with recorded.provider.get_tracer("test").start_as_current_span("request"):
            job = await client.enqueue(call, meta={"own": 1})
        info = await job.status()
        assert info.meta["own"] == 1
        (fact,) = rig.queue.log
        await run(app, "work", 0, fact.terms.meta)  # type: ignore[union-attr]  # it is a JobEnqueued
    created, request, processed = recorded.spans
    assert created.parent == request.context
    assert processed.parent is not None
    assert created.context is not None
    assert processed.parent.span_id == created.context.span_id
    assert info.meta["traceparent"].split("-")[1] == format(created.context.trace_id, "032x")
    assert (created.name, created.kind) == ("create mail", SpanKind.PRODUCER)
    assert (processed.name, processed.kind) == ("process mail", SpanKind.CONSUMER)
    assert processed.attributes == {
        "messaging.system": "beaver_actors",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "mail",
        "messaging.message.id": "j1",
        "beaver.job.kind": "work",
        "beaver.job.attempt": 2,
        "beaver.job.fence": 7,
    }


async def test_attempts_may_have_traces_of_their_own(recorded: Recorded) -> None:
    """Linked to where the job was enqueued, for jobs that run days later."""
    app = app_with(Tracing(recorded.provider, new_traces=True))
    await run(app, "work", 0, b'{"traceparent":"00-%032x-%016x-01"}' % (5, 6))
    await run(app, "work", 0)
    first, second = recorded.spans
    assert first.parent is None
    assert first.context is not None
    assert first.context.trace_id != 5
    assert [(link.context.trace_id, link.context.span_id) for link in first.links] == [(5, 6)]
    assert not second.links


async def test_how_the_attempt_ended_is_on_the_span(recorded: Recorded) -> None:
    """An exception is an error, a snooze is none, and neither is an end from outside."""
    app = app_with(Tracing(recorded.provider))
    for x in range(3):
        await run(app, "work", x)
    with trio.move_on_after(0.05):
        await run(app, "work", 3)
    done, failed, snoozed, cut_off = recorded.spans
    assert done.status.status_code is StatusCode.UNSET
    assert failed.status.status_code is StatusCode.ERROR
    assert failed.status.description == "no luck"
    assert [event.name for event in failed.events] == ["exception"]
    assert snoozed.status.status_code is StatusCode.UNSET
    assert [event.name for event in snoozed.events] == ["snoozed"]
    assert [event.name for event in cut_off.events] == ["ended early"]


async def test_the_handlers_own_spans_are_below_also_in_a_thread(recorded: Recorded) -> None:
    """The span is the current one where the handler runs."""
    outcome = await run(app_with(Tracing(recorded.provider)), "thread", 0)
    (span,) = recorded.spans
    assert span.context is not None
    assert format(span.context.trace_id, "032x").encode() in repr(outcome).encode()


def test_a_job_with_an_id_of_its_own_is_left_as_it_is(recorded: Recorded) -> None:
    """P5: enqueued again from another trace, it must be the same job; one with a trace keeps it."""
    tracing = Tracing(recorded.provider)
    chosen = new_job("work", id="invoice-7")
    traced = new_job("work", meta={"traceparent": "mine"})
    for job in (chosen, traced):
        tracing.on_enqueue(job)
    assert meta_of(chosen) == {}
    assert meta_of(traced) == {"traceparent": "mine"}
    assert not recorded.spans


async def test_a_trace_that_is_none_starts_a_new_one(recorded: Recorded) -> None:
    """Whatever stands in meta, the job runs."""
    app = app_with(Tracing(recorded.provider))
    for meta in (b'{"traceparent":"nonsense"}', b'{"traceparent":7}', b'{"tracestate":"a=b"}'):
        await run(app, "work", 0, meta)
    assert [span.parent for span in recorded.spans] == [None, None, None]


def test_without_opentelemetry_the_missing_extra_is_named() -> None:
    """The error says what to install."""
    code = "import sys; sys.modules['opentelemetry'] = None; import beaver_actors.contrib.otel"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'beaver-actors[otel]'" in done.stderr
