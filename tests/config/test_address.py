"""Addresses to listen on."""

from __future__ import annotations

import pytest

from beaver_actors.config import Address, parse_address


@pytest.mark.parametrize(
    ("written", "host", "port"),
    [
        (":9090", "127.0.0.1", 9090),
        (":0", "127.0.0.1", 0),
        ("127.0.0.1:7440", "127.0.0.1", 7440),
        ("0.0.0.0:7440", "0.0.0.0", 7440),
        ("localhost:80", "localhost", 80),
        ("jobs-1.example.org:65535", "jobs-1.example.org", 65535),
        ("[::1]:7440", "::1", 7440),
        ("[::]:0", "::", 0),
        ("[0:0:0:0:0:0:0:1]:1", "::1", 1),
    ],
)
def test_an_address_is_a_host_and_a_port(written: str, host: str, port: int) -> None:
    """By examples: no host means this machine alone, and port 0 any free one."""
    assert parse_address(written) == Address(host, port)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "port is missing"),
        ("7440", "needs a colon"),
        ("localhost", "port is missing"),
        ("localhost:", "expected an address"),
        ("localhost:http", "expected an address"),
        ("localhost:-1", "expected an address"),
        ("localhost:65536", "from 0 to 65535, got 65536"),
        ("localhost:٨٠", "expected an address"),
        ("::1:7440", "needs brackets"),
        ("[::1]", "expected an address"),
        ("[::zz]:1", "IPv6 address in brackets"),
        ("[127.0.0.1]:1", "IPv6 address in brackets"),
        ("256.0.0.1:1", "IPv4 address"),
        ("127.1:1", "IPv4 address"),
        ("*:9090", "0.0.0.0:9090"),
        ("a b:1", "name or address of a host"),
        ("-a:1", "name or address of a host"),
        ("localhost:1\n", "expected an address"),
        ("http://localhost:80", "without http://"),
        (7440, "in quotes, got the number 7440"),
        (None, "got nothing"),
    ],
)
def test_an_address_that_makes_no_sense_is_refused_with_a_hint(written: object, said: str) -> None:
    """By examples: each mistake gets a message of its own."""
    with pytest.raises(ValueError, match=r"^(expected|for every)") as refusal:
        parse_address(written)
    assert said in str(refusal.value)


def test_an_address_written_back_reads_the_same() -> None:
    """Round trip: IPv6 gets its brackets back."""
    for written in ("127.0.0.1:7440", "[::1]:0", "localhost:80"):
        assert str(parse_address(written)) == written
