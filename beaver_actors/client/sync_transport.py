"""The connection of a synchronous client, kept alive by two threads of its own: one reads and connects again
when the connection is lost, one writes. Callers, in any number of threads, only leave requests with the core.

Needs the websockets package (the extra `client`). Everything of the core is used under one lock.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress

from beaver_actors.client.chance import draw
from beaver_actors.client.core import CLOSED, Core, reconnect_seconds
from beaver_actors.client.errors import ClientError, ConnectFailed, ConnectionLost, ProtocolError
from beaver_actors.client.sync_opening import Connection, Opener
from beaver_actors.client.websockets_peer import CLOSE_SECONDS, ConnectionClosed, why_closed
from beaver_actors.codec.wire import Ok, Request
from beaver_actors.codec.wire_decode import Form

log = logging.getLogger("beaver_actors.client")


class Transport:
    """Moves the messages of one client.

    Args:
        form: how messages are written.
        opener: connects.
        reconnect: whether to connect again when the connection is lost.
    """

    def __init__(self, form: Form, opener: Opener, reconnect: bool) -> None:
        self.lock = threading.Lock()
        """Held around every use of the core and of what is built on it."""
        self.core = Core(form, self._wake)
        self._opener = opener
        self._reconnect = reconnect
        self._connection: Connection | None = None
        self._to_write = threading.Condition(self.lock)
        self._room = threading.Condition(self.lock)
        self._closing = threading.Event()
        self._process_id = os.getpid()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Connect, and keep connected from now on.

        Raises:
            ConnectFailed: says why there is no connection.
        """
        connection = self._opener.open()
        self._threads = [
            threading.Thread(target=self._keep, args=(connection,), name="beaver-client-read", daemon=True),
            threading.Thread(target=self._write, name="beaver-client-write", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def ask(self, request: Request, timeout: float | None) -> Ok:
        """Ask and wait for the answer, across reconnects. Waits first while too much is unanswered.

        Raises:
            TimeoutError: it took longer than `timeout` seconds; it may have been done, or may yet be.
            ClientError: it was refused, or there will be no answer.
        """
        self.check_process()
        deadline = None if timeout is None else time.monotonic() + timeout
        settled = threading.Event()
        with self.lock:
            while not self.core.has_room() and self.core.error is None:
                if not self._room.wait(_left(deadline)):
                    raise TimeoutError(f"no room for another request within {timeout} s")
            pending = self.core.ask(request, lambda _: settled.set())
            if self.core.has_room():
                self._room.notify()  # a large request that leaves may make room for several small ones
        try:
            settled.wait(_left(deadline))
        finally:
            with self.lock:
                self.core.forget(pending)
                self._room.notify()
        if pending.outcome is None:
            raise TimeoutError(f"no answer within {timeout} s")
        return pending.ok()

    def close(self) -> None:
        """Say goodbye and end the threads. Harmless if it is closed."""
        if os.getpid() != self._process_id:
            return  # the connection is the parent's, and so may the lock be
        self._closing.set()
        with self.lock:
            self.core.end(ConnectionLost(CLOSED))
            connection = self._connection
            self._to_write.notify_all()
            self._room.notify_all()
        if connection is not None:
            connection.close()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(CLOSE_SECONDS * 2)

    def check_process(self) -> None:
        """Raises ClientError in a process that was forked off after connecting: its threads stayed behind."""
        if os.getpid() != self._process_id:
            raise ClientError("this client belongs to another process: connect after the fork")

    def _wake(self) -> None:
        self._to_write.notify()

    def _keep(self, connection: Connection) -> None:
        failures = 0
        try:
            while True:
                error, useful = self._read(connection)
                failures = 0 if useful else failures + 1
                with self.lock:
                    self._connection = None
                    self.core.lost(error)
                    if not self._reconnect:
                        self.core.end(ConnectionLost(str(error)))
                if self.core.error is None:
                    log.warning("%s; connecting again", error)
                while True:
                    if self.core.error is not None or self._closing.wait(_pause(failures)):
                        return
                    try:
                        connection = self._opener.open()
                        log.info("connected again")
                        break
                    except ConnectFailed as failure:
                        if not failure.transient:
                            raise
                        failures += 1
        except ConnectFailed as failure:
            with self.lock:
                self.core.end(failure)
        except BaseException as bug:
            with self.lock:
                self.core.end(ClientError(f"the client failed, please report this: {bug!r}"))
            raise
        finally:
            with self.lock:
                self.core.end(ConnectionLost(CLOSED))
                self._to_write.notify_all()
                self._room.notify_all()

    def _read(self, connection: Connection) -> tuple[ClientError, bool]:
        """Serve until the connection ends; returns why, and whether anything sensible came before."""
        useful = False
        with self.lock:
            if self._closing.is_set():
                connection.close()
            else:
                self._connection = connection
                self.core.opened()
        try:
            while True:
                data = connection.recv()
                with self.lock:
                    self.core.received(data)
                useful = True
        except ProtocolError as error:
            connection.close(1002, "not understood")
            return error, useful
        except ConnectionClosed as closed:
            return why_closed(closed), useful

    def _write(self) -> None:
        while True:
            with self.lock:
                data, connection = None, None
                while self.core.error is None and data is None:
                    connection = self._connection
                    data = self.core.next_message() if connection is not None else None
                    if data is None:
                        self._to_write.wait()
            if data is None or connection is None:
                return
            # What is lost here is still pending, so it is sent again over the next connection.
            with suppress(ConnectionClosed, OSError):
                connection.send(data)


def _pause(failures: int) -> float:
    return reconnect_seconds(failures, draw())


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
