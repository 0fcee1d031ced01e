"""RQ on Redis. Results are not kept, which saves it commands."""

from redis import Redis
from rq import Queue

from benchmarks.peers.apps.shared import BATCH, PAD, URL, count


def noop(pad: str) -> None:
    """Do nothing."""
    count()


class Producer:
    """Hands in jobs."""

    def __init__(self) -> None:
        self._queue = Queue(connection=Redis.from_url(URL))

    def one(self) -> None:
        """Hand in one."""
        self._queue.enqueue(noop, pad=PAD, result_ttl=0)

    def many(self) -> None:
        """Hand in a hundred."""
        job = Queue.prepare_data(noop, kwargs={"pad": PAD}, result_ttl=0)
        self._queue.enqueue_many([job._replace(job_id=None) for _ in range(BATCH)])
