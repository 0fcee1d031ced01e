"""Opening a connection without an event loop, each failure told in the words of the Trio client. Afterwards
it has nothing to do with the connection.
"""

from __future__ import annotations

from beaver_actors.client.websockets_peer import FAILURES, Opening

# After the line above, which tells what to install.
from websockets.sync.client import ClientConnection as Connection, connect  # isort: skip

__all__ = ["Connection", "Opener"]


class Opener(Opening):
    """Connects, and connects again."""

    def open(self) -> Connection:
        """Connect.

        Raises:
            ConnectFailed: says why, and whether it is worth another try.
        """
        try:
            connection: Connection = connect(self.address.url, **self.options()).__enter__()
        except FAILURES as error:
            raise self.failed(error) from None
        try:
            self.check(connection.subprotocol)
        except BaseException:
            connection.close()
            raise
        self.limit_silence(connection.socket)
        return connection
