"""Opens the sockets that the server listens on, and says what to do when it cannot. It accepts nothing: the
sockets may stay open over several lives of the node."""

import errno
import socket
from typing import Final

import trio

# With port 0 the system picks a port that is free on the first address; on another one it may be taken.
FREE_PORT_TRIES: Final = 8
UNUSABLE: Final = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class ListenError(Exception):
    """The address cannot be listened on; the message says why, and what to do."""


async def open_listeners(
    host: str, port: int, option: str = "--listen"
) -> tuple[list[trio.SocketListener], list[str]]:
    """Listens on every address that `host` stands for ("" is all of this machine), everywhere on the same
    port.

    `port` 0 takes a free one. Returns the listeners and the addresses they got ("127.0.0.1:7440"); the
    caller closes the listeners. Raises ListenError, which names the `option` that chooses another address."""
    if not 0 <= port <= 65_535:
        raise ListenError(f"port: expected 0 to 65535, got {port}")
    try:
        found = await trio.socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise ListenError(f"unknown host: {host!r} ({error}); use {option} HOST:PORT with another") from error
    addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
    tries = FREE_PORT_TRIES if port == 0 else 1
    while True:
        listeners: list[trio.SocketListener] = []
        try:
            await _open_each(addresses, port, listeners)
        except OSError as error:
            for listener in listeners:
                listener.socket.close()
            tries -= 1
            if tries and listeners and error.errno == errno.EADDRINUSE:
                continue
            raise ListenError(_explain(error, address_text((host, port)), option)) from error
        return listeners, [address_text(listener.socket.getsockname()) for listener in listeners]


def address_text(address: object) -> str:
    """Returns "host:port" for what sockets call an address, with IPv6 hosts in brackets."""
    if not isinstance(address, tuple):
        return str(address)
    host, port = address[0], address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def _open_each(addresses: list[str], port: int, listeners: list[trio.SocketListener]) -> None:
    unusable: OSError | None = None
    for address in addresses:
        try:
            listeners += await trio.open_tcp_listeners(port, host=address)
        except OSError as error:
            if error.errno not in UNUSABLE:
                raise
            unusable = error  # as ::1 for "localhost" on a machine without IPv6
            continue
        port = listeners[0].socket.getsockname()[1]
    if not listeners and unusable is not None:
        raise unusable


def _explain(error: OSError, address: str, option: str) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"address already in use: {address} (another server? use {option} HOST:PORT for another)"
        case errno.EACCES | errno.EPERM:
            return f"permission denied: {address} (ports below 1024 need privileges; use a higher one)"
        case errno.EADDRNOTAVAIL:
            return f"not an address of this machine: {address} (127.0.0.1 and 0.0.0.0 always are)"
        case _:
            return f"cannot listen on {address}: {error.strerror or error}"
