"""Opening a WebSocket: which requests may, and which subprotocol is spoken then; over loopback."""

import base64

import pytest
import websockets.asyncio.client
import websockets.sync.client
import websockets.trio.client
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from beaver_actors.server.auth import Auth
from beaver_actors.server.websocket import WebSocket
from tests.server.support import (
    KEY,
    OPENING,
    read_all,
    serving,
)

JSON, CBOR = Subprotocol("beaver.v1+json"), Subprotocol("beaver.v1+cbor")


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (None, None),
        ([JSON], JSON),
        ([CBOR], CBOR),
        ([CBOR, JSON], CBOR),
        ([Subprotocol("other.v9"), JSON], JSON),
        ([Subprotocol("beaver.bearer." + base64.urlsafe_b64encode(b"t").decode().rstrip("=")), CBOR], CBOR),
    ],
)
async def test_the_first_known_subprotocol_is_spoken(
    offered: list[Subprotocol] | None, chosen: str | None
) -> None:
    """Negotiation, over loopback; the handler sees the same as the client."""
    seen: list[str | None] = []

    async def note(opened: WebSocket) -> None:
        seen.append(opened.subprotocol)

    async with (
        serving(note) as served,
        websockets.trio.client.connect(served.url(), subprotocols=offered, proxy=None) as client,
    ):
        assert client.subprotocol == chosen
    assert seen == [chosen]


async def test_unknown_subprotocols_are_refused_with_the_known_ones() -> None:
    """Negotiation, over loopback."""
    async with serving() as served:
        with pytest.raises(InvalidStatus) as refused:
            async with websockets.trio.client.connect(
                served.url(), subprotocols=[Subprotocol("other.v9")], proxy=None
            ):
                pass
        assert refused.value.response.status_code == 400
        assert b"beaver.v1+json, beaver.v1+cbor, got other.v9" in refused.value.response.body
        await served.assert_serves()


async def test_a_token_as_subprotocol_opens_and_is_never_echoed() -> None:
    """Auth and negotiation, over loopback: no answer shows the token, whatever else is offered."""
    token = Subprotocol("beaver.bearer." + base64.urlsafe_b64encode(b"s3cret").decode().rstrip("="))
    async with serving(auth=Auth("s3cret")) as served:
        for offered in ([token], [token, CBOR], [CBOR, token]):
            async with websockets.trio.client.connect(
                served.url(), subprotocols=offered, proxy=None
            ) as client:
                assert client.response is not None
                assert token not in str(client.response.headers)
                await client.send("hello")
                assert await client.recv() == "hello"
        with pytest.raises(InvalidStatus, match="401"):
            async with websockets.trio.client.connect(served.url(), subprotocols=[CBOR], proxy=None):
                pass


def opening(*headers: str, drop: str = "", method: str = "GET", version: str = "1.1") -> bytes:
    lines = OPENING.decode().split("\r\n")[1:-2]
    kept = [line for line in lines if not drop or not line.startswith(drop)]
    return "\r\n".join([f"{method} /ws HTTP/{version}", *kept, *headers, "", ""]).encode()


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (opening(drop="Sec-WebSocket-Key"), 400),
        (opening("Sec-WebSocket-Key: c2hvcnQ=", drop="Sec-WebSocket-Key"), 400),
        (opening("Sec-WebSocket-Key: !!!", drop="Sec-WebSocket-Key"), 400),
        (opening(f"Sec-WebSocket-Key: {KEY}"), 400),
        (opening("Upgrade: websocket"), 400),
        (opening("Upgrade: websocket, h2c", drop="Upgrade"), 400),
        (opening(drop="Connection"), 400),
        (opening("Connection: keep-alive", drop="Connection"), 400),
        (opening(drop="Sec-WebSocket-Version"), 426),
        (opening("Sec-WebSocket-Version: 8", drop="Sec-WebSocket-Version"), 426),
        (opening("Sec-WebSocket-Version: 8"), 426),
        (opening("Content-Length: 3") + b"abc", 400),
        (opening("Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
        (opening(method="POST"), 400),
        (opening(version="1.0"), 400),
        (opening("Host: other"), 400),
        (opening("Upgrade: h2c", drop="Upgrade"), 426),
        (OPENING.replace(b"/ws ", b"/elsewhere "), 404),
    ],
)
async def test_a_request_that_opens_nothing_is_told_why(request_head: bytes, status: int) -> None:
    """Negotiation, over loopback with hand-made and doubled headers: a status, and a server that goes on."""
    async with serving() as served:
        async with await served.connect() as stream:
            await stream.send_all(request_head)
            await stream.send_eof()
            answer = await read_all(stream)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        if status == 426 and b"h2c" not in request_head:
            assert b"Sec-WebSocket-Version: 13\r\n" in answer
        await served.assert_serves()
