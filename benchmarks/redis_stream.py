"""A bare Redis stream with every command synced: the engine to measure against, with no framework around it.

The server is Debian's, the client is prepared bytes on a blocking socket, as for ourselves: a batch is one
pipeline of XADD. The consumer reads a hundred entries of its group at a time and acknowledges them together
with asking for the next. There are no retries, timeouts, schedules or results in it; it is the ceiling that
this durability allows another single-threaded server, and no queue that one would want to operate.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

STREAM, GROUP = b"jobs", b"workers"
READ_ENTRIES = 100
RECEIVE_BYTES = 1 << 18
START_SECONDS = 20.0
_ENTRY = re.compile(rb"\r\n(\d+-\d+)\r\n")


class RedisServer:
    """A Redis on a free port of 127.0.0.1, with its append-only file in a directory of ours.

    Args:
        directory: where that file lies.
        fsync: `always` or `everysec`.
    """

    def __init__(self, directory: Path, fsync: str = "always") -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{port}"
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)]
        command += ["--appendonly", "yes", "--appendfsync", fsync, "--save", "", "--logfile", "redis.log"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self.pid = self._process.pid
        began = time.monotonic()
        while True:
            try:
                with RedisConnection(self.url) as connection:
                    connection.ask(b"PING")
                break
            except OSError:
                if time.monotonic() - began > START_SECONDS or self._process.poll() is not None:
                    self._process.kill()
                    raise
                time.sleep(0.02)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def is_installed() -> bool:
    """Whether there is a Redis on this machine."""
    return shutil.which("redis-server") is not None


def command(*words: bytes) -> bytes:
    """One command in Redis' own protocol."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


class RedisConnection:
    """A blocking connection that knows no more of the protocol than is needed here."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname or "127.0.0.1", address.port or 6379), 60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fileno(self) -> int:
        """For `select` and its relatives."""
        return self._socket.fileno()

    def send(self, prepared: bytes) -> None:
        """Send commands made by `command`."""
        self._socket.sendall(prepared)

    def receive(self) -> bytes:
        """Wait for bytes."""
        data = self._socket.recv(RECEIVE_BYTES)
        if not data:
            raise ConnectionError("Redis has gone away")
        return data

    def ask(self, *words: bytes) -> bytes:
        """One command whose reply is short."""
        self.send(command(*words))
        reply = self.receive()
        if reply.startswith(b"-"):
            raise RuntimeError(f"Redis refuses {words[0]!r}: {reply!r}")
        return reply

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RedisStream(RedisConnection):
    """A producer: one message is a pipeline of `batch` entries, answered when the last of them is."""

    def __init__(self, url: str, batch: int) -> None:
        super().__init__(url)
        self._batch = batch
        self._lines = 0

    @staticmethod
    def enqueue(pad: str, batch: int) -> bytes:
        """One message, ready to be sent any number of times."""
        job = b'{"kind":"bench.noop","args":{"pad":"%s"}}' % pad.encode()
        return command(b"XADD", STREAM, b"*", b"job", job) * batch

    def receive_some(self) -> list[bytes]:
        """Wait for something; returns one empty item for each message that is now answered whole."""
        data = self.receive()
        if data.startswith(b"-") or b"\r\n-" in data:
            raise RuntimeError(f"Redis refuses an entry: {data[:200]!r}")
        self._lines += data.count(b"\n")  # each entry is answered by two lines: a length, and its id
        answered, self._lines = divmod(self._lines, 2 * self._batch)
        return [b""] * answered


def consume(url: str, *, jobs: int | None = None, on_entries: Callable[[int], None]) -> None:
    """Read and acknowledge so many entries of the stream as one member of its group; None: go on for ever.

    Args:
        url: of the Redis.
        jobs: how many.
        on_entries: told how many have just been read.
    """
    name = str(os.getpid()).encode()
    read = command(
        *(b"XREADGROUP", b"GROUP", GROUP, name, b"COUNT", str(READ_ENTRIES).encode()),
        *(b"BLOCK", b"5000", b"STREAMS", STREAM, b">"),
    )
    with RedisConnection(url) as connection:
        done = acknowledging = 0
        connection.send(read)
        buffer = b""
        while jobs is None or done < jobs:
            buffer += connection.receive()
            if acknowledging and b"\r\n" in buffer:
                head, _, buffer = buffer.partition(b"\r\n")
                if head != b":%d" % acknowledging:
                    raise RuntimeError(f"Redis did not acknowledge {acknowledging}: {head!r}")
                done += acknowledging
                acknowledging = 0
            if acknowledging:
                continue
            if buffer == b"*-1\r\n":  # nothing came
                buffer = b""
                connection.send(read)
            elif entries := _whole_entries(buffer):
                acknowledging, buffer = len(entries), b""
                on_entries(acknowledging)
                more = b"" if jobs is not None and done + acknowledging >= jobs else read
                connection.send(command(b"XACK", STREAM, GROUP, *entries) + more)


def _whole_entries(buffer: bytes) -> list[bytes] | None:
    """The ids in a reply to XREADGROUP, None if it is not all there.

    Such a reply is one stream with its name and an array of entries, each with an id, a key and a value.
    """
    if not buffer.startswith(b"*1\r\n*2\r\n"):
        if buffer.startswith(b"-"):
            raise RuntimeError(f"Redis refuses to be read: {buffer[:200]!r}")
        return None
    lines = buffer.split(b"\r\n", 5)
    if len(lines) < 6:
        return None
    count = int(lines[4][1:])
    # Eight lines an entry: array, length, id, array, and a length and a text for key and value.
    ids = _ENTRY.findall(buffer)
    return ids if len(ids) == count and buffer.count(b"\r\n") == 5 + count * 8 else None
