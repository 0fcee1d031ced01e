"""Accepts connections on listening sockets and takes each to a WebSocket or to an HTTP handler. It keeps one
connection's trouble from all others and caps their number. It opens no socket (server/sockets.py does),
closes none that listens, and parses nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import structlog
import trio

from beaver_actors.server import websocket
from beaver_actors.server.auth import Auth
from beaver_actors.server.http import Handler, Request, Response, Route, Routes, error_response
from beaver_actors.server.http_connection import HttpConnection, HttpSettings, close_gently
from beaver_actors.server.sockets import address_text
from beaver_actors.server.upgrade import Upgrade, negotiate, wants_websocket
from beaver_actors.server.websocket import WebSocket, WebSocketSettings

WEBSOCKET_PATHS: Final = frozenset({"/", "/ws", "/api/v1/ws"})
# When the system has no descriptors or memory left, asking again at once would only burn the processor.
ACCEPT_RETRY_SECONDS: Final = 0.1
# Refusals on their way at one time; a client above that is dropped without a word.
REFUSALS_MAX: Final = 64
RETRY_AFTER_SECONDS: Final = 1
GOING_AWAY: Final = (1001, "going away")

log = structlog.get_logger("beaver_actors.server")


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """Limits of a listener. Every connection counts, whatever it is used for."""

    connections_max: int = 1024
    http: HttpSettings = field(default_factory=HttpSettings)
    websocket: WebSocketSettings = field(default_factory=WebSocketSettings)


class Listener:
    """Serves HTTP routes, and WebSockets on `websocket_paths` if there is a handler for them.

    `auth` guards the WebSockets and all routes but those added as unguarded. `on_failure` is given what a
    handler raised, after it was logged. `connections`, `connections_total`, `connections_refused` are for
    reading."""

    def __init__(
        self,
        routes: Routes,
        *,
        auth: Auth | None = None,
        websocket_handler: websocket.Handler | None = None,
        websocket_paths: frozenset[str] = WEBSOCKET_PATHS,
        settings: ListenerSettings | None = None,
        on_failure: Callable[[Exception], None] = lambda error: None,
    ) -> None:
        self.connections = self.connections_total = self.connections_refused = 0
        self._routes, self._auth, self._on_failure = routes, auth, on_failure
        self._websocket_handler, self._websocket_paths = websocket_handler, websocket_paths
        self._settings = settings or ListenerSettings()
        self._refusals = 0
        self._accepting = trio.CancelScope()
        self._goodbye: tuple[int, str] | None = None  # set once no more is accepted
        self._http: set[HttpConnection] = set()
        self._websockets: set[WebSocket] = set()

    @property
    def websockets(self) -> int:
        """WebSockets that are open."""
        return len(self._websockets)

    async def serve(
        self,
        listeners: Sequence[trio.abc.Listener[trio.abc.Stream]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serves until `stop`, then returns when the last connection has ended. Cancelling it drops them all.

        `listeners` stay open either way: who connects meanwhile waits for the next call."""
        self._goodbye = None
        async with trio.open_nursery() as connections:
            with trio.CancelScope() as self._accepting:
                async with trio.open_nursery() as accepting:
                    for listener in listeners:
                        accepting.start_soon(self._accept, listener, connections)
                    task_status.started()
            self._goodbye = self._goodbye or GOING_AWAY
            for http in self._http:
                http.end_when_idle()
            for opened in self._websockets:
                connections.start_soon(opened.close, *self._goodbye)

    def stop(self, code: int = GOING_AWAY[0], reason: str = GOING_AWAY[1]) -> None:
        """Accepts no more. Requests under way get their answers, WebSockets are closed with `code` (1012:
        restarting), idle connections end. How long that may take is up to the caller's scope around `serve`.
        """
        self._goodbye = (code, reason)
        self._accepting.cancel()

    async def _accept(self, listener: trio.abc.Listener[trio.abc.Stream], connections: trio.Nursery) -> None:
        while True:
            try:
                stream = await listener.accept()
            except trio.ClosedResourceError:
                return
            except OSError as error:  # no descriptors, no memory, or a client that was gone too soon
                log.warning("accept_failed", error=str(error))
                await trio.sleep(ACCEPT_RETRY_SECONDS)
                continue
            if self.connections < self._settings.connections_max:
                self.connections += 1
                self.connections_total += 1
                connections.start_soon(self._guard, stream)
                continue
            self.connections_refused += 1
            if self._refusals < REFUSALS_MAX:
                self._refusals += 1
                connections.start_soon(self._refuse, stream)
            else:
                await trio.aclose_forcefully(stream)

    async def _guard(self, stream: trio.abc.Stream) -> None:
        """Serves one connection; whatever happens to it ends here."""
        peer = _peer(stream)
        try:
            await self._converse(stream, peer)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client went away
        except* Exception as group:
            log.exception("connection_failed", peer=peer)
            self._on_failure(group)
        finally:
            self.connections -= 1
            await trio.aclose_forcefully(stream)

    async def _refuse(self, stream: trio.abc.Stream) -> None:
        retry = (("Retry-After", str(RETRY_AFTER_SECONDS)),)
        message = f"{self._settings.connections_max} connections are open already"
        try:
            http = HttpConnection(stream, self._settings.http)
            await http.respond(error_response(503, "overloaded", message, retry), last=True)
            await close_gently(stream)
        except trio.BrokenResourceError:
            pass
        finally:
            self._refusals -= 1
            await trio.aclose_forcefully(stream)

    async def _converse(self, stream: trio.abc.Stream, peer: str) -> None:
        http = HttpConnection(stream, self._settings.http, peer)
        if self._goodbye is not None:
            http.end_when_idle()
        self._http.add(http)
        try:
            opening = await self._answer_requests(http)
        finally:
            self._http.discard(http)
        if opening is None:
            await close_gently(stream)
            return
        await websocket.serve(
            stream,
            *opening,
            self._hold_websocket,
            self._settings.websocket,
            first=http.trailing_data(),
            on_failure=self._on_failure,
        )

    async def _hold_websocket(self, opened: WebSocket) -> None:
        assert self._websocket_handler is not None  # _route asked
        self._websockets.add(opened)
        try:
            if self._goodbye is not None:
                await opened.close(*self._goodbye)
            await self._websocket_handler(opened)
        finally:
            self._websockets.discard(opened)

    async def _answer_requests(self, http: HttpConnection) -> tuple[Request, Upgrade] | None:
        """Answers one request after the other; returns the one that turns the connection into a WebSocket."""
        while (request := await http.read_head()) is not None:
            target = self._route(request)
            if isinstance(target, Response):
                answer = target
            else:
                whole = await http.read_body(request)
                if whole is None:
                    return None
                if isinstance(target, Upgrade):
                    return whole, target
                route, params = target
                answer = await self._call(route.handler, replace(whole, params=params))
            if not await http.respond(answer):
                return None
        return None

    def _route(self, request: Request) -> Response | Upgrade | tuple[Route, Mapping[str, str]]:
        """Decides by the head alone, so that a refused client need not send its body."""
        speaks_websocket = self._websocket_handler is not None and request.path in self._websocket_paths
        if speaks_websocket and wants_websocket(request):
            return self._refusal(request) or negotiate(request)
        found = self._routes.find(request)
        if isinstance(found, Response):
            if speaks_websocket and found.status == 404:
                headers = (("Upgrade", "websocket"), ("Connection", "Upgrade"))
                return error_response(426, "unsupported", f"{request.path} is for WebSockets", headers)
            return found
        return (self._refusal(request) if found[0].guarded else None) or found

    def _refusal(self, request: Request) -> Response | None:
        return None if self._auth is None else self._auth.check(request)

    async def _call(self, handler: Handler, request: Request) -> Response:
        try:
            return await handler(request)
        except Exception as error:
            log.exception("http_handler_failed", path=request.path, peer=request.peer)
            self._on_failure(error)
            return error_response(500, "internal", "the server failed at this; its log says more")


def _peer(stream: trio.abc.Stream) -> str:
    """The client's address for logs, as far as the stream knows it."""
    if isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if not isinstance(stream, trio.SocketStream):
        return ""
    try:
        return address_text(stream.socket.getpeername())
    except OSError:
        return ""  # gone already
