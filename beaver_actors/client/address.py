"""Where the server is: the URL taken apart, and the words for what fails on the way there.

It opens nothing; all transports use it, so that they explain failures alike.
"""

from __future__ import annotations

import ssl
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from beaver_actors.client.arguments import mistyped
from beaver_actors.client.errors import ConnectFailed

DEFAULT_URL: Final = "ws://127.0.0.1:7440"
FINAL_STATUSES: Final = frozenset({400, 401, 403, 404, 405, 426})
"""Refusals that the same request will meet again; all others may pass."""


class Address(NamedTuple):
    """A WebSocket URL, taken apart."""

    url: str
    host: str
    port: int
    secure: bool
    target: str
    """Path and query, as the request line has them."""

    @property
    def host_header(self) -> str:
        """The `Host` of the opening request."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _default_port(self.secure) else f"{host}:{self.port}"


def parse_url(url: str) -> Address:
    """Take a URL apart.

    Args:
        url: such as `ws://127.0.0.1:7440` or `wss://queue.example.com`. Without a port: 80 and 443.

    Raises:
        TypeError: it is no text.
        ValueError: it is no WebSocket URL, or carries a password (the token has its own argument).
    """
    if not isinstance(url, str):
        raise mistyped("url", f"text such as {DEFAULT_URL}", url)
    expected = f"url: expected something such as {DEFAULT_URL}, got {url!r}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{expected}: {error}") from None
    if parts.scheme not in ("ws", "wss") or not parts.hostname or port == 0:
        raise ValueError(expected)
    if parts.username is not None or parts.password is not None:
        raise ValueError("url: expected no user or password; the token is given beside it")
    secure = parts.scheme == "wss"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not target.isascii() or not target.isprintable() or " " in target:
        raise ValueError(f"url: expected a path of visible ASCII characters, got {target!r}")
    return Address(url, parts.hostname, port or _default_port(secure), secure, target)


def check_token(token: str | None) -> str | None:
    """Returns the token.

    Raises:
        TypeError: it is no text.
        ValueError: no header can carry it. The text shows nothing of it.
    """
    if token is None:
        return None
    if not isinstance(token, str):
        raise TypeError(f"token: expected text, got {type(token).__name__}")
    if not token.isprintable():
        raise ValueError("token: expected printable characters without line breaks, got others")
    return token


def unreachable(address: Address, error: BaseException) -> ConnectFailed:
    """The words for a connection that could not be opened.

    Args:
        address: where to.
        error: what TCP or TLS said, perhaps deep in its causes.
    """
    chain = list(_causes(error))
    if refused := next((one for one in chain if isinstance(one, ssl.SSLCertVerificationError)), None):
        why = f"its certificate is not trusted: {refused.verify_message}"
        return ConnectFailed(f"cannot trust the server at {address.url}: {why}", transient=False)
    if any(isinstance(one, ConnectionRefusedError) for one in chain):
        advice = "start one with `python -m beaver_actors run`"
        return ConnectFailed(f"no server at {address.url}: connection refused; {advice}")
    if broken := next((one for one in chain if isinstance(one, ssl.SSLError)), None):
        why = f"{broken.reason or broken}; does it speak TLS at all (wss)?"
        return ConnectFailed(f"no encrypted connection to {address.url}: {why}")
    if address.secure and any(isinstance(one, ConnectionResetError) for one in chain):
        why = "the server hung up; does it speak TLS at all (wss)?"
        return ConnectFailed(f"no encrypted connection to {address.url}: {why}")
    deepest = chain[-1]
    why = getattr(deepest, "strerror", None) or str(deepest) or type(deepest).__name__
    return ConnectFailed(f"no connection to {address.url}: {why}")


def too_slow(address: Address, seconds: float) -> ConnectFailed:
    """The words for a server that did not finish the opening in time."""
    return ConnectFailed(f"no connection to {address.url}: not open within {seconds:g} s")


def rejected(address: Address, status: int, explanation: str) -> ConnectFailed:
    """The words for a server that answered the opening request with something else than a WebSocket.

    Args:
        address: where to.
        status: the HTTP status.
        explanation: what the server said, empty for nothing.
    """
    said = f": {explanation}" if explanation else ""
    match status:
        case 401:
            what = f"the server at {address.url} wants a valid token (401){said}"
        case 403:
            what = f"the server at {address.url} forbids this connection (403){said}"
        case 429 | 503:
            what = f"the server at {address.url} takes no connection now ({status}){said}"
        case _:
            what = f"the server at {address.url} opens no WebSocket (HTTP {status}){said}"
    return ConnectFailed(what, status=status, transient=status not in FINAL_STATUSES)


def hung_up(address: Address) -> ConnectFailed:
    """The words for a server that ended the connection in the middle of the opening."""
    hint = "" if address.secure else "; if it speaks TLS, the URL begins with wss"
    what = "the server hung up before the WebSocket was open"
    return ConnectFailed(f"no connection to {address.url}: {what}{hint}")


def not_ours(address: Address, why: str) -> ConnectFailed:
    """The words for a server that does not speak our protocol."""
    return ConnectFailed(f"the server at {address.url} is no beaver_actors server: {why}", transient=False)


def _default_port(secure: bool) -> int:
    return 443 if secure else 80


def _causes(error: BaseException) -> list[BaseException]:
    """The error and everything behind it, the deepest last."""
    found: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop(0)
        if one is None or one in found:
            continue
        found.append(one)
        waiting.append(one.__cause__ or one.__context__)
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
    return found
