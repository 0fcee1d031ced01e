"""Whether a request that asks for a WebSocket is a valid one, and which subprotocol to speak (RFC 6455 §4.2).
It reads headers only: it sends nothing, and checks no token."""

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from beaver_actors.server.auth import TOKEN_SUBPROTOCOL
from beaver_actors.server.http import Request, Response, error_response

SUBPROTOCOLS: Final = ("beaver.v1+json", "beaver.v1+cbor")


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A valid opening request: its key, and the subprotocol to answer with (None: none was asked for)."""

    key: str
    subprotocol: str | None


def wants_websocket(request: Request) -> bool:
    """Returns whether the client asks for a WebSocket, be it rightly or not."""
    return "websocket" in request.headers.get("upgrade", "").lower()


def negotiate(request: Request) -> Upgrade | Response:
    """Returns what to open a WebSocket with, or the refusal: 400, or 426 for another version of the protocol.

    `request` has asked for one (`wants_websocket`). The subprotocol that carries a token is never chosen: the
    answer would show the token to whoever logs answers."""
    headers = request.headers
    tokens = [token.strip().lower() for token in headers.get("connection", "").split(",")]
    if request.method != "GET" or request.version != "1.1":
        return _bad(f"expected GET and HTTP/1.1, got {request.method} and HTTP/{request.version}")
    if headers["upgrade"].lower() != "websocket" or "upgrade" not in tokens:
        return _bad("expected exactly one Upgrade: websocket, with Connection: Upgrade")
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        return _bad("expected no body")
    if headers.get("sec-websocket-version") != "13":
        known = (("Sec-WebSocket-Version", "13"),)
        return error_response(426, "unsupported", "WebSocket: expected version 13", known)
    key = headers.get("sec-websocket-key", "")
    if not _is_key(key):
        return _bad("expected exactly one Sec-WebSocket-Key, 16 bytes in base64")
    offers = [offer.strip() for offer in headers.get("sec-websocket-protocol", "").split(",")]
    offers = [offer for offer in offers if offer and not offer.startswith(TOKEN_SUBPROTOCOL)]
    chosen = next((offer for offer in offers if offer in SUBPROTOCOLS), None)
    if offers and chosen is None:
        return _bad(f"expected a subprotocol out of {', '.join(SUBPROTOCOLS)}, got {', '.join(offers)}")
    return Upgrade(key, chosen)


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def _bad(message: str) -> Response:
    return error_response(400, "bad_request", f"WebSocket: {message}")
