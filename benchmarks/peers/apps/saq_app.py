"""SAQ on Redis, with its default concurrency."""

from typing import Any

from saq import Queue

from benchmarks.peers.apps.shared import PAD, URL, count

queue = Queue.from_url(URL or "redis://")


async def noop(context: Any, *, pad: str) -> None:
    """Do nothing."""
    count()


settings = {"queue": queue, "functions": [noop], "concurrency": 10}


class Producer:
    """Hands in jobs."""

    async def open(self) -> None:
        """Connect."""
        await queue.connect()

    async def one(self) -> None:
        """Hand in one."""
        await queue.enqueue("noop", pad=PAD)
