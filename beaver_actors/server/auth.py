"""Who may ask: one shared token, kept only as its SHA-256, and the guards against a browser that a foreign
page sent here. It never reads a socket and never learns what a request is about."""

import base64
import binascii
import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import urlsplit

from beaver_actors.server.http import Request, Response, error_response

# A browser cannot set headers on a WebSocket, so the token may travel as a subprotocol: this, then base64url.
TOKEN_SUBPROTOCOL: Final = "beaver.bearer."
DEFAULT_PORTS: Final = {"http": ":80", "https": ":443", "ws": ":80", "wss": ":443"}


class ExposureError(ValueError):
    """The server would listen beyond this machine with nothing to keep strangers out."""


def check_exposure(host: str, token: str | None, insecure: bool) -> None:
    """Raises ExposureError for a listen address that others can reach, unless a token or `insecure` is set.

    `host` is what the user wrote: an address or a name; of names, only "localhost" is known to stay here."""
    if is_loopback(host) or token or insecure:
        return
    raise ExposureError(
        f"refusing to listen on {host or 'every address'} without a token: "
        "whoever can reach it could run jobs. "
        "Give it a token (server.token_file), or listen on 127.0.0.1, or set server.insecure: true."
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`: localhost, 127.0.0.0/8 or ::1."""
    name = host.strip("[]").lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


class Auth:
    """Judges requests by Host, Origin and token.

    `token`: what callers must show, or None when everybody who gets here may ask. `allowed_origins`: pages of
    other sites that may (`"https://queue.example.com"`); their hosts are also accepted as Host, as behind a
    proxy. `loopback`: whether the server listens on this machine only; then a Host that is not this machine
    means that a page made its own name point here (DNS rebinding).
    Raises ValueError for an empty token or a malformed origin."""

    def __init__(
        self, token: str | None, allowed_origins: Iterable[str] = (), *, loopback: bool = True
    ) -> None:
        if token == "":
            raise ValueError("token: expected text or nothing at all, got an empty text")
        self._digest = None if token is None else hashlib.sha256(token.encode()).digest()
        self._origins = set(allowed_origins)
        self._hosts = set()
        for origin in self._origins:
            parts = urlsplit(origin)
            if (
                parts.scheme not in DEFAULT_PORTS
                or not parts.netloc
                or origin != f"{parts.scheme}://{parts.netloc}"
            ):
                raise ValueError(f"allowed_origins: expected scheme://host[:port], got {origin!r}")
            self._hosts.add(_without_default_port(parts.netloc, parts.scheme))
        self._loopback = loopback

    def check(self, request: Request) -> Response | None:
        """Returns None when the request may go on, else its refusal: 403 (Host, Origin) or 401 (token)."""
        headers = request.headers
        if not self._is_our_host(headers.get("host")):
            return error_response(403, "forbidden", f"Host: expected this machine, got {headers['host']!r}")
        if not self._is_friendly_origin(headers.get("origin"), headers.get("host", "")):
            message = f"Origin: {headers['origin']!r} is not allowed here; list it in server.allowed_origins"
            return error_response(403, "forbidden", message)
        if self._digest is None:
            return None
        token = _presented_token(headers)
        if token is None:
            challenge = 'Bearer realm="beaver_actors"'
            message = "a token is needed: Authorization: Bearer TOKEN"
            return error_response(401, "unauthorized", message, (("WWW-Authenticate", challenge),))
        if not hmac.compare_digest(hashlib.sha256(token).digest(), self._digest):
            challenge = 'Bearer realm="beaver_actors", error="invalid_token"'
            return error_response(401, "unauthorized", "wrong token", (("WWW-Authenticate", challenge),))
        return None

    def _is_our_host(self, host: str | None) -> bool:
        if host is None or not self._loopback:  # only HTTP/1.0 comes without, and no browser speaks that
            return True
        return is_loopback(_host_name(host)) or host.lower() in self._hosts

    def _is_friendly_origin(self, origin: str | None, host: str) -> bool:
        if origin is None or origin in self._origins:  # programs send none
            return True
        scheme, _, netloc = origin.lower().partition("://")
        own = _without_default_port(host.lower(), scheme)
        return netloc != "" and _without_default_port(netloc, scheme) == own


def _presented_token(headers: Mapping[str, str]) -> bytes | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip().encode("latin-1")  # the bytes as they came
    for protocol in headers.get("sec-websocket-protocol", "").split(","):
        encoded = protocol.strip()
        if encoded.startswith(TOKEN_SUBPROTOCOL):
            encoded = encoded.removeprefix(TOKEN_SUBPROTOCOL)
            try:
                return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
            except (binascii.Error, ValueError):
                return b""  # something was shown, and it is wrong
    return None


def _host_name(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def _without_default_port(netloc: str, scheme: str) -> str:
    return netloc.removesuffix(DEFAULT_PORTS.get(scheme, " "))
