"""The status as the messages carry it: queues, workers, totals. Structs only."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Struct, UnsetType

from beaver_actors.codec.wire_fields import (
    TIME,
    Lsn,
    Time,
    about,
)
from beaver_actors.codec.wire_queue_objects import RulesObject
from beaver_actors.core.job import (
    JobState,
)


class QueueObject(Struct, kw_only=True):
    """One named queue."""

    paused: bool
    states: dict[JobState, int]
    oldest_pending_at: Annotated[
        str | None, about("Since when the job next in line may run; null if none waits.", **TIME)
    ]
    draining: Annotated[bool, about("It takes no new jobs until it is resumed.")] = False
    rules: RulesObject = msgspec.field(default_factory=RulesObject)
    declared: Annotated[
        tuple[str, ...] | UnsetType,
        about("The names of the rules that stand in the server's configuration, if any do."),
    ] = UNSET


class FleetObject(Struct, kw_only=True):
    """All workers on other machines."""

    workers: Annotated[int, about("Connected, and not suspect.")] = 0
    suspect: int = 0
    slots_free: Annotated[int, about("Jobs that the connected ones could take now.")] = 0
    in_flight: Annotated[int, about("Jobs that all of them hold.")] = 0


class StatusObject(Struct, kw_only=True):
    """The whole queue at one moment."""

    at: Time
    lsn: Lsn
    states: Annotated[dict[JobState, int], about("Jobs by state.")]
    queues: dict[str, QueueObject]
    totals: Annotated[dict[str, int], about("What has ever happened, by event; survives restarts.")]
    dead_reasons: Annotated[dict[str, int], about("Jobs that ever died, by reason.")]
    unknown_kinds: Annotated[dict[str, int], about("Pending jobs of kinds that no worker can run.")]
    storage_full: bool
    schedules: int = 0
    draining: bool
    version: str
    started_at: Annotated[str, about("When this server started.", **TIME)]
    workers: Annotated[int, about("Workers of the server itself, at work or ready.")]
    sessions: Annotated[int, about("Open connections.")]
    fleet: FleetObject = msgspec.field(default_factory=FleetObject)
