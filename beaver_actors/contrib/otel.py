"""Tracing with OpenTelemetry: a span where a job is enqueued, a span around each attempt, and the trace
carried on the job in between, as W3C Trace Context in its meta.

Needs the extra `otel`: `pip install 'beaver-actors[otel]'`, which is the API alone; what becomes of spans is
up to the SDK that the program has set up. Names of attributes follow the messaging conventions of
OpenTelemetry, and stand here only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

try:
    from opentelemetry import trace
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as error:
    raise ImportError("tracing needs opentelemetry-api: pip install 'beaver-actors[otel]'") from error

from beaver_actors import __version__
from beaver_actors.client.middleware import add_meta, meta_of
from beaver_actors.client.new_jobs import NewJob
from beaver_actors.execute.app import App
from beaver_actors.execute.context import Context, Snooze

SYSTEM: Final = "beaver_actors"

_w3c = TraceContextTextMapPropagator()


class Tracing:
    """Hooks for clients and apps.

    Clients get `connect(on_enqueue=[tracing.on_enqueue])`, apps `tracing.instrument(app)`.

    Args:
        provider: makes tracers; the global one if not given.
        new_traces: True begins a trace of its own for each attempt and links it to where the job was
            enqueued. Else the attempt belongs to the trace of the enqueuing, which is easier to read as long
            as jobs run soon.
    """

    def __init__(self, provider: TracerProvider | None = None, *, new_traces: bool = False) -> None:
        self._tracer = trace.get_tracer(SYSTEM, __version__, provider)
        self._new_traces = new_traces

    def instrument(self, app: App) -> None:
        """Have a span made around each attempt of the app's jobs."""
        app.around_job(self.around_job)

    def on_enqueue(self, job: NewJob[Any]) -> None:
        """Make a span for a job that is about to be sent, and write its context on the job.

        A job whose id was chosen by the program is left as it is: with another trace in its meta, its
        repetition under the same id would be another job, and refused (P5). So is one that bears a trace
        already.
        """
        if job.named_by_user or "traceparent" in meta_of(job):
            return
        queue = job.queue or "default"
        attributes = _attributes("create", queue, job.kind, job.id or "")
        with self._tracer.start_as_current_span(
            f"create {queue}", kind=SpanKind.PRODUCER, attributes=attributes
        ):
            carrier: dict[str, str] = {}
            _w3c.inject(carrier)
            if carrier:
                add_meta(job, carrier)

    @contextmanager
    def around_job(self, context: Context) -> Iterator[None]:
        """Make a span around one attempt."""
        sent_from = _w3c.extract({name: word for name, word in context.meta.items() if isinstance(word, str)})
        producer = trace.get_current_span(sent_from).get_span_context()
        attributes = _attributes("process", context.queue, context.kind, context.job_id) | {
            "beaver.job.attempt": context.attempt,
            "beaver.job.fence": context.fence,
        }
        with self._tracer.start_as_current_span(
            f"process {context.queue}",
            context=None if self._new_traces else sent_from,
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=[trace.Link(producer)] if self._new_traces and producer.is_valid else [],
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except Snooze:
                span.add_event("snoozed")
                raise
            except Exception as error:
                _failed(span, error)
                raise
            except BaseException:
                span.add_event("ended early")  # cancelled, or out of time
                raise


def _attributes(operation: str, queue: str, kind: str, job_id: str) -> dict[str, str | int]:
    return {
        "messaging.system": SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": queue,
        "messaging.message.id": job_id,
        "beaver.job.kind": kind,
    }


def _failed(span: Span, error: Exception) -> None:
    span.record_exception(error)
    span.set_attribute("error.type", type(error).__qualname__)
    span.set_status(Status(StatusCode.ERROR, str(error)))
