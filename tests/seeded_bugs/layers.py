"""The layers of tests that a seeded bug must get past, cheapest first, and how each is run on a copy.

A layer stops at its first failure. It is not run for a bug in a part of the program that it does not import:
arrows only point down, so the tests of the core cannot go red for a fault in an actor. Nothing here knows
which bug is in the copy.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import IO, NamedTuple

LOOK_SECONDS = 0.5
INTERRUPT_SECONDS = 20.0
"""For a layer to clean up after itself when its time is up."""
HANG_SECONDS = 90.0
"""What a simulation may take beyond its time, for the run under way. None takes a tenth of it."""

PYTEST = (
    "-m", "pytest", "-x", "-v", "--tb=short", "--timeout=90", "-m", "not slow",
    "-p", "no:cacheprovider", "-p", "tests.seeded_bugs.unshrunk",
)  # fmt: skip
stopping = Event()
"""Set when the run is given up: what runs is ended."""

NO_SUCH_TEST = (4, 5)
"""Exit codes of pytest."""

FLOORS = ("core", "codec", "kernel", "config", "journal", "actors", "node")
EVERYTHING = (*FLOORS, "execute", "observe", "server", "client", "cli")


class Layer(NamedTuple):
    """A set of tests."""

    name: str
    title: str
    """At the head of its column."""
    command: tuple[str, ...]
    """What Python is called with; `{seed}` and `{seconds}` are filled in."""
    reach: tuple[str, ...]
    """The packages of the product that it runs."""
    limit: float
    """Seconds. Tests that are not through by then have said nothing; a simulation has found nothing."""
    explores: bool = False
    """It goes on until the time is up."""
    always: bool = False
    """Run also if a cheaper layer has noticed: what draws its own histories is to find things by itself."""
    by_default: bool = True


class Verdict(NamedTuple):
    """What a layer said of a copy."""

    red: bool
    seconds: float
    """Until the first failure, or in all."""
    why: str = ""
    """The test that failed, or what the simulation says; why it has nothing to say; empty if all was well."""


LAYERS = (
    Layer("core", "core", (*PYTEST, "tests/core", "tests/property/test_core_machine.py"), FLOORS[:1], 300),
    Layer("bytes", "bytes", (*PYTEST, "tests/codec"), FLOORS[:2], 300),
    Layer("journal", "journal", (*PYTEST, "tests/journal", "tests/golden"), FLOORS[:5], 600),
    Layer(
        "journal-machine", "journal machine",
        (*PYTEST, "tests/property/test_journal_machine.py::TestJournalMachine"), FLOORS[:5], 300, always=True,
    ),
    Layer(
        "journal-simulation", "journal simulated",
        ("-m", "tests.seeded_bugs.explore", "journal", "--first", "{seed}", "--seconds", "{seconds}"),
        FLOORS[:5], 20, explores=True, always=True,
    ),
    Layer("actors", "actors", (*PYTEST, "tests/actors", "tests/kernel"), FLOORS, 300),
    Layer(
        "node-machine", "node machine",
        (*PYTEST, "tests/property/test_node_machine.py"), EVERYTHING[:-1], 300, always=True,
    ),
    Layer(
        "node-simulation", "node simulated",
        ("-m", "tests.seeded_bugs.explore", "node", "--first", "{seed}", "--seconds", "{seconds}"),
        EVERYTHING[:-1], 60, explores=True, always=True,
    ),
    Layer("parts", "parts", (*PYTEST, "tests/server", "tests/client", "tests/node"), EVERYTHING, 900),
    Layer("processes", "processes", (*PYTEST, "tests/crash"), EVERYTHING, 1800, by_default=False),
)  # fmt: skip


def sees(layer: Layer, files: tuple[str, ...]) -> bool:
    """Whether the layer runs any of these files of the product."""
    return any(Path(file).parts[1] in layer.reach for file in files)


def run_layer(layer: Layer, tree: Path, *, seed: int, without: tuple[str, ...] = ()) -> Verdict:
    """Run a layer on a copy, up to its first failure.

    Args:
        tree: the copy.
        seed: where a simulation starts to look.
        without: tests to leave out, as pytest names them.
    """
    arguments = [part.format(seed=seed, seconds=layer.limit) for part in layer.command]
    if not layer.explores:
        arguments += [f"--deselect={test}" for test in without]
    with tempfile.TemporaryFile() as output:
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=tree,
            env=environment(tree),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that what it leaves behind can be ended with it
        )
        limit = layer.limit + (HANG_SECONDS if layer.explores else 0)
        code = _wait(process, began + limit)
        seconds = time.monotonic() - began
        said = _read(output)
    if code is None:
        hung = layer.explores
        return Verdict(hung, seconds, "it never ends" if hung else "not through in time")
    if code == 0:
        return Verdict(False, seconds)
    if code in NO_SUCH_TEST and not layer.explores:
        return Verdict(False, seconds, "no such test")
    return Verdict(True, seconds, _why(said, code))


def environment(tree: Path) -> dict[str, str]:
    """That of the layers: it is the copy that is imported, whatever is installed."""
    # What is set for this run is not meant for the tests in it; CI's is for far longer ones.
    kept = {
        name: text for name, text in os.environ.items() if name != "CI" and not name.startswith("BEAVER_")
    }
    return {**kept, "PYTHONPATH": str(tree)}


def _wait(process: subprocess.Popen[bytes], until: float) -> int | None:
    """The exit code, or None if it had to be ended."""
    try:
        while time.monotonic() < until and not stopping.is_set():
            with suppress(subprocess.TimeoutExpired):
                return process.wait(LOOK_SECONDS)
        return None
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(INTERRUPT_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _read(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read().decode(errors="replace")


def _why(said: str, code: int) -> str:
    """What failed first, in a line."""
    if failed := re.search(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE):
        return failed[1]
    # A test that hangs is ended with its process, and there is no summary.
    if begun := re.findall(r"^(tests/\S+::\S+)", said, re.MULTILINE):
        return f"{begun[-1]} (hangs, or ends the process)"
    lines = [line for line in said.splitlines() if line.strip()]
    return lines[-1][:300] if lines else f"ended with {code}"
