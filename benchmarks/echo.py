"""What the WebSocket library can do without us: a server in a process of its own that answers at once.

It is trio-websocket as its own documentation uses it, and it answers every message with the same text, as
long as our reply to an enqueue of one job, so that both sides carry the same bytes.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Self

import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

REPLY = (
    '{"type":"ok","re":"1","lsn":1234567,"jobs":'
    '[{"id":"01a20a8e-7a2e-7422-a953-24388a96283a","duplicate":false}]}'
)


class EchoServer:
    """A running echo server; `url` is where."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "benchmarks.echo"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.pid = self._process.pid
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        if not self.url:
            raise RuntimeError(f"the echo server ended with exit code {self._process.wait()}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


async def _echo(request: WebSocketRequest) -> None:
    connection = await request.accept()
    try:
        while True:
            await connection.get_message()
            await connection.send_message(REPLY)
    except ConnectionClosed:
        pass


async def _serve() -> None:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, _echo, "127.0.0.1", 0, None)
        print(f"ws://127.0.0.1:{server.port}", flush=True)


if __name__ == "__main__":
    trio.run(_serve)
