"""A tracer that makes the kernel refuse calls of a running server, by `strace`.

In CI it must be there: `.ci/run` installs it, and the tests fail where it is missing. Elsewhere they are
skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.crash.harness import WAIT_SECONDS, Server

STRACE = shutil.which("strace") or "strace"
needs_strace = pytest.mark.skipif(
    shutil.which("strace") is None and "CI" not in os.environ,
    reason="strace is not installed, and nothing else makes a sync fail",
)


@contextmanager
def tampered(server: Server, call: str, injection: str) -> Iterator[None]:
    """Attach to the running server and refuse this call, until the server has ended.

    Args:
        call: name of a system call.
        injection: as strace has it, such as `error=EIO:when=3`; calls are counted for each thread.
    """
    # Not with --seccomp-bpf: strace 6.1 then counts no further than one.
    command = (
        STRACE, "-f", "-e", f"trace={call}", "-e", f"inject={call}:{injection}", "-o", "/dev/null",
        "-p", str(server.process.pid),
    )  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as strace:
        assert strace.stderr is not None
        try:
            first = strace.stderr.readline()
            if b"attached" not in first:
                reason = f"strace cannot attach: {first.decode().strip()}"
                assert "CI" not in os.environ, reason
                pytest.skip(reason)
            yield
            strace.stderr.read()  # it ends with the server
            strace.wait(WAIT_SECONDS)
        finally:
            strace.kill()
