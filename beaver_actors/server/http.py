"""What an HTTP request and its answer are, and which handler a path belongs to; the dashboard's files are
served from memory by such handlers. It moves no bytes (server/http_connection.py does), never decides who
may ask (server/auth.py does), and knows nothing of jobs."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final
from urllib.parse import unquote

import msgspec

# The dashboard's pages load nothing but their own files and talk to nobody but this server.
CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'"
)
CONTENT_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".txt": "text/plain; charset=utf-8",
}

HeaderPairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One request.

    `path` is still percent-encoded, `query` and `params` (the pattern's `{names}`) are decoded. `headers` has
    lower-case names; a repeated header is joined with ", " (RFC 9110 §5.3). `peer` is the client's address,
    for logs. Headers and body are not shown by repr: they hold tokens and other people's data.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    params: Mapping[str, str] = field(default_factory=dict)
    peer: str = ""
    version: str = "1.1"


@dataclass(frozen=True, slots=True)
class Response:
    """One answer; Content-Length and Connection are added when it is written."""

    status: int
    headers: HeaderPairs = ()
    body: bytes = b""


Handler = Callable[[Request], Awaitable[Response]]


def json_response(status: int, value: object, headers: HeaderPairs = ()) -> Response:
    """Returns an answer with a JSON body, which no cache keeps. `value`: anything msgspec can encode."""
    fixed = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
    return Response(status, fixed + headers, msgspec.json.encode(value))


def error_response(status: int, code: str, message: str, headers: HeaderPairs = ()) -> Response:
    """Returns a refusal, `{"error": {"code", "message"}}`; `code` is one of the protocol's error codes."""
    return json_response(status, {"error": {"code": code, "message": message}}, headers)


@dataclass(frozen=True, slots=True)
class Route:
    """A handler, and whether the caller has to pass `Auth` first."""

    handler: Handler
    guarded: bool = True


class Routes:
    """Which handler answers a method and a path. A pattern's `{name}` stands for one path segment."""

    def __init__(self) -> None:
        self._patterns: dict[tuple[str, ...], dict[str, Route]] = {}

    def add(self, method: str, pattern: str, handler: Handler, *, guarded: bool = True) -> None:
        """Registers `handler`; one for GET answers HEAD as well. Raises ValueError if the place is taken."""
        methods = self._patterns.setdefault(tuple(pattern.split("/")), {})
        if method in methods:
            raise ValueError(f"{method} {pattern} has a handler already")
        methods[method] = Route(handler, guarded)
        if method == "GET":
            methods.setdefault("HEAD", methods["GET"])

    def add_files(self, folder: Traversable) -> None:
        """Serves the files lying directly in `folder` from memory; index.html also as "/". They need no
        token: they hold no secret, and a browser cannot send one for a page. Without the folder, no files."""
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name) if folder.is_dir() else ():
            content_type = CONTENT_TYPES.get(entry.name[entry.name.rfind(".") :])
            if content_type is None or not entry.is_file():
                continue
            handler = _file_handler(entry.read_bytes(), content_type)
            self.add("GET", f"/{entry.name}", handler, guarded=False)
            if entry.name == "index.html":
                self.add("GET", "/", handler, guarded=False)

    def find(self, request: Request) -> tuple[Route, Mapping[str, str]] | Response:
        """Returns the route and the `params` out of the path; or the refusal: 404, 405 or 400."""
        segments = request.path.split("/")
        for pattern, methods in self._patterns.items():
            if len(pattern) != len(segments) or not all(map(_fits, pattern, segments)):
                continue
            route = methods.get(request.method)
            if route is None:
                allowed = ", ".join(sorted(methods))
                message = f"method: expected {allowed} on {request.path}, got {request.method}"
                return error_response(405, "unsupported", message, (("Allow", allowed),))
            pairs = [pair for pair in zip(pattern, segments, strict=True) if pair[0].startswith("{")]
            try:
                return route, {name[1:-1]: unquote(text, errors="strict") for name, text in pairs}
            except UnicodeDecodeError:
                return error_response(400, "bad_request", f"path: expected UTF-8, got {request.path}")
        return error_response(404, "not_found", f"nothing is at {request.path}")


def dashboard_folder() -> Traversable:
    """Returns the folder of the dashboard's files inside the installed package."""
    return resources.files("beaver_actors.server").joinpath("static")


def _fits(part: str, segment: str) -> bool:
    return segment != "" if part.startswith("{") else part == segment


def _file_handler(content: bytes, content_type: str) -> Handler:
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    headers = (
        ("ETag", etag),
        ("Cache-Control", "no-cache"),  # kept, but asked about: a new release must not meet old scripts
        ("Content-Security-Policy", CONTENT_POLICY),
        ("Referrer-Policy", "no-referrer"),
    )
    whole = Response(200, (("Content-Type", content_type), *headers), content)
    unchanged = Response(304, headers)

    async def serve_file(request: Request) -> Response:
        known = request.headers.get("if-none-match", "")
        tags = {tag.strip().removeprefix("W/") for tag in known.split(",")}
        return unchanged if etag in tags or "*" in tags else whole

    return serve_file
