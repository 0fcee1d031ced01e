"""The forge: a process that has imported the program once, and from then on makes servers by `fork`.

Importing takes ten times as long as recovering, and a test of a thousand lives wants to spend its time on the
lives. A forged server is a process of its own, with its own session, pipes and exit code, that runs the very
command line; only its imports were done before. Run as `python -m tests.crash.forge DESCRIPTOR`, this file is
the forge; `Forge` and `Forged` are the other side's handles of it. It knows nothing of what is tested.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import beaver_actors.cli

ORDER_BYTES = 65536
PRELOADED = (
    "beaver_actors.cli.app", "beaver_actors.cli.run", "beaver_actors.node.serve", "beaver_actors.observe.log",
    "encodings.idna", "structlog",
)  # fmt: skip
"""With what these import, all that a start imports; what is missing here only makes it slower."""


class Forged:
    """A server made by a forge: as much of `subprocess.Popen` as is needed here."""

    def __init__(self, pid: int, channel: socket.socket, stdout: BinaryIO) -> None:
        self.pid = pid
        self.stdout: BinaryIO | None = stdout
        self.returncode: int | None = None
        self._channel = channel
        self._waiting = Lock()

    def poll(self) -> int | None:
        """The exit code, None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float) -> int:
        """Wait for its end, so many seconds, and return the exit code; minus the signal that killed it."""
        with self._waiting:
            if self.returncode is None:
                self._channel.settimeout(timeout)
                try:
                    (self.returncode,) = _received(self._channel)
                except (TimeoutError, BlockingIOError):
                    raise subprocess.TimeoutExpired("a forged server", timeout) from None
            return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing happens if it has ended. The forge keeps the dead until the next order, so
        the number is nobody else's."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Forge:
    """One forge, which makes one server after the other.

    Args:
        arguments: of `python -m beaver_actors`.
        environment: of the forge and all its servers.
        log: gets the standard error of all of them.
    """

    def __init__(self, arguments: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._arguments = list(arguments)
        self._log = log
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, log.open("ab") as errors:
            self._process = subprocess.Popen(
                (sys.executable, "-m", "tests.crash.forge", str(theirs.fileno())),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                env=dict(environment), pass_fds=[theirs.fileno()], start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """Of the forge itself, which is no server."""
        return self._process.pid

    def make(self, *, held: bool = False) -> Forged:
        """Start the next server; the one before must have ended.

        Args:
            held: it stops before it does anything, and goes on with SIGCONT.
        """
        reading, writing = os.pipe()
        with open(writing, "wb") as stdout, self._log.open("ab") as stderr:
            order = json.dumps([self._arguments, held]).encode()
            socket.send_fds(self._channel, [order], [stdout.fileno(), stderr.fileno()])
        self._channel.settimeout(None)
        (pid,) = _received(self._channel)
        return Forged(pid, self._channel, open(reading, "rb", buffering=0))

    def close(self) -> None:
        """End the forge. Its last server must have ended."""
        self._channel.close()
        self._process.kill()
        self._process.wait()


def _received(channel: socket.socket) -> Any:
    data = channel.recv(ORDER_BYTES)
    if not data:
        raise AssertionError("the forge has ended")
    return json.loads(data)


def forge(channel: socket.socket) -> list[str] | None:
    """Obey orders until nobody gives any: None. In each new server: the arguments of its command."""
    dead: int | None = None
    while True:
        order, descriptors, _, _ = socket.recv_fds(channel, ORDER_BYTES, 2)
        if dead is not None:
            # Not buried before: a signal may still have been on its way to this number.
            os.waitpid(dead, 0)
        if not order:
            return None
        arguments, held = json.loads(order)
        pid = os.fork()
        if pid == 0:
            _become_a_server(descriptors, held)
            return list(arguments)
        for descriptor in descriptors:
            os.close(descriptor)
        if held:
            os.waitid(os.P_PID, pid, os.WSTOPPED | os.WNOWAIT)
        channel.send(json.dumps([pid]).encode())
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        code = ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
        with suppress(BrokenPipeError):
            channel.send(json.dumps([code]).encode())
        dead = pid


def _become_a_server(descriptors: Sequence[int], held: bool) -> None:
    os.setsid()
    for descriptor, number in zip(descriptors, (1, 2), strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    import trio._core._run

    # Its order of tasks would be the same in every server. Other generators are seeded anew by Python.
    trio._core._run._r = random.Random()
    if held:
        os.kill(os.getpid(), signal.SIGSTOP)


def main() -> None:
    """Import the program, then obey; what returns from that is a server, and runs the command line."""
    for name in PRELOADED:
        importlib.import_module(name)
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        arguments = forge(channel)
    if arguments is not None:
        sys.argv = ["beaver", *arguments]
        beaver_actors.cli.main()


if __name__ == "__main__":
    main()
