"""One worker process, seen from the server: started, spoken with, killed with its whole group, and mourned.

It knows frames and processes; which jobs run where is the pool's business (`process.py`).
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from contextlib import suppress
from subprocess import PIPE
from typing import IO

import trio

from beaver_actors.execute.frames import (
    FromProcess,
    ToProcess,
    bytes_max,
    frame,
    take_from_process,
)
from beaver_actors.execute.outcomes import Limits

MODULE = "beaver_actors.execute.process_child"
RECEIVE_BYTES = 65_536

DRAIN_SECONDS = 1.0
"""After the process has ended, what it wrote is still read for so long. End of file usually comes at once;
only a descendant that has left the group can hold the pipe open."""


class Died(Exception):
    """The process has ended, or has closed its end of the conversation."""


class WorkerProcess:
    """Made by `start`. Whoever starts one runs `watch` in a task of its own until that returns."""

    def __init__(self, process: trio.Process, notes: IO[bytes], limits: Limits) -> None:
        # The pipes are asked for in `start`.
        assert process.stdin is not None, "worker processes listen on their standard input"
        assert process.stdout is not None, "worker processes answer on their standard output"
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._notes = notes
        self._limits = limits
        self._bytes_max = bytes_max(limits)
        self._received = bytearray()
        self.pid = process.pid
        self.ended = trio.Event()
        """Set once the process and its group are gone."""
        self.last_words = ""
        """What the interpreter noted when it died, or when it was asked to end an attempt."""

    @classmethod
    async def start(cls, app: str | None, limits: Limits, directory: str) -> WorkerProcess:
        """Start a process in `directory`. Raises OSError if the system will not."""
        # Until the app is loaded, its standard error goes here, to be shown if loading fails; afterwards only
        # the interpreter's own notes do, and what the user's code prints goes where the server's goes.
        notes = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 lives as long as the process
        stderr = _stderr()
        command = [sys.executable, "-m", MODULE, "--stderr", str(stderr)]
        if app is not None:
            command += ["--app", app]
        try:
            # A session of its own is a group of its own, and no terminal whose Ctrl-C it would see.
            process = await trio.lowlevel.open_process(
                command,
                stdin=PIPE,
                stdout=PIPE,
                stderr=notes.fileno(),
                pass_fds=(stderr,),
                start_new_session=True,
                cwd=directory,
            )
        except BaseException:
            notes.close()
            raise
        finally:
            os.close(stderr)
        return cls(process, notes, limits)

    async def watch(self) -> None:
        """Wait until the process has ended, however long that takes, and clear up what it leaves."""
        try:
            with trio.CancelScope(shield=True):
                await self._process.wait()
            self.kill()  # what it has left in its group
            self.last_words = self._read_notes()
            self.ended.set()
            await trio.sleep(DRAIN_SECONDS)
        finally:
            with trio.CancelScope(shield=True):
                await self._stdin.aclose()
                await self._stdout.aclose()
            self._notes.close()

    def kill(self) -> None:
        """End the process and its whole group at once. Harmless when they have ended."""
        if self.ended.is_set():
            return  # the number may belong to strangers by now
        # Gone already, or (on some systems) only zombies are left of the group.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def send(self, message: ToProcess) -> None:
        """Say something. Raises Died; if cancelled half-way, the process is of no more use."""
        try:
            await self._stdin.send_all(frame(message))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise Died from None

    async def receive(self) -> FromProcess:
        """Wait for the next message. Cancelling this loses nothing.

        Raises:
            Died: there will be no more.
            Garbled: what came is no message.
        """
        while (message := take_from_process(self._received, self._bytes_max)) is None:
            try:
                data = await self._stdout.receive_some(RECEIVE_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                raise Died from None
            if not data:
                raise Died
            self._received += data
        return message

    async def obituary(self) -> str:
        """How the process ended, in words, after `Died`; one that only fell silent is killed."""
        with trio.move_on_after(DRAIN_SECONDS):
            await self.ended.wait()
        if not self.ended.is_set():
            self.kill()
            await self.ended.wait()
            return "closed its connection to the server and was killed"
        code = self._process.returncode
        assert code is not None, "an ended process has a return code"
        return f"ended by {_signal_name(-code)}" if code < 0 else f"ended by exit status {code}"

    def _read_notes(self) -> str:
        size = os.fstat(self._notes.fileno()).st_size
        chars_max = self._limits.traceback_chars
        return os.pread(self._notes.fileno(), chars_max, max(0, size - chars_max)).decode(errors="replace")


def _stderr() -> int:
    """A copy of the server's standard error, to be handed down."""
    try:
        return os.dup(2)
    except OSError:  # a server that was started without one
        return os.open(os.devnull, os.O_WRONLY)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
