"""What the machine and the libraries can do without us, measured in the same run: one sync, one echo."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

SYNCS = 300
FRAME_BYTES = 400


def sync_ms(directory: Path) -> float:
    """The median time of one write and `fdatasync` of a small frame into room that is already there, ms."""
    with tempfile.NamedTemporaryFile(dir=directory) as file:
        descriptor = file.fileno()
        os.posix_fallocate(descriptor, 0, SYNCS * FRAME_BYTES)
        os.fsync(descriptor)
        times = []
        for number in range(SYNCS):
            began = time.perf_counter()
            os.pwrite(descriptor, b"x" * FRAME_BYTES, number * FRAME_BYTES)
            os.fdatasync(descriptor)
            times.append(time.perf_counter() - began)
    return sorted(times)[SYNCS // 2] * 1000


class EchoServer:
    """The same WebSocket library, in a process of its own, that does nothing but send back."""

    def __enter__(self) -> str:
        command = [sys.executable, "-m", "benchmarks.floors"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


async def _echo(request: WebSocketRequest) -> None:
    connection = await request.accept()
    try:
        while True:
            await connection.send_message(await connection.get_message())
    except ConnectionClosed:
        pass


async def _serve() -> None:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, _echo, "127.0.0.1", 0, None)
        print(f"ws://127.0.0.1:{server.port}", flush=True)


if __name__ == "__main__":
    trio.run(_serve)
