"""Sabotage: lets single actors of a running node fail, at any moment, without the node knowing of it.

Each actor's `run` is wrapped in a scope that can be cancelled. What the actor was doing is cut off at its
next checkpoint, as by a bug of its own, and what follows is the supervision's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from types import ModuleType
from typing import Any

import trio

from beaver_actors.actors import controller, job_manager, publisher, snapshotter, wal_writer, worker

ACTORS: dict[str, ModuleType] = {
    "wal_writer": wal_writer,
    "job_manager": job_manager,
    "controller": controller,
    "publisher": publisher,
    "snapshotter": snapshotter,
    "worker": worker,
}


class ActorFailed(Exception):
    """An actor failed because it was told to."""


class Saboteur:
    """Knows the actors that run, and can let one fail."""

    def __init__(self) -> None:
        self._running: dict[str, dict[int, trio.CancelScope]] = {name: {} for name in ACTORS}
        self._runs = 0

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Actors that begin within can be told to fail."""
        honest = {name: module.run for name, module in ACTORS.items()}
        for name, module in ACTORS.items():
            module.run = self._undermined(name, honest[name])  # type: ignore[attr-defined]  # put back below
        try:
            yield
        finally:
            for name, module in ACTORS.items():
                module.run = honest[name]  # type: ignore[attr-defined]  # as it was

    def strike(self, name: str, random: Random) -> bool:
        """Let one of the running actors of this name fail; False if there is none."""
        running = list(self._running[name].values())
        if not running:
            return False
        random.choice(running).cancel()
        return True

    def _undermined(self, name: str, honest: Callable[..., Any]) -> Callable[..., Any]:
        running = self._running[name]

        async def run(*args: Any, **options: Any) -> None:
            self._runs += 1
            number = self._runs
            with trio.CancelScope() as scope:
                running[number] = scope
                try:
                    await honest(*args, **options)
                finally:
                    del running[number]
            if scope.cancel_called:
                raise ActorFailed(name)

        return run
