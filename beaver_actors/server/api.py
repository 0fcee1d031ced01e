"""The HTTP routes: jobs for those who cannot hold a WebSocket, health and metrics for those who watch.

The same checks and the same answers as over WebSocket (`docs/protocol.md`); this file only finds the request
in the path, the query and the body, and the status code for the answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from beaver_actors.codec.wire_answers import explanation_object, job_object, page, receipts, status_object
from beaver_actors.codec.wire_commands import CommandRequest, to_command
from beaver_actors.codec.wire_decode import decode_jobs, list_request
from beaver_actors.codec.wire_errors import WireError, shorten
from beaver_actors.codec.wire_job_messages import ExplainRequest, GetRequest
from beaver_actors.codec.wire_jobs import new_jobs
from beaver_actors.codec.wire_watch_messages import StatusRequest
from beaver_actors.core.answers import Answer, Enqueued, Explained, Found, Page, Refused, Status
from beaver_actors.core.commands import Enqueue
from beaver_actors.kernel.mailbox import Closed
from beaver_actors.server.http import HeaderPairs, Request, Response, Routes, error_response, json_response
from beaver_actors.server.ports import NodePort
from beaver_actors.server.refusals import refused_response
from beaver_actors.server.request_api import add_request_routes
from beaver_actors.server.service import Service

UNKNOWN_FATE: Final = (
    "the server is restarting and may or may not have accepted the jobs; "
    "jobs with ids can be sent again safely"
)

Metrics = Callable[[str | None], Awaitable[tuple[bytes, str]]]
"""Given the Accept header, the metrics in that form, and its content type."""


def add_job_routes(routes: Routes, service: Service) -> None:
    """Add the routes under /api/v1."""
    api = _Api(service)
    routes.add("POST", "/api/v1/jobs", api.enqueue)
    routes.add("GET", "/api/v1/jobs", api.list)
    routes.add("GET", "/api/v1/jobs/{id}", api.get)
    routes.add("GET", "/api/v1/jobs/{id}/explain", api.explain)
    routes.add("GET", "/api/v1/status", api.status)
    add_request_routes(routes, service)


def add_health_routes(
    routes: Routes, node: NodePort, metrics: Metrics | None, *, metrics_guarded: bool
) -> None:
    """Add /healthz and /readyz, open to all, and /metrics.

    Args:
        routes: of the main port, or of the metrics port.
        node: the process.
        metrics: None for no /metrics.
        metrics_guarded: whether /metrics needs the token.
    """

    async def healthz(request: Request) -> Response:
        # That it is answered at all is the news: the loop is alive.
        return json_response(200, {"status": "ok", "version": node.view().version})

    async def readyz(request: Request) -> Response:
        reason = node.unready
        if reason is None:
            return json_response(200, {"ready": True})
        return json_response(503, {"ready": False, "reason": reason})

    routes.add("GET", "/healthz", healthz, guarded=False)
    routes.add("GET", "/readyz", readyz, guarded=False)
    if metrics is not None:

        async def show_metrics(request: Request) -> Response:
            body, content_type = await metrics(request.headers.get("accept"))
            return Response(200, (("Content-Type", content_type), ("Cache-Control", "no-store")), body)

        routes.add("GET", "/metrics", show_metrics, guarded=metrics_guarded)


class _Api:
    """The handlers that ask the queue."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def enqueue(self, request: Request) -> Response:
        """POST: one job, or `{"jobs": […]}`. 201, or 200 if all of them were accepted before."""
        service = self._service
        content_type = request.headers.get("content-type", "application/json").partition(";")[0].strip()
        if content_type.lower() not in ("application/json", "application/x-www-form-urlencoded"):
            # The second is what curl -d says when not told otherwise; the body is judged by what it is.
            message = f"Content-Type: expected application/json, got {content_type}"
            return error_response(415, "unsupported", message)
        try:
            objects, several = decode_jobs(request.body, service.limits)
            path = "jobs[{}]." if several else ""
            command = Enqueue(new_jobs(objects, service.ids, service.limits, service.defaults, path))
        except WireError as error:
            return refused_response(self._service, Refused(error.code, error.message))
        size = len(request.body)
        refused = service.admit(size)
        if refused is not None:
            return refused_response(self._service, refused)
        try:
            answer = await service.jobs.ask(command)
        except Closed:
            answer = Refused("draining", UNKNOWN_FATE, 1_000)
        finally:
            service.leave(size)
        if isinstance(answer, Refused):
            if not several:  # whoever sent one job has not numbered it
                answer = replace(answer, message=answer.message.removeprefix("jobs[0]."))
            return refused_response(self._service, answer)
        assert isinstance(answer, Enqueued), answer
        status = 200 if all(receipt.duplicate for receipt in answer.receipts) else 201
        location: HeaderPairs = ()
        if not several:
            location = (("Location", f"/api/v1/jobs/{answer.receipts[0].job_id}"),)
        return json_response(status, {"jobs": receipts(answer), "lsn": answer.lsn}, location)

    async def get(self, request: Request) -> Response:
        """GET one job."""
        answer = await self._ask(GetRequest(id="", job_id=request.params["id"]))
        if isinstance(answer, Refused):
            return refused_response(self._service, answer)
        assert isinstance(answer, Found), answer
        return json_response(200, {"job": job_object(answer.job)})

    async def explain(self, request: Request) -> Response:
        """GET why one job does not run, or why it ended."""
        answer = await self._ask(ExplainRequest(id="", job_id=request.params["id"]))
        if isinstance(answer, Refused):
            return refused_response(self._service, answer)
        assert isinstance(answer, Explained), answer
        return json_response(200, {"explanation": explanation_object(answer)})

    async def list(self, request: Request) -> Response:
        """GET a page of jobs; the query has the fields of the `list` request."""
        try:
            wanted = list_request(request.query)
        except WireError as error:
            return refused_response(self._service, Refused(error.code, error.message))
        answer = await self._ask(wanted)
        if isinstance(answer, Refused):
            return refused_response(self._service, answer)
        assert isinstance(answer, Page), answer
        jobs, after = page(answer)
        return json_response(200, {"jobs": jobs, "next": after})

    async def status(self, request: Request) -> Response:
        """GET the status."""
        for name in request.query:
            refused = Refused("bad_request", f"{shorten(name)}: unknown parameter; there are none")
            return refused_response(self._service, refused)
        answer = await self._ask(StatusRequest(id=""))
        if isinstance(answer, Refused):
            return refused_response(self._service, answer)
        assert isinstance(answer, Status), answer
        shown = status_object(answer, self._service.node.view(), self._service.now_ms())
        return json_response(200, {"status": shown})

    async def _ask(self, request: CommandRequest) -> Answer:
        service = self._service
        try:
            command = to_command(request, service.ids, service.limits, service.defaults)
        except WireError as error:
            return Refused(error.code, error.message)
        try:
            return await service.jobs.ask(command)
        except Closed:
            return Refused("draining", "the server is restarting", 1_000)
