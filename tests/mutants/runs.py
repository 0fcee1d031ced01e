"""Runs tests on a mutant, in a process forked from one that has imported everything but the program.

What is mutated is never written: an import hook gives the module's changed source to whoever imports it. So a
run costs no start of Python, and nothing can be left behind in the tree.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import resource
import sys
import time
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import NamedTuple

import pytest

OPTIONS = (
    "-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", "--timeout=0", "-m", "not slow",
    "-W", "ignore::pytest.PytestAssertRewriteWarning",  # Hypothesis is there before pytest, to save its time
)  # fmt: skip
HOW = {0: "", 1: "a test fails", 2: "its tests cannot be collected", 4: "it cannot be imported"}
"""By pytest's exit code. What its tests import for their setup is reported as wrong usage."""


class Run(NamedTuple):
    """What came of a run."""

    noticed: bool
    seconds: float
    """Of processor time."""
    how: str


class Changed(importlib.machinery.SourceFileLoader):
    """Loads one module from other source than its file's."""

    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        """The compiled source, which no cache knows of."""
        return compile(self._source, self.path, "exec", dont_inherit=True)


class Hook(importlib.abc.MetaPathFinder):
    """Finds the changed module before anyone else does."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self._name = name
        self._loader = Changed(name, str(path), source)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Called by Python."""
        if fullname != self._name:
            return None
        return importlib.machinery.ModuleSpec(fullname, self._loader, origin=self._loader.path)


def run_tests(tests: Sequence[str], hook: Hook | None, seconds_max: float) -> Run:
    """Run tests up to the first failure, with a module changed or as it is.

    Args:
        tests: files, or tests by their ids.
        hook: changes one module.
        seconds_max: of processor time; who needs more hangs, and has noticed.
    """
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    child = os.fork()
    if child == 0:
        _run_as_child(tests, hook, seconds_max)
    _, status = os.waitpid(child, 0)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
    if os.WIFSIGNALED(status):
        return Run(True, seconds, f"ended by signal {os.WTERMSIG(status)}")
    code = os.waitstatus_to_exitcode(status)
    if code not in HOW:
        raise RuntimeError(f"pytest ended with {code}; expected one of {', '.join(map(str, HOW))}")
    return Run(code != 0, seconds, HOW[code])


def _run_as_child(tests: Sequence[str], hook: Hook | None, seconds_max: float) -> None:
    code = 99
    try:
        seconds = int(seconds_max) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))  # what grows for ever has noticed, too
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        if hook is not None:
            sys.meta_path.insert(0, hook)
        code = int(pytest.main([*OPTIONS, *tests]))
    finally:
        os._exit(code)


def warm_up() -> float:
    """Import what every run needs and no mutant changes; returns how long that took, seconds."""
    began = time.monotonic()
    for name in ("hypothesis", "hypothesis.stateful", "trio", "msgspec", "cbor2", "yaml"):
        __import__(name)
    assert not any(name.startswith("beaver_actors") for name in sys.modules), (
        "the program is imported already"
    )
    return time.monotonic() - began
