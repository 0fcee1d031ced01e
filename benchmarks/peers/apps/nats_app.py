"""NATS JetStream with a stream in a file, which the server syncs every two minutes: an acknowledged job may
be lost with the machine's power. Publishes are sent a hundred at a time, and a pull consumer fetches a
hundred."""

import asyncio
from contextlib import suppress

import nats
from nats.js.api import RetentionPolicy, StorageType
from nats.js.client import JetStreamContext

from benchmarks.peers.apps.shared import BATCH, PAD, URL, count

SUBJECT, STREAM, WORKERS = "jobs", "JOBS", "workers"
FETCH_SECONDS = 0.1
"""A fetch lasts this long unless it is full; longer, and the last jobs of a run would wait for nothing."""
JOB = b'{"kind":"bench.noop","args":{"pad":"%s"}}' % PAD.encode()


async def connect() -> JetStreamContext:
    """Open a connection, and make the stream if there is none."""
    connection = await nats.connect(URL)
    stream = connection.jetstream(publish_async_max_pending=4 * BATCH)
    await stream.add_stream(
        name=STREAM, subjects=[SUBJECT], storage=StorageType.FILE, retention=RetentionPolicy.WORK_QUEUE
    )
    return stream


class Producer:
    """Hands in jobs."""

    async def open(self) -> None:
        """Connect."""
        self._stream = await connect()

    async def one(self) -> None:
        """Hand in one."""
        await self._stream.publish(SUBJECT, JOB)

    async def many(self) -> None:
        """Hand in a hundred."""
        await asyncio.gather(*[await self._stream.publish_async(SUBJECT, JOB) for _ in range(BATCH)])


async def work() -> None:
    """Fetch and acknowledge."""
    stream = await connect()
    subscription = await stream.pull_subscribe(SUBJECT, WORKERS)
    while True:
        with suppress(TimeoutError):  # nothing came
            for message in await subscription.fetch(BATCH, timeout=FETCH_SECONDS):
                count()
                await message.ack()


if __name__ == "__main__":
    asyncio.run(work())
