"""The HTTP routes for schedules and operations: each is one request of the protocol. Its fields come from the
path, the query and the body, it is read and judged as if it had come over WebSocket, and the answer has the
fields of the reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, NamedTuple, cast

import msgspec
from msgspec import UNSET, Raw

from beaver_actors.codec.wire import Error, Ok
from beaver_actors.codec.wire_answers import reply
from beaver_actors.codec.wire_commands import CommandRequest, to_command
from beaver_actors.codec.wire_decode import decode_request
from beaver_actors.codec.wire_errors import WireError, explain_malformed, shorten
from beaver_actors.codec.wire_schedule_messages import ScheduleRequest, SchedulesRequest
from beaver_actors.codec.wire_schedules import schedules_ok
from beaver_actors.core.answers import Answer, Enqueued, Operated, Refused, Schedules
from beaver_actors.kernel.mailbox import Closed
from beaver_actors.server.http import HeaderPairs, Request, Response, Routes, json_response
from beaver_actors.server.refusals import refused_response
from beaver_actors.server.service import Service

UNKNOWN_FATE: Final = "the server is restarting and may or may not have done this; look before asking again"


class _Way(NamedTuple):
    """How a request is found in HTTP."""

    type: str
    path: str | None = None
    """The field that stands in the path."""
    inside: str | None = None
    """The field that holds all the others, if one does."""
    query: tuple[str, ...] = ()
    """Fields that may stand in the query, all of them numbers."""


_LIST = _Way("schedules", query=("next",))
_WAYS: Final = (
    ("GET", "schedules", _LIST),
    ("GET", "schedules/{id}", _LIST._replace(path="name")),
    ("PUT", "schedules/{id}", _Way("set_schedule", "name", "schedule")),
    ("DELETE", "schedules/{id}", _Way("delete_schedule", "name")),
    ("POST", "schedules/{id}/pause", _Way("pause_schedule", "name")),
    ("POST", "schedules/{id}/resume", _Way("resume_schedule", "name")),
    ("POST", "schedules/{id}/trigger", _Way("trigger_schedule", "name")),
    ("GET", "operations", _Way("operations")),
    ("GET", "operations/{id}", _Way("operations", "operation_id")),
    ("POST", "operations", _Way("operate")),
    ("POST", "operations/{id}/stop", _Way("stop", "operation_id")),
)


def add_request_routes(routes: Routes, service: Service) -> None:
    """Add the routes for schedules and operations, under /api/v1."""
    for method, path, way in _WAYS:
        routes.add(method, f"/api/v1/{path}", partial(_answer, service, way))


async def _answer(service: Service, way: _Way, http: Request) -> Response:
    try:
        request = _read(service, way, http)
        asked = _command(service, request)
    except WireError as error:
        asked = Refused(error.code, error.message)
    if isinstance(asked, Refused):
        return refused_response(service, asked)
    try:
        answer = await service.jobs.ask(asked)
    except Closed:
        answer = Refused("draining", UNKNOWN_FATE, 1_000)
    if isinstance(answer, Refused):
        return refused_response(service, answer)
    if isinstance(request, SchedulesRequest) and isinstance(answer, Schedules):
        told: Ok | Error = schedules_ok(request, answer, service.wall_ms(), service.next_times)
    else:
        told = reply("", answer)
    fields = {name: getattr(told, name) for name in Ok.__struct_fields__ if name != "re"}
    shown = {name: value for name, value in fields.items() if value is not UNSET}
    return json_response(_status(way, answer), shown, _location(way, answer))


def _command(service: Service, request: ScheduleRequest | CommandRequest) -> Any:
    if isinstance(request, ScheduleRequest):
        return service.schedule_command(request)
    return to_command(request, service.ids, service.limits, service.defaults)


def _status(way: _Way, answer: Answer) -> int:
    if way.type == "operate":
        return 202
    if isinstance(answer, Enqueued) and not all(receipt.duplicate for receipt in answer.receipts):
        return 201
    return 200


def _location(way: _Way, answer: Answer) -> HeaderPairs:
    """Where what came into being is looked at."""
    if isinstance(answer, Enqueued):
        return (("Location", f"/api/v1/jobs/{answer.receipts[0].job_id}"),)
    if way.type == "operate" and isinstance(answer, Operated):
        return (("Location", f"/api/v1/operations/{answer.operation.id}"),)
    return ()


def _read(service: Service, way: _Way, http: Request) -> ScheduleRequest | CommandRequest:
    """The request, as if it had come as a message.

    Raises:
        WireError: a field is unknown, of the wrong type, or stands in two places.
    """
    fields = _fields(http.body)
    for name in ("type", "id"):
        if name in fields:
            raise WireError("bad_request", f"{name}: unknown field; the path says what is asked for")
    given: dict[str, Any] = dict(fields)
    if way.path is not None:
        _put(given, way.path, http.params["id"], "the path")
    for name, text in http.query.items():
        if name not in way.query:
            known = f"there is {', '.join(way.query)}" if way.query else "there are none"
            raise WireError("bad_request", f"{shorten(name)}: unknown parameter; {known}")
        _put(
            given,
            name,
            int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text,
            "the query",
        )
    if way.inside is not None:
        given = {way.inside: given}
    message = msgspec.json.encode({**given, "type": way.type, "id": ""}).decode()
    # Which types of request there are to a type of message is the decoder's to know.
    return cast("ScheduleRequest | CommandRequest", decode_request(message, service.limits))


def _fields(body: bytes) -> Mapping[str, Raw]:
    """The fields of the object that is the body; none if there is no body.

    Raises:
        WireError: it is no object.
    """
    if not body.strip():
        return {}
    try:
        body.decode()  # msgspec looks at text that it is to decode, not at the rest
        return msgspec.json.decode(body, type=dict[str, Raw])
    except msgspec.ValidationError:
        raise WireError("bad_request", "the body: expected an object") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise WireError("bad_request", explain_malformed(error)) from None


def _put(given: dict[str, Any], name: str, value: object, where: str) -> None:
    """Add a field that stands elsewhere; in the body it may stand too, if it says the same."""
    if name in given and msgspec.json.decode(given[name]) != value:
        raise WireError("bad_request", f"{name}: expected {value!r:.100}, as in {where}, or none in the body")
    given[name] = value
