"""A bare Redis stream: prepared pipelines in, a hundred entries at a time out, acknowledged together."""

from benchmarks.peers.apps.shared import BATCH, PAD, URL, count
from benchmarks.redis_stream import GROUP, STREAM, RedisConnection, RedisStream, consume


class Producer:
    """Hands in jobs."""

    def __init__(self) -> None:
        self._one, self._many = RedisStream(URL, 1), RedisStream(URL, BATCH)
        self._one_message, self._many_message = RedisStream.enqueue(PAD, 1), RedisStream.enqueue(PAD, BATCH)

    def one(self) -> None:
        """Hand in one."""
        self._one.send(self._one_message)
        while not self._one.receive_some():
            pass

    def many(self) -> None:
        """Hand in a hundred."""
        self._many.send(self._many_message)
        while not self._many.receive_some():
            pass


if __name__ == "__main__":
    with RedisConnection(URL) as connection:
        connection.ask(b"XGROUP", b"CREATE", STREAM, GROUP, b"$", b"MKSTREAM")
    consume(url=URL, on_entries=count)
