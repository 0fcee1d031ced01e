"""Opening a connection on asyncio, each failure told in the words of the Trio client. Afterwards it has
nothing to do with the connection.
"""

from __future__ import annotations

from beaver_actors.client.websockets_peer import FAILURES, Opening

# After the line above, which tells what to install.
from websockets.asyncio.client import ClientConnection as Connection, connect  # isort: skip

__all__ = ["Connection", "Opener"]


class Opener(Opening):
    """Connects, and connects again."""

    async def open(self) -> Connection:
        """Connect.

        Raises:
            ConnectFailed: says why, and whether it is worth another try.
        """
        try:
            connection = await _Connect(self.address.url, **self.options())
        except FAILURES as error:
            raise self.failed(error) from None
        try:
            self.check(connection.subprotocol)
        except BaseException:
            await connection.close()
            raise
        self.limit_silence(connection.transport.get_extra_info("socket"))
        return connection


class _Connect(connect):
    """Goes where it is told and nowhere else: a redirect could take the token to strangers."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Never follow one."""
        return exc
