"""What peers keep their jobs in: servers of our own on free ports of 127.0.0.1, with all they write in a
temporary directory, ended by pid. Each is a context that gives the address for its clients."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.redis_stream import RedisServer

START_SECONDS = 30.0
STOP_SECONDS = 5.0
POSTGRES = Path("/usr/lib/postgresql")
"""Where Debian keeps its versions; its commands are not on the path."""


@contextmanager
def redis_always(directory: Path) -> Iterator[str]:
    """Redis that syncs its append-only file before it answers."""
    with RedisServer(directory, "always") as server:
        yield server.url


@contextmanager
def redis_everysec(directory: Path) -> Iterator[str]:
    """Redis that syncs its append-only file every second."""
    with RedisServer(directory, "everysec") as server:
        yield server.url


@contextmanager
def sqlite(directory: Path) -> Iterator[str]:
    """A file, and no server."""
    yield str(directory / "jobs.db")


@contextmanager
def beanstalkd(directory: Path) -> Iterator[str]:
    """beanstalkd with a log that is synced at every write."""
    port = free_port()
    command = ["beanstalkd", "-l", "127.0.0.1", "-p", str(port), "-b", str(directory), "-f0"]
    with _process(command):
        _wait_for_port(port)
        yield f"beanstalk://127.0.0.1:{port}"


@contextmanager
def nats(directory: Path) -> Iterator[str]:
    """NATS with JetStream in files."""
    port = free_port()
    found = shutil.which("nats-server") or "/usr/sbin/nats-server"
    command = [found, "-js", "-sd", str(directory), "-a", "127.0.0.1", "-p", str(port)]
    with _process(command):
        _wait_for_port(port)
        yield f"nats://127.0.0.1:{port}"


@contextmanager
def postgres(directory: Path) -> Iterator[str]:
    """PostgreSQL with its default settings: it syncs its log before a commit is answered.

    It refuses to run as root, so root runs it as the user that Debian's package has made for it.
    """
    data, port = directory / "data", free_port()
    user: dict[str, Any] = {}
    owner = os.environ.get("USER", "postgres")
    if os.geteuid() == 0:
        owner = "postgres"
        entry = pwd.getpwnam(owner)
        user = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        os.chown(directory, entry.pw_uid, entry.pw_gid)
        for path in directory.parents:
            if not path.stat().st_mode & 0o001:
                path.chmod(path.stat().st_mode | 0o011)  # temporary directories let nobody through
    programs = max(POSTGRES.glob("*/bin"))
    prepare = [
        str(programs / "initdb"),
        "-D",
        str(data),
        "-A",
        "trust",
        "-U",
        owner,
        "--no-sync",
        "-E",
        "UTF8",
    ]
    subprocess.run(prepare, check=True, stdout=subprocess.DEVNULL, cwd=directory, **user)
    os.sync()
    command = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-k", str(directory)]
    command += ["-c", "listen_addresses=127.0.0.1", "-c", "log_min_messages=fatal"]
    with _process(command, cwd=str(directory), **user):
        _wait_for_port(port)
        url = f"postgresql://{owner}@127.0.0.1:{port}/postgres"
        ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
        _wait(lambda: subprocess.run(ready, check=False).returncode == 0, "PostgreSQL")
        yield url


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _process(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    process: subprocess.Popen[bytes] = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    )
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes], group: bool = False) -> None:
    """End a process of ours, gently first; with `group` also what it has started in its session."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if group:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _wait_for_port(port: int) -> None:
    def is_open() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    _wait(is_open, f"port {port}")


def _wait(is_ready: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} is not there within {START_SECONDS:g} s")
        time.sleep(0.05)


Broker = Callable[[Path], AbstractContextManager[str]]
