"""A worker process's side of the conversation with its server, and the watchdog that ends it with the server.

One thread listens all the time. When it sees the end of the input, the server is gone, and it kills the whole
process group at once. Only C code that never lets go of the interpreter can delay this. Runs no handler.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import NoReturn

from beaver_actors.execute.context import Attempt
from beaver_actors.execute.frames import (
    Cancel,
    Exit,
    FromProcess,
    Garbled,
    Progress,
    Run,
    ToProcess,
    frame,
    take_to_process,
)
from beaver_actors.kernel.posix import empty_input

READ_BYTES = 65_536
PROGRESS_SECONDS = 0.1
"""Progress is sent at most so often, so that a tight loop of it does not keep the server busy."""


class Line:
    """The conversation with the server: one thread listens, any thread may send."""

    def __init__(self, inbox: int, outbox: int) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._sending = threading.Lock()
        self._running: ProcessLink | None = None
        self._stopped: int | None = None
        """Fence of the attempt that was last asked to end, which may not have begun yet."""
        self.runs: queue.SimpleQueue[Run | None] = queue.SimpleQueue()
        """What to run next; None: exit."""
        self.notes: int | None = None
        """Descriptor of the interpreter's own notes, which the server reads when this process has died."""

    @classmethod
    def take_over_stdio(cls) -> Line:
        """Keep the server's pipes to ourselves: user code reads nothing and prints to standard error."""
        # A copy made by dup is not handed on to programs that user code starts.
        line = cls(os.dup(0), os.dup(1))
        empty_input()
        os.dup2(2, 1)
        # A pipe is buffered by the block; what a killed process had printed would be lost.
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError):  # user code may have put something else there
                stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        return line

    def send(self, message: FromProcess) -> None:
        """Write a message; where nobody listens any more, the watchdog is about to end us."""
        data = memoryview(frame(message))
        with self._sending, suppress(OSError):
            while data:
                data = data[os.write(self._outbox, data) :]

    def begin(self, attempt: Attempt) -> ProcessLink:
        """An attempt begins; it can be stopped from now on."""
        link = self._running = ProcessLink(attempt, self.send)
        if self._stopped == attempt.fence:
            link.stop()
        return link

    def end(self) -> None:
        """The attempt has ended."""
        if self._running is not None:
            self._running.close()
            self._running = None

    def listen(self) -> NoReturn:
        """Take messages until the server is gone, then kill everything."""
        try:
            received = bytearray()
            while data := os.read(self._inbox, READ_BYTES):
                received += data
                while (message := take_to_process(received)) is not None:
                    self._heard(message)
        except Garbled as error:
            print(f"a worker process was sent what is no message: {error}", file=sys.stderr)  # noqa: T201
        finally:
            os.killpg(0, signal.SIGKILL)
        raise AssertionError("a process does not outlive SIGKILL")

    def _heard(self, message: ToProcess) -> None:
        match message:
            case Run():
                self.runs.put(message)
            case Exit():
                self.runs.put(None)
            case Cancel(fence=fence):
                # First the mark, then the look: `begin` does it the other way round, so one of both sees it.
                self._stopped = fence
                running = self._running
                if running is not None and running.fence == fence:
                    self._note_where()
                    running.stop()

    def _note_where(self) -> None:
        """Write down where the handler is, for the case that it does not end and this process is killed."""
        if self.notes is None:
            return
        with suppress(OSError):  # user code may have closed it
            os.ftruncate(self.notes, 0)
            os.lseek(self.notes, 0, os.SEEK_SET)
            faulthandler.dump_traceback(self.notes, all_threads=True)


class ProcessLink:
    """The way from a `Context` to the server, from any thread of this process."""

    def __init__(self, attempt: Attempt, send: Callable[[FromProcess], None]) -> None:
        self.fence = attempt.fence
        self._send = send
        self._deadline = inf if attempt.timeout_ms is None else time.monotonic() + attempt.timeout_ms / 1000
        self._lock = threading.Lock()
        self._stopped = False
        self._stop: Callable[[], None] | None = None
        self._held: bytes | None = None
        self._timer: threading.Timer | None = None
        self._over = False

    def report(self, progress: bytes) -> None:
        with self._lock:
            if self._over:
                return
            if self._timer is not None:
                self._held = progress
                return
            self._send(Progress(progress))
            self._start_timer()

    def stopping(self) -> bool:
        return self._stopped or time.monotonic() >= self._deadline

    def seconds_left(self) -> float | None:
        return None if self._deadline == inf else self._deadline - time.monotonic()

    def stop(self) -> None:
        """The server wants the attempt ended."""
        with self._lock:
            self._stopped = True
            if self._stop is not None:
                self._stop()

    def when_stopped(self, stop: Callable[[], None]) -> None:
        """Have `stop` called, from another thread, when the server wants the attempt ended."""
        with self._lock:
            self._stop = stop
            if self._stopped:
                stop()

    def close(self) -> None:
        """The handler has ended: its last word goes out, and nothing after it."""
        with self._lock:
            self._over = True
            self._stop = None
            if self._timer is not None:
                self._timer.cancel()
            self._send_held()

    def _let_go(self) -> None:
        with self._lock:
            self._timer = None
            if not self._over and self._held is not None:
                self._send_held()
                self._start_timer()

    def _send_held(self) -> None:
        if self._held is not None:
            held, self._held = self._held, None
            self._send(Progress(held))

    def _start_timer(self) -> None:
        self._timer = threading.Timer(PROGRESS_SECONDS, self._let_go)
        self._timer.daemon = True
        self._timer.start()
