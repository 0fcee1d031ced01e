"""Requests made by hand, and routes that answer them."""

from typing import Final

import msgspec

from beaver_actors.server.http import Request, Response, Routes, json_response
from beaver_actors.server.http_connection import HttpSettings
from beaver_actors.server.listener import ListenerSettings

SMALL: Final = ListenerSettings(http=HttpSettings(head_bytes_max=2048, body_bytes_max=1000))


def text(request: Request) -> str:
    return f"{request.method} {request.path} {dict(request.query)} {dict(request.params)} {request.body!r}"


async def reflect(request: Request) -> Response:
    return json_response(200, text(request))


async def fail(request: Request) -> Response:
    raise RuntimeError("a fault in a handler")


async def split_answer(request: Request) -> Response:
    return Response(200, (("X-Reflected", "a\r\nSet-Cookie: stolen=1"),))


def some_routes() -> Routes:
    routes = Routes()
    routes.add("GET", "/jobs/{id}", reflect)
    routes.add("POST", "/jobs", reflect)
    routes.add("GET", "/jobs", reflect)
    routes.add("GET", "/fail", fail)
    routes.add("GET", "/split", split_answer)
    return routes


def get(path: str, *headers: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode()


def last(path: str, *headers: str, method: str = "GET") -> bytes:
    return get(path, "Connection: close", *headers, method=method)


def error_of(answer: bytes) -> tuple[int, str, str]:
    """The status, code and message of the last answer in `answer`."""
    head, _, body = answer[answer.rindex(b"HTTP/1.1 ") :].partition(b"\r\n\r\n")
    error = msgspec.json.decode(body)["error"]
    return int(head.split()[1]), error["code"], error["message"]
