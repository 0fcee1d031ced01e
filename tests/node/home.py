"""A whole server inside the test: the real `serve`, real files, real sockets on free ports, and ways to break
it. Knows how to start and stop one; what is broken, and what should follow, is the tests' own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import trio

from beaver_actors.config import Config, Override, load
from beaver_actors.execute.app import App
from beaver_actors.node.exits import Exit
from beaver_actors.node.life import Orders
from beaver_actors.node.lives import Ready
from beaver_actors.node.serve import serve

WAIT_SECONDS = 30.0
"""For what takes well under a second on an idle machine."""


def config(data_dir: Path | str, **settings: object) -> Config:
    """Settings for a small server on free ports; `__` in a name stands for the dot."""
    given: dict[str, object] = {
        "data_dir": str(data_dir),
        "server.listen": "127.0.0.1:0",
        "metrics.listen": "127.0.0.1:0",
        "wal.segment_size": "256KiB",
        "wal.reserve_size": "1MiB",
        "workers.count": 4,
    }
    given.update({name.replace("__", "."): setting for name, setting in settings.items()})
    return load(None, {}, {name: Override(setting, "test") for name, setting in given.items()})


class Node:
    """A server that runs, or has run."""

    def __init__(self, settings: Config) -> None:
        self.settings = settings
        self.orders = Orders()
        self.lives: list[Ready] = []
        """What it said each time it became ready."""
        self.code: Exit | None = None
        self._news = trio.Event()
        self._ended = trio.Event()
        self.scope = trio.CancelScope()

    @property
    def url(self) -> str:
        return f"ws://{self.lives[-1].listen[0]}"

    @property
    def metrics(self) -> str:
        """Where the metrics port is."""
        return f"http://{self.lives[-1].metrics[0]}"

    async def run(self, app: App | str | None, token: str | None) -> None:
        try:
            with self.scope:
                self.code = await serve(
                    self.settings, app, token=token, ready=self._ready, orders=self.orders
                )
        finally:
            self._ended.set()
            self._news.set()

    async def until_life(self, number: int) -> None:
        """Wait until the server is ready for this, its n-th life."""
        with trio.fail_after(WAIT_SECONDS):
            while len(self.lives) < number:
                assert not self._ended.is_set(), f"the server ended with {self.code}"
                await self._news.wait()

    def _ready(self, ready: Ready) -> None:
        self.lives.append(ready)
        self._news.set()
        self._news = trio.Event()

    async def end(self) -> Exit | None:
        """Wait until it has ended and return its exit code."""
        with trio.fail_after(WAIT_SECONDS):
            await self._ended.wait()
        return self.code

    async def stop(self) -> Exit | None:
        """Ask it to stop, unfinished jobs or not."""
        self.orders.drain.set()
        self.orders.hurry.set()
        return await self.end()


@asynccontextmanager
async def node(
    settings: Config, app: App | str | None = None, token: str | None = None
) -> AsyncIterator[Node]:
    """A server that is ready; it is stopped in the end, if it still runs."""
    home = Node(settings)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(home.run, app, token)
        await home.until_life(1)
        yield home
        await home.stop()


async def end_of(settings: Config) -> Exit:
    """Run a server that is expected to end by itself."""
    with trio.fail_after(WAIT_SECONDS):
        return await serve(settings, orders=Orders())


class Got(NamedTuple):
    """An HTTP response."""

    status: int
    text: str


async def get(url: str, token: str | None = None) -> Got:
    """GET, from a thread."""
    request = Request(url)
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")

    def fetch() -> Got:
        try:
            with urlopen(request, timeout=WAIT_SECONDS) as response:
                return Got(response.status, response.read().decode())
        except HTTPError as error:
            with error:
                return Got(error.code, error.read().decode())

    return await trio.to_thread.run_sync(fetch)
