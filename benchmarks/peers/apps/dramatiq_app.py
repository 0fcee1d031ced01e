"""Dramatiq on Redis, with its default middleware; it acknowledges after the work."""

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peers.apps.shared import PAD, URL, count

dramatiq.set_broker(RedisBroker(url=URL))


@dramatiq.actor
def noop(pad: str) -> None:
    """Do nothing."""
    count()


class Producer:
    """Hands in jobs."""

    def one(self) -> None:
        """Hand in one."""
        noop.send(pad=PAD)
