"""Real server processes and a plain client, for tests that kill.

This file starts servers, ends them and speaks to them; it knows nothing of what is tested. It never sleeps:
it waits for a line, a message or the end of a process, each with a limit after which the test has failed.
Every process it starts carries a mark in its environment, by which those it leaves behind are found.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import connect

from tests.crash.forge import Forge, Forged

ROOT = Path(__file__).parents[2]
WAIT_SECONDS = 60.0
"""For what takes well under a second on an idle machine."""
MARK = "CRASH_TEST_MARK"

Message = dict[str, Any]

SMALL = {"BEAVER_WAL__SEGMENT_SIZE": "256KiB", "BEAVER_WAL__RESERVE_SIZE": "1MiB"}
"""A small log: quick to make, and its segments change often."""


class Gone(Exception):
    """The server does not answer any more."""


class Server:
    """One data directory, and the server process on it.

    Args:
        directory: gets `data/` and `server.log`, the standard error of all starts.
        options: of `run`, after the harness's own.
        settings: environment of the server.
        data_dir: elsewhere than in `directory`.
    """

    def __init__(
        self,
        directory: Path,
        *options: str,
        settings: Mapping[str, str] = SMALL,
        data_dir: Path | None = None,
    ) -> None:
        self.data_dir = data_dir or directory / "data"
        self.log = directory / "server.log"
        self.mark = uuid4().hex
        self.ready: Message = {}
        """The last ready line."""
        self._arguments = (
            "run", "--json", "--log-format", "json", "--data-dir", str(self.data_dir),
            "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", *options,
        )  # fmt: skip
        # What is set where the tests run is no setting of theirs.
        inherited = {name: text for name, text in os.environ.items() if not name.startswith("BEAVER_")}
        paths = os.pathsep.join(filter(None, (str(ROOT), inherited.get("PYTHONPATH"))))
        self._environment = {**inherited, "PYTHONPATH": paths, MARK: self.mark, **settings}
        self._process: subprocess.Popen[bytes] | Forged | None = None
        self._forge: Forge | None = None
        self._said = b""

    @property
    def process(self) -> subprocess.Popen[bytes] | Forged:
        assert self._process is not None, "the server was never started"
        return self._process

    @property
    def url(self) -> str:
        url: str = self.ready["listen"][0]
        return url

    def http(self, path: str) -> str:
        """An address on the main port."""
        return f"http{self.url.removeprefix('ws')}{path}"

    def listen_at(self, url: str) -> None:
        """At the next start, be where an earlier one was, as a real server is."""
        arguments = list(self._arguments)
        arguments[arguments.index("--listen") + 1] = url.removeprefix("ws://")
        self._arguments = tuple(arguments)

    def start(self) -> Self:
        """Start the process and wait until it accepts clients."""
        self.spawn()
        self.await_ready()
        return self

    def spawn(self, *prefix: str) -> None:
        """Start the process, and wait for nothing. `prefix`: words before the command, as of strace."""
        self._expect_ended()
        command = (*prefix, sys.executable, "-m", "beaver_actors", *self._arguments)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                env=self._environment, start_new_session=True,
            )  # fmt: skip

    def fork(self, *, held: bool = False) -> None:
        """Start the process in a tenth of the time, by a forge (see there), and wait for nothing. `held`: it
        stops before it does anything, and goes on with SIGCONT."""
        self._expect_ended()
        if self._forge is None:
            self._forge = Forge(self._arguments, self._environment, self.log)
        self._process = self._forge.make(held=held)

    def await_ready(self) -> Message:
        """Wait for the next ready line: one comes at the start, and one after each recovery within."""
        ready = self.comes_up()
        assert ready, f"the server said nothing; it ended with {self.end()}:\n{self.errors()}"
        return self.ready

    def comes_up(self) -> bool:
        """Wait for the next ready line; False if the server ends without one."""
        line = self._line(time.monotonic() + WAIT_SECONDS)
        if line is None:
            return False
        self.ready = json.loads(line)
        return True

    def kill(self) -> None:
        """End the process as a crash would, and wait until it is gone."""
        self.process.kill()
        self.end()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop_still(self, *, between_calls: bool = False) -> None:
        """Stop the process where it stands (SIGSTOP), and return when nobody hears from it any more.

        Args:
            between_calls: wait also until no thread is in a call of the kernel, such as a sync.
        """
        self.signal(signal.SIGSTOP)
        threads = Path(f"/proc/{self.process.pid}/task")
        # Trio speaks from the first thread; the others write, sync and run handlers.
        speaker = [threads / str(self.process.pid)]
        while any(_state_of(thread) in "RSD" for thread in (threads.iterdir() if between_calls else speaker)):
            pass

    def press_ctrl_c(self) -> None:
        """Interrupt the server and all else in its process group, as a terminal does."""
        os.killpg(self.process.pid, signal.SIGINT)

    def stop(self) -> int:
        """Ask it to stop and return its exit code."""
        self.process.terminate()
        return self.end()

    def end(self) -> int:
        """Wait for its end and return its exit code."""
        code = self.process.wait(WAIT_SECONDS)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def errors(self) -> str:
        """What it has written to its standard error, in all starts."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_lines(self, event: str) -> list[Message]:
        """The lines of its log that begin with this text."""
        lines = [json.loads(line) for line in self.errors().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"].startswith(event)]

    def family(self) -> list[int]:
        """The processes that carry our mark: the server and all that descends from it."""
        forge = None if self._forge is None else self._forge.pid
        mark = f"{MARK}={self.mark}".encode()
        return [pid for pid in _pids() if pid != forge and mark in _environment_of(pid)]

    def await_no_family(self) -> None:
        """Wait until no process is left; fail if one stays."""
        for pid in self.family():
            with suppress(ProcessLookupError):
                descriptor = os.pidfd_open(pid)
                try:
                    with selectors.DefaultSelector() as selector:
                        selector.register(descriptor, selectors.EVENT_READ)
                        assert selector.select(WAIT_SECONDS), f"process {pid} outlives the server"
                finally:
                    os.close(descriptor)
        assert not self.family()

    def close(self) -> None:
        """End whatever is left. Called by `serving`, also after a failed test."""
        if self._process is not None:
            self.process.kill()
            self.end()
        if self._forge is not None:
            self._forge.close()
        for pid in self.family():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _expect_ended(self) -> None:
        assert self._process is None or self._process.poll() is not None, "it runs already"
        self._said = b""

    def _line(self, until: float) -> bytes | None:
        """The next line of its standard output, None if it ends without one."""
        assert self.process.stdout is not None
        descriptor = self.process.stdout.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while b"\n" not in self._said:
                assert selector.select(until - time.monotonic()), f"not ready in time:\n{self.errors()}"
                data = os.read(descriptor, 65536)
                if not data:
                    return None
                self._said += data
        line, _, self._said = self._said.partition(b"\n")
        return line


@contextmanager
def serving(
    directory: Path,
    *options: str,
    settings: Mapping[str, str] = SMALL,
    data_dir: Path | None = None,
) -> Iterator[Server]:
    """A server, not yet started; no process is left behind, whatever happens inside."""
    server = Server(directory, *options, settings=settings, data_dir=data_dir)
    try:
        yield server
    finally:
        server.close()


class Client:
    """One WebSocket connection, without any cleverness: a request, its reply, and pushes set aside.

    Raises:
        Gone: from every method, once the server is.
    """

    def __init__(self, url: str) -> None:
        self.pushes: deque[Message] = deque()
        self._requests = 0
        self._open = ExitStack()
        with _gone():
            self._socket = self._open.enter_context(
                connect(
                    url, compression=None, max_size=None, max_queue=None, ping_interval=None,
                    open_timeout=WAIT_SECONDS, close_timeout=1,
                )
            )  # fmt: skip

    def post(self, kind: str, **fields: object) -> str:
        """Send a request and return its id."""
        self._requests += 1
        request = str(self._requests)
        with _gone():
            self._socket.send(json.dumps({"type": kind, "id": request, **fields}))
        return request

    def receive(self) -> Message:
        """The next message, reply or push."""
        with _gone():
            message: Message = json.loads(self._socket.recv(WAIT_SECONDS))
        return message

    def ask(self, kind: str, **fields: object) -> Message:
        """Send a request and wait for its reply; pushes that come before it go to `pushes`."""
        request = self.post(kind, **fields)
        while (message := self.receive()).get("re") != request:
            self.pushes.append(message)
        return message

    def done(self, kind: str, **fields: object) -> Message:
        """Like `ask`, for what must not be refused."""
        reply = self.ask(kind, **fields)
        assert reply["type"] == "ok", reply
        return reply

    def push(self) -> Message:
        """The next push."""
        return self.pushes.popleft() if self.pushes else self.receive()

    def close(self) -> None:
        with suppress(OSError, WebSocketException):  # the server may be gone before it has said goodbye
            self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@contextmanager
def _gone() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise AssertionError(f"no message within {WAIT_SECONDS:g} s") from error
    except (ConnectionClosed, WebSocketException, OSError) as error:
        raise Gone(str(error)) from error


def _state_of(thread: Path) -> str:
    """As `ps` shows it: T is stopped."""
    with suppress(FileNotFoundError):
        return (thread / "stat").read_text().rpartition(")")[2].split()[0]
    return "X"


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _environment_of(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes()
    return b""
