"""Listening sockets that may not be had, and what is said then."""

import os
import socket

import pytest
import trio
import trio.testing

from beaver_actors.server.sockets import ListenError, address_text, open_listeners


async def test_a_port_in_use_is_told_with_what_to_do() -> None:
    """open_listeners, on loopback."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        for option in ("--listen", "--metrics-listen"):
            with pytest.raises(ListenError) as error:
                await open_listeners("127.0.0.1", port, option)
            expected = f"address already in use: 127.0.0.1:{port} (another server? use {option} HOST:PORT"
            assert str(error.value).startswith(expected)


@pytest.mark.parametrize(
    ("host", "port", "words"),
    [
        ("no-such-host.invalid", 0, "unknown host: 'no-such-host.invalid'"),
        ("bad host", 0, "unknown host: 'bad host'"),
        ("a" * 300, 0, "unknown host: "),
        ("192.0.2.1", 0, "not an address of this machine: 192.0.2.1:0"),
        ("127.0.0.1", 65_536, "port: expected 0 to 65535, got 65536"),
        ("127.0.0.1", -1, "port: expected 0 to 65535, got -1"),
    ],
)
async def test_an_address_that_cannot_be_had_is_told(host: str, port: int, words: str) -> None:
    """open_listeners, by example."""
    with pytest.raises(ListenError) as error:
        await open_listeners(host, port)
    assert str(error.value).startswith(words)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may take any port")
async def test_a_port_that_needs_privileges_is_told() -> None:
    """open_listeners, on loopback."""
    with pytest.raises(ListenError, match=r"permission denied: 127\.0\.0\.1:1 "):
        await open_listeners("127.0.0.1", 1)


async def test_all_addresses_of_a_name_get_the_same_free_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """open_listeners, on two loopback addresses of one name: port 0 is one port, even when the first choice
    turns out to be taken on the second address; an address that is not of this machine is done without."""
    really_open, really_resolve = trio.open_tcp_listeners, trio.socket.getaddrinfo
    snatched: list[socket.socket] = []

    async def resolve(host: str, port: int, **options: int) -> object:
        if host != "two-addresses.test":
            return await really_resolve(host, port, **options)
        return [(0, 0, 0, "", (address, 0)) for address in ("127.0.0.1", "192.0.2.1", "127.0.0.2")]

    async def snatch(port: int, *, host: str) -> list[trio.SocketListener]:
        if host == "127.0.0.2" and not snatched:
            snatched.append(socket.create_server((host, port)))
        return await really_open(port, host=host)

    monkeypatch.setattr(trio.socket, "getaddrinfo", resolve)
    monkeypatch.setattr(trio, "open_tcp_listeners", snatch)
    listeners, addresses = await open_listeners("two-addresses.test", 0)
    port = listeners[0].socket.getsockname()[1]
    assert addresses == [f"127.0.0.1:{port}", f"127.0.0.2:{port}"]
    assert [opened.getsockname()[1] != port for opened in snatched] == [True]
    snatched[0].close()
    for listener in listeners:
        await listener.aclose()


def test_addresses_are_written_as_people_write_them() -> None:
    """address_text, by example."""
    assert address_text(("127.0.0.1", 7440)) == "127.0.0.1:7440"
    assert address_text(("::1", 7440, 0, 0)) == "[::1]:7440"
    assert address_text("/run/beaver.sock") == "/run/beaver.sock"
