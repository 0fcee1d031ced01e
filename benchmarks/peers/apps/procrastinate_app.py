"""Procrastinate on PostgreSQL with its default settings, which sync every commit."""

from procrastinate import App, PsycopgConnector

from benchmarks.peers.apps.shared import BATCH, PAD, URL, count

app = App(connector=PsycopgConnector(conninfo=URL, min_size=1, max_size=10))


@app.task(name="bench.noop")
async def noop(pad: str) -> None:
    """Do nothing."""
    count()


class Producer:
    """Hands in jobs."""

    async def open(self) -> None:
        """Connect, once for all clients of the process."""
        await app.open_async()

    async def one(self) -> None:
        """Hand in one."""
        await noop.defer_async(pad=PAD)

    async def many(self) -> None:
        """Hand in a hundred."""
        await noop.batch_defer_async(*[{"pad": PAD}] * BATCH)
