"""Ours, with prepared messages as the bare engines have them."""

from benchmarks.load import enqueue_message
from benchmarks.peers.apps.shared import BATCH, URL
from benchmarks.websocket import WebSocket, frame

KIND = "bench.count"


class Producer:
    """Hands in jobs."""

    def __init__(self) -> None:
        self._connection = WebSocket(URL)
        self._one, self._many = frame(enqueue_message(KIND, 1)), frame(enqueue_message(KIND, BATCH))

    def one(self) -> None:
        """Hand in one."""
        self._send(self._one)

    def many(self) -> None:
        """Hand in a hundred."""
        self._send(self._many)

    def _send(self, prepared: bytes) -> None:
        self._connection.send(prepared)
        reply = self._connection.receive()
        assert b'"ok"' in reply[:40], reply
