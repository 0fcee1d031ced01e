"""Workers on other machines, in values: what one says of itself, what it is told, how it is shown.

A worker is no part of the queue's state: it may be gone at any moment, and no log says so. What the log says
are its leases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

WorkerState = Literal["ready", "suspect", "draining"]
"""`suspect`: silent, or without a connection; its jobs go back when their leases end. `draining`: takes no
more jobs."""


class Registration(NamedTuple):
    """What a worker says of itself."""

    worker_id: str
    """New for each start of its process."""
    kinds: frozenset[str]
    """The kinds it can run."""
    queues: tuple[tuple[str, int], ...] | None = None
    """The queues it serves, each with its weight: how often it gets a turn. None: all, in turn."""
    slots: int = 0
    """Jobs that it holds at most: those that run, and those that it wants to have at hand."""
    host: str = ""
    pid: int = 0
    version: str = ""


class Standing(NamedTuple):
    """What a worker must know of leases that it names, each by its fence."""

    lost: tuple[int, ...] = ()
    """It does not hold these, or no longer: whatever it reports of them changes nothing (P4)."""
    cancel: tuple[int, ...] = ()
    """Someone wants these jobs stopped."""
    overdue: tuple[int, ...] = ()
    """The timeout of these has passed; they will be taken from it at their deadline."""


class Welcome(NamedTuple):
    """The answer to a worker that has registered."""

    standing: Standing
    lease_ms: int
    """For how long it may be silent."""
    heartbeat_ms: int
    """How often it shall say that it lives, at least."""


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker as it is shown. Times are milliseconds UTC."""

    registration: Registration
    state: WorkerState
    in_flight: int
    """Jobs that it holds."""
    connected_ms: int | None
    """Since when this connection of it stands; None without one."""
    seen_ms: int
    """When it last said anything."""


class FleetCount(NamedTuple):
    """All workers on other machines in four numbers."""

    workers: int = 0
    """Those that are connected and not suspect."""
    suspect: int = 0
    slots_free: int = 0
    """Jobs that the former could take now."""
    in_flight: int = 0
    """Jobs that all of them hold."""
