"""Taskiq on a Redis stream, the broker of its that acknowledges; it does so after the work."""

from taskiq_redis import RedisStreamBroker

from benchmarks.peers.apps.shared import PAD, URL, count

broker = RedisStreamBroker(url=URL)


@broker.task(task_name="bench.noop")
async def noop(pad: str) -> None:
    """Do nothing."""
    count()


class Producer:
    """Hands in jobs."""

    async def open(self) -> None:
        """Connect."""
        await broker.startup()

    async def one(self) -> None:
        """Hand in one."""
        await noop.kiq(pad=PAD)
