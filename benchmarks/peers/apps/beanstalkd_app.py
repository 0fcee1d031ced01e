"""beanstalkd with its log synced for every job; commands are sent a hundred at a time without waiting."""

import re
import socket
from urllib.parse import urlsplit

from benchmarks.peers.apps.shared import BATCH, PAD, URL, count

JOB = b'{"kind":"bench.noop","args":{"pad":"%s"}}' % PAD.encode()
PUT = b"put 0 0 60 %d\r\n%s\r\n" % (len(JOB), JOB)
RESERVE = b"reserve\r\n"
RESERVED = 32
"""Commands that a worker sends ahead."""
_RESERVED = re.compile(rb"RESERVED (\d+) (\d+)\r\n")


def connect() -> socket.socket:
    """Open a connection."""
    address = urlsplit(URL)
    connection = socket.create_connection((address.hostname or "127.0.0.1", address.port or 11300), 60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


class Producer:
    """Hands in jobs."""

    def __init__(self) -> None:
        self._connection = connect()

    def one(self) -> None:
        """Hand in one."""
        self._put(1)

    def many(self) -> None:
        """Hand in a hundred."""
        self._put(BATCH)

    def _put(self, jobs: int) -> None:
        self._connection.sendall(PUT * jobs)
        while jobs:
            data = self._connection.recv(1 << 16)
            if not data or (b"INSERTED" not in data and b"\n" not in data):
                raise RuntimeError(f"beanstalkd refuses: {data!r}")
            jobs -= data.count(b"\n")


def work() -> None:
    """Reserve and delete, a handful of commands under way."""
    connection = connect()
    connection.sendall(RESERVE * RESERVED)
    buffer = b""
    while True:
        data = connection.recv(1 << 16)
        if not data:
            return
        buffer += data
        answers = b""
        done = at = 0
        while True:
            if buffer.startswith(b"DELETED\r\n", at):
                at += 9
            elif (match := _RESERVED.match(buffer, at)) and len(buffer) >= match.end() + int(match[2]) + 2:
                at = match.end() + int(match[2]) + 2
                answers += b"delete %s\r\n" % match[1] + RESERVE
                done += 1
            else:
                break
        buffer = buffer[at:]
        if done:
            count(done)
            connection.sendall(answers)


if __name__ == "__main__":
    work()
