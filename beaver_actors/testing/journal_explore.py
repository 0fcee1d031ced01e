"""Explores the journal by seeds, as many as it takes, on as many processors as are given.

One seed after the other from the first one on, and the same report however many share the work. A seed that
fails is told and the others go on. By hand, `testing/simulate.py --journal` explores by the clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import count
from multiprocessing import get_context
from typing import NamedTuple

from beaver_actors.testing.journal_report import JournalReport
from beaver_actors.testing.journal_simulation import simulate_journal

SEEDS_AT_ONCE = 25
"""A second or two of work: what a process is given at a time."""


class Explored(NamedTuple):
    """What came of it."""

    report: JournalReport
    failures: list[str]
    """Each names its seed."""


def explore(first_seed: int, crashes: int, processes: int = 1, lives: int | None = None) -> Explored:
    """Simulate seeds until there were so many crashes.

    Args:
        crashes: at least; the last seeds are lived to their end.
        processes: how many to use.
        lives: as for `simulate_journal`.
    """
    chunks = (range(start, start + SEEDS_AT_ONCE) for start in count(first_seed, SEEDS_AT_ONCE))
    report, failures = JournalReport(), list[str]()
    for explored in _in_turn(chunks, lives, processes):
        report += explored.report
        failures += explored.failures
        if report.crashes.total() >= crashes:
            break
    return Explored(report, failures)


def _in_turn(chunks: Iterator[range], lives: int | None, processes: int) -> Iterator[Explored]:
    """What came of the chunks, in their order, so that the same seeds make the same report."""
    if processes == 1:
        for seeds in chunks:
            yield _simulate(seeds, lives)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        waiting: list[Future[Explored]] = []
        try:
            while True:
                while len(waiting) < 2 * processes:
                    waiting.append(pool.submit(_simulate, next(chunks), lives))
                wait(waiting[:1], return_when=FIRST_COMPLETED)
                yield waiting.pop(0).result()
        finally:
            for future in waiting:
                future.cancel()


def _simulate(seeds: range, lives: int | None) -> Explored:
    report, failures = JournalReport(), list[str]()
    for seed in seeds:
        try:
            report += simulate_journal(seed, lives)
        except AssertionError as error:
            failures.append(str(error))
    return Explored(report, failures)
