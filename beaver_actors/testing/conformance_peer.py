"""One connection of the conformance script: requests and replies as plain dictionaries, in JSON or CBOR, with
nothing added, nothing repaired, and a limit to every wait."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Self

import cbor2
import trio

from beaver_actors.client.address import parse_url
from beaver_actors.client.opening import Connection, Opener

Message = dict[str, Any]
RECEIVE_BYTES = 65_536


class Unfit(Exception):
    """The server does not do what the protocol says."""


def expect(condition: object, text: str) -> None:
    """Raise `Unfit`, unless."""
    if not condition:
        raise Unfit(text)


class Peer:
    """An open connection. Made by `Target.connect`."""

    def __init__(self, connection: Connection, form: str, patience: float) -> None:
        self._stream, self._websocket, early = connection
        self._form = form
        self._patience = patience
        self._heard: deque[str | bytes] = deque(early)
        self._requests = 0
        self.pushes: deque[Message] = deque()
        """What came between replies."""

    async def send_raw(self, data: str | bytes) -> None:
        """Send a message as it is."""
        with trio.fail_after(self._patience):
            await self._stream.send_all(self._websocket.frame(data))

    async def post(self, kind: str, /, **fields: Any) -> str:
        """Send a request; returns its id."""
        self._requests += 1
        request_id = f"c{self._requests}"
        message = {"type": kind, "id": request_id, **fields}
        await self.send_raw(json.dumps(message) if self._form == "json" else cbor2.dumps(message))
        return request_id

    async def receive(self) -> Message:
        """The next message. Raises Unfit if there is none in time."""
        try:
            with trio.fail_after(self._patience):
                while not self._heard:
                    if self._websocket.over is not None:
                        raise Unfit(f"the connection has ended: {self._websocket.over}")
                    data = await self._stream.receive_some(RECEIVE_BYTES)
                    self._heard.extend(self._websocket.receive(bytes(data)))
                    if control := self._websocket.control():
                        await self._stream.send_all(control)
        except trio.TooSlowError:
            raise Unfit(f"no message within {self._patience:g} s") from None
        except trio.BrokenResourceError:
            raise Unfit("the connection broke") from None
        heard = self._heard.popleft()
        expect(
            isinstance(heard, str) == (self._form == "json"), f"a message in another form than {self._form}"
        )
        message: Message = json.loads(heard) if isinstance(heard, str) else cbor2.loads(heard)
        expect(isinstance(message, dict) and "type" in message, f"a message without a type: {message!r}")
        return message

    async def reply(self, request_id: str) -> Message:
        """The reply to this request; what is pushed meanwhile goes to `pushes`."""
        while (message := await self.receive())["type"] not in ("ok", "error"):
            self.pushes.append(message)
        expect(message.get("re") == request_id, f"expected the reply to {request_id}, got {message!r:.300}")
        return message

    async def ask(self, kind: str, /, **fields: Any) -> Message:
        """Send a request and return the reply."""
        return await self.reply(await self.post(kind, **fields))

    async def done(self, kind: str, /, **fields: Any) -> Message:
        """As `ask`, for what must be granted."""
        reply = await self.ask(kind, **fields)
        expect(reply["type"] == "ok", f"{kind} was refused: {reply!r:.300}")
        return reply

    async def refused(self, code: str, kind: str, /, naming: str = "", **fields: Any) -> Message:
        """As `ask`, for what must be refused with this code, in a message that names a field."""
        reply = await self.ask(kind, **fields)
        expect(reply["type"] == "error", f"{kind} was granted: expected {code}, got {reply!r:.300}")
        expect(reply.get("code") == code, f"expected the code {code}, got {reply!r:.300}")
        text = reply.get("message")
        expect(
            isinstance(text, str) and naming in text, f"expected a message that names {naming}, got {text!r}"
        )
        expect("retry_after" in reply, "an error without retry_after")
        return reply

    async def push(self, kind: str) -> Message:
        """The next push, which must be of this type."""
        message = self.pushes.popleft() if self.pushes else await self.receive()
        expect(message["type"] == kind, f"expected a push {kind}, got {message!r:.300}")
        return message

    async def closed(self) -> str:
        """Wait for the end of the connection; returns why it ended."""
        with trio.move_on_after(self._patience):
            while self._websocket.over is None:
                try:
                    data = await self._stream.receive_some(RECEIVE_BYTES)
                except trio.BrokenResourceError:
                    return "broken"
                self._websocket.receive(bytes(data))
                if control := self._websocket.control():
                    with trio.move_on_after(1):
                        await self._stream.send_all(control)
            return str(self._websocket.over)
        raise Unfit("the connection goes on, and should have ended")

    async def leave(self) -> None:
        """Hang up without a goodbye."""
        await trio.aclose_forcefully(self._stream)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.leave()


class Target:
    """The server under test.

    Args:
        url: where it is. token: for a server that asks for one. patience: seconds to wait for anything. name:
        made up for each run: kinds, queues and jobs of the run begin with it, so that it meets nobody's.
    """

    def __init__(self, url: str, token: str | None, patience: float, name: str) -> None:
        self._address = parse_url(url)
        self._token = token
        self.patience = patience
        self.name = name
        self._made = 0

    def fresh(self, what: str) -> str:
        """A name that nothing has had before."""
        self._made += 1
        return f"{self.name}.{what}-{self._made}"

    def connect(self, form: str = "json") -> AbstractAsyncContextManager[Peer]:
        """Open a connection: `async with target.connect() as peer`."""
        return self._open(form)

    @asynccontextmanager
    async def _open(self, form: str) -> AsyncIterator[Peer]:
        opener = Opener(self._address, f"beaver.v1+{form}", self._token, None, self.patience)
        async with Peer(await opener.open(), form, self.patience) as peer:
            yield peer
