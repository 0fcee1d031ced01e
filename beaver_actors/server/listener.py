"""Accepts connections on listening sockets and takes each to a WebSocket or to an HTTP handler. It keeps one
connection's trouble from all others and caps their number. It opens no socket (server/sockets.py does),
closes none that listens, and parses nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import trio

from beaver_actors.observe.log import get_logger
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
# A crowd at the door is told once a minute, not a line each.
FULL_TOLD_SECONDS: Final = 60
GOING_AWAY: Final = (1001, "going away")

log = get_logger("beaver_actors.server")


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """Limits of a listener. Every connection counts, whatever it is used for."""

    connections_max: int = 1024
    http: HttpSettings = field(default_factory=HttpSettings)
    websocket: WebSocketSettings = field(default_factory=WebSocketSettings)


class Listener:
    """Serves HTTP routes, and WebSockets on `websocket_paths` if there is a handler for them.

    `auth` guards the WebSockets and all routes but those added as unguarded. `on_failure` is given what a
    handler raised, after it was logged; `on_turned_away` is called for each connection above the cap.
    `connections`, `connections_total`, `connections_refused` are for reading."""

    def __init__(
        self,
        routes: Routes,
        *,
        auth: Auth | None = None,
        websocket_handler: websocket.Handler | None = None,
        websocket_paths: frozenset[str] = WEBSOCKET_PATHS,
        settings: ListenerSettings | None = None,
        on_failure: Callable[[Exception], None] = lambda error: None,
        on_turned_away: Callable[[], None] = lambda: None,
    ) -> None:
        self.connections = self.connections_total = self.connections_refused = 0
        self._routes, self._auth = routes, auth
        self._on_failure, self._on_turned_away = on_failure, on_turned_away
        self._websocket_handler, self._websocket_paths = websocket_handler, websocket_paths
        self._settings = settings or ListenerSettings()
        self._refusals = 0
        self._full_told_until = float("-inf")
        self._accepting = trio.CancelScope()
        self._goodbye: tuple[int, str] | None = None  # set once no more is accepted
        # Dictionaries, because a set of these would be walked in another order in each process.
        self._http: dict[HttpConnection, None] = {}
        self._websockets: dict[WebSocket, None] = {}

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
        failing = False
        while True:
            try:
                stream = await listener.accept()
            except trio.ClosedResourceError:
                return
            except OSError as error:  # no descriptors, no memory, or a client that was gone too soon
                if not failing:  # else ten lines a second, for as long as it lasts
                    log.warning("a connection could not be accepted", reason=str(error))
                failing = True
                await trio.sleep(ACCEPT_RETRY_SECONDS)
                continue
            failing = False
            if self.connections < self._settings.connections_max:
                self.connections += 1
                self.connections_total += 1
                connections.start_soon(self._guard, stream)
                continue
            self._count_refused()
            if self._refusals < REFUSALS_MAX:
                self._refusals += 1
                connections.start_soon(self._refuse, stream)
            else:
                await trio.aclose_forcefully(stream)

    def _count_refused(self) -> None:
        self.connections_refused += 1
        self._on_turned_away()
        if trio.current_time() >= self._full_told_until:
            self._full_told_until = trio.current_time() + FULL_TOLD_SECONDS
            log.warning(
                "connections are turned away: as many are open as may be",
                connections_max=self._settings.connections_max,
                turned_away=self.connections_refused,
            )

    async def _guard(self, stream: trio.abc.Stream) -> None:
        """Serves one connection; whatever happens to it ends here."""
        peer = _peer(stream)
        try:
            await self._converse(stream, peer)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client went away
        except* Exception as group:  # noqa: BLE001  # it costs this connection, and no other
            log.error("a connection failed", error=group, peer=peer)
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
        self._http[http] = None
        try:
            opening = await self._answer_requests(http)
        finally:
            self._http.pop(http, None)
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
        self._websockets[opened] = None
        try:
            if self._goodbye is not None:
                await opened.close(*self._goodbye)
            await self._websocket_handler(opened)
        finally:
            self._websockets.pop(opened, None)

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
        except Exception as error:  # noqa: BLE001  # it costs this request, and no other
            log.error("an HTTP request failed", error=error, path=request.path, peer=request.peer)
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
