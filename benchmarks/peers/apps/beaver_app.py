"""Ours, with the synchronous Python client that users have."""

from beaver_actors.client import new_job
from beaver_actors.client.sync import connect
from benchmarks.peers.apps.shared import BATCH, PAD, URL

KIND = "bench.count"


class Producer:
    """Hands in jobs."""

    def __init__(self) -> None:
        self._client = connect(URL)

    def one(self) -> None:
        """Hand in one."""
        self._client.enqueue(KIND, {"pad": PAD})

    def many(self) -> None:
        """Hand in a hundred."""
        self._client.enqueue_many([new_job(KIND, {"pad": PAD}) for _ in range(BATCH)])
