"""Explores a simulation until it fails or the time is up: `python -m tests.seeded_bugs.explore journal|node`.

Ends with 1 at the first broken promise, and prints what is said of it. The simulations themselves are in
`beaver_actors/testing/`.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable

COLLECT_EVERY = 20


def main(arguments: list[str] | None = None) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.seeded_bugs.explore", description=__doc__)
    parser.add_argument("which", choices=("journal", "node"))
    parser.add_argument("--first", type=int, required=True, help="the first seed")
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args(arguments)
    simulate = _simulation(options.which)
    until = time.monotonic() + options.seconds
    seed = options.first
    gc.disable()  # each run's leftovers are collected at its end, many at once
    while time.monotonic() < until:
        try:
            simulate(seed)
        except Exception as error:  # noqa: BLE001  # whatever it is, it was found
            print(f"{type(error).__name__}: {error}".splitlines()[0][:500])  # noqa: T201  # the answer
            return 1
        seed += 1
        if seed % COLLECT_EVERY == 0:
            gc.collect()
    print(f"{seed - options.first} seeds")  # noqa: T201
    return 0


def _simulation(which: str) -> Callable[[int], object]:
    # Only the one that is wanted: the other may stand on what is broken.
    if which == "journal":
        from beaver_actors.testing.journal_simulation import simulate_journal

        return simulate_journal
    from beaver_actors.testing.scenario import simulate

    return simulate


if __name__ == "__main__":
    sys.exit(main())
