"""The bytes of HTTP/1.1: reads one bounded request at a time from a stream, writes one answer, and tells a
client what it did wrong. It alone speaks h11. It never opens a socket, and never chooses an answer beyond
"this is not HTTP"."""

from dataclasses import dataclass, replace
from http.client import responses
from typing import Final
from urllib.parse import parse_qsl

import h11
import trio

from beaver_actors.observe.log import get_logger
from beaver_actors.server.http import Request, Response, error_response

RECEIVE_BYTES: Final = 65_536
TLS_HANDSHAKE: Final = 0x16  # the first byte of every TLS client
LINGER_SECONDS: Final = 1.0  # enough for a last answer to be read; a hostile client gains no more than this
QUERY_FIELDS_MAX: Final = 100

log = get_logger("beaver_actors.server")


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Limits of one connection: sizes in bytes, times in seconds."""

    head_bytes_max: int = 16_384
    body_bytes_max: int = 8_388_608
    handshake_timeout: float = 10.0  # for the whole head; then for a WebSocket's opening answer
    body_timeout: float = 60.0
    idle_timeout: float = 75.0  # between requests; above the 60 s after which common proxies let go
    send_timeout: float = 20.0


class HttpConnection:
    """The server's side of one connection: `read_head`, `read_body`, `respond`, and again.

    A client's mistake is answered here; the reading methods then return None, and the connection is over.
    All may raise trio.BrokenResourceError when the client is gone."""

    def __init__(self, stream: trio.abc.Stream, settings: HttpSettings, peer: str = "") -> None:
        self._stream, self._settings, self._peer = stream, settings, peer
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=settings.head_bytes_max)
        self._method = ""
        self._reading: trio.CancelScope | None = None
        self._idle = True  # no byte of the next request has come
        self._ending = False

    def end_when_idle(self) -> None:
        """Lets the present request have its answer, then ends; a connection between requests ends at once."""
        self._ending = True
        if self._idle and self._reading is not None:
            self._reading.cancel()

    async def read_head(self) -> Request | None:
        """Waits for the next request and returns it without its body, or None when no more will come."""
        self._idle = self._h11.trailing_data[0] == b""
        settings = self._settings
        patience = settings.idle_timeout if self._method and self._idle else settings.handshake_timeout
        self._method = ""  # what cannot be read is answered with a body, even if a HEAD came before
        event: object = None
        try:
            with trio.move_on_after(patience) as self._reading:
                if not (self._idle and self._ending):
                    event = await self._next_event()
            if self._reading.cancelled_caught and not self._idle:
                await self._refuse(
                    408, f"the head: expected within {settings.handshake_timeout:g} s, got a part"
                )
            return self._parse(event) if isinstance(event, h11.Request) else None
        except (h11.RemoteProtocolError, ValueError) as error:
            await self._refuse(getattr(error, "error_status_hint", 400), f"the request: {error}")
            return None
        finally:
            self._reading = None
            self._idle = False

    async def read_body(self, request: Request) -> Request | None:
        """Returns the request with its whole body, or None after having said why not."""
        limit = self._settings.body_bytes_max
        size = int(request.headers.get("content-length", "0"))  # h11 has checked that it is a number
        body = bytearray()
        try:
            with trio.move_on_after(self._settings.body_timeout):
                if size <= limit and self._h11.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
                    await self._stream.send_all(self._h11.send(go_on))
                while size <= limit:
                    event = await self._next_event()
                    if not isinstance(event, h11.Data):
                        return replace(request, body=bytes(body))  # the end; a cut body has raised
                    body += event.data
                    size = len(body)
                await self._refuse(413, f"the body: expected at most {limit} bytes, got more")
                return None
        except h11.RemoteProtocolError as error:
            await self._refuse(error.error_status_hint, f"the body: {error}")
            return None
        await self._refuse(408, f"the body: expected within {self._settings.body_timeout:g} s, got a part")
        return None

    async def respond(self, response: Response, *, last: bool = False) -> bool:
        """Writes the answer; returns whether another request may follow. `last` ends the connection."""
        last = last or self._ending or not self._whole_request_came()
        headers = [*response.headers, ("X-Content-Type-Options", "nosniff")]
        if has_body := response.status not in (204, 304):
            headers.append(("Content-Length", str(len(response.body))))
        if last:
            headers.append(("Connection", "close"))
        reason = responses.get(response.status, "").encode("ascii")
        data = self._h11.send(h11.Response(status_code=response.status, headers=headers, reason=reason))
        if has_body and self._method != "HEAD":
            data += self._h11.send(h11.Data(data=response.body))
        data += self._h11.send(h11.EndOfMessage())
        with trio.move_on_after(self._settings.send_timeout) as sending:
            await self._stream.send_all(data)
        if sending.cancelled_caught:
            why = f"it did not take an answer within {self._settings.send_timeout:g} s"
            log.warning("a client was cut off", peer=self._peer, reason=why)
        if (
            sending.cancelled_caught
            or self._h11.our_state is not h11.DONE
            or self._h11.their_state is not h11.DONE
        ):
            return False
        self._h11.start_next_cycle()
        return True

    def _whole_request_came(self) -> bool:
        """Whether no part of a body is missing: one that nobody reads would be taken for the next request."""
        if self._h11.their_state is not h11.SEND_BODY:
            return True
        try:
            return isinstance(self._h11.next_event(), h11.EndOfMessage)
        except h11.RemoteProtocolError:
            return False

    def trailing_data(self) -> bytes:
        """Returns what the client sent behind an upgrade request: perhaps its first frames."""
        return self._h11.trailing_data[0]

    async def _next_event(self) -> object:
        while (event := self._h11.next_event()) is h11.NEED_DATA:
            data = await self._stream.receive_some(RECEIVE_BYTES)
            if self._idle and self._reading is not None and data:
                if data[0] == TLS_HANDSHAKE:
                    return None  # quietly: its sender could not read an answer in plain text
                self._idle = False
                deadline = trio.current_time() + self._settings.handshake_timeout
                self._reading.deadline = min(self._reading.deadline, deadline)
            self._h11.receive_data(bytes(data))
        return event

    def _parse(self, head: h11.Request) -> Request:
        self._method = head.method.decode("ascii")
        size = len(head.target) + sum(len(name) + len(value) + 4 for name, value in head.headers)
        if size > self._settings.head_bytes_max:  # h11 lets a long head pass when it comes in one piece
            limit = self._settings.head_bytes_max
            raise h11.RemoteProtocolError(f"expected a head of at most {limit} bytes, got {size}", 431)
        headers: dict[str, str] = {}
        for raw_name, raw_value in head.headers:
            name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        if "content-length" in headers and "transfer-encoding" in headers:
            # Two servers that choose differently can be made to disagree on where a request ends.
            raise ValueError("expected Content-Length or Transfer-Encoding, got both")
        target = head.target.decode("ascii")
        if target.startswith(("http://", "https://")):  # as sent to a proxy; a server has to take it too
            target = "/" + target.split("/", 3)[3] if target.count("/") > 2 else "/"
        path, _, query_text = target.partition("?")
        if not path.startswith("/"):
            raise ValueError(f"expected a path that begins with /, got {path!r}")
        pairs = parse_qsl(
            query_text, keep_blank_values=True, errors="strict", max_num_fields=QUERY_FIELDS_MAX
        )
        query = dict(pairs)
        if len(query) != len(pairs):
            raise ValueError(f"expected each query parameter once, got {query_text!r}")
        version = head.http_version.decode("ascii")
        if version not in ("1.0", "1.1"):
            raise ValueError(f"expected HTTP/1.1, got HTTP/{version}")
        return Request(self._method, path, query, headers, peer=self._peer, version=version)

    async def _refuse(self, status: int, message: str) -> None:
        if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            code = "too_large" if status in (413, 431) else "bad_request"
            await self.respond(error_response(status, code, message), last=True)


async def close_gently(stream: trio.abc.Stream) -> None:
    """Closes `stream` so that what was last sent can still be read.

    A socket closed with unread input resets the connection, and the client's system may throw the answer
    away. So say the end first, then read and drop what comes, for a short while."""
    try:
        with trio.move_on_after(LINGER_SECONDS):
            if isinstance(stream, trio.abc.HalfCloseableStream):
                await stream.send_eof()
                while await stream.receive_some(RECEIVE_BYTES):
                    pass
            await stream.aclose()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    finally:
        await trio.aclose_forcefully(stream)
