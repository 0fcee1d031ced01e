"""Where to listen: `HOST:PORT` as people write it.

This file reads and writes the text. It resolves no name and opens no socket.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from beaver_actors.config.units import show

LOOPBACK = "127.0.0.1"

_PARTS = re.compile(r"(?:\[(?P<six>[^\[\]]*)\]|(?P<host>[^\[\]:]*)):(?P<port>[0-9]{1,5})", re.ASCII)
_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*\.?", re.ASCII)
_EXPECTED = 'expected an address such as "127.0.0.1:7440", "[::1]:7440" or ":7440"'


class Address(NamedTuple):
    """A host (name, IPv4, or IPv6 without brackets) and a port; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(value: object) -> Address:
    """Read an address to listen on.

    Args:
        value: `HOST:PORT` or `:PORT`. Without a host it is this machine alone (127.0.0.1): who wants to be
            reached from elsewhere says so, with `0.0.0.0:PORT` or `[::]:PORT`. An IPv6 address stands in
            brackets. The port is 0 to 65535; 0 is any free one.

    Returns:
        The host and the port.

    Raises:
        ValueError: says what was expected and what came.
    """
    if not isinstance(value, str):
        raise ValueError(f"{_EXPECTED}, in quotes, got {show(value)}")
    parts = _PARTS.fullmatch(value)
    if parts is None:
        raise ValueError(f"{_EXPECTED}{_hint(value)}, got {show(value)}")
    port = int(parts["port"])
    if port > 65535:
        raise ValueError(f"expected a port from 0 to 65535, got {port}")
    if parts["six"] is not None:
        try:
            return Address(str(ipaddress.IPv6Address(parts["six"])), port)
        except ValueError:
            raise ValueError(f"expected an IPv6 address in brackets, got {show(parts['six'])}") from None
    host = parts["host"]
    if not host:
        return Address(LOOPBACK, port)
    if host == "*":
        raise ValueError(
            f'for every address of this machine write "0.0.0.0:{port}" or "[::]:{port}", got "*"'
        )
    if re.fullmatch(r"[0-9.]+", host):
        try:
            return Address(str(ipaddress.IPv4Address(host)), port)
        except ValueError:
            raise ValueError(f"expected an IPv4 address, got {show(host)}") from None
    if _NAME.fullmatch(host) is None:
        raise ValueError(f"expected the name or address of a host, got {show(host)}")
    return Address(host, port)


def _hint(value: str) -> str:
    if "://" in value:
        return " without http:// or ws:// before it"
    if value.isdigit():
        return " (a port alone needs a colon before it)"
    if value.count(":") > 1 and "[" not in value:
        return " (an IPv6 address needs brackets)"
    if ":" not in value:
        return " (the port is missing)"
    return ""
