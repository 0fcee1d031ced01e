"""A child process that does one piece of work and dies with its parent."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import trio


class ChildFailed(Exception):
    """The child ended with an exit code other than 0; the text ends with its last words."""


async def run_child(command: Sequence[str]) -> bytes:
    """Run a program to its end and return its standard output.

    Its standard input is a pipe that stays open as long as this process lives: a child that watches it learns
    of our death, however sudden. Cancelling kills the child.

    Raises:
        ChildFailed: it ended with another exit code than 0.
        OSError: it could not be started.
    """
    process = await trio.lowlevel.open_process(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Ctrl-C on a terminal goes to a whole group; what it means for the child is for us to say.
        start_new_session=True,
    )
    output: list[bytes] = []
    errors: list[bytes] = []
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_drain, process.stdout, output)
            nursery.start_soon(_drain, process.stderr, errors)
            await process.wait()
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    await stream.aclose()
    if process.returncode != 0:
        # What it answers on its output may be the reason, if it is polite enough to end without a traceback.
        said = (b"".join(errors).strip() or b"".join(output)).decode(errors="replace").strip()[-2000:]
        raise ChildFailed(f"{' '.join(command)}: exit code {process.returncode}: {said}")
    return b"".join(output)


async def _drain(stream: trio.abc.ReceiveStream | None, into: list[bytes]) -> None:
    assert stream is not None, "the child was started without a pipe"
    into.extend([bytes(data) async for data in stream])
