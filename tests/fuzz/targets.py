"""All fuzz targets by name, each with inputs to start from. A target takes bytes, raises if the code under it
misbehaves, and returns whether what it made of them was accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.fuzz import clients, connections, files, logs, sessions


class Target(NamedTuple):
    """One target."""

    run: Callable[[bytes], bool]
    seeds: Callable[[], list[bytes]]
    """Inputs made by the code itself: real logs, real messages."""


TARGETS: dict[str, Target] = {
    "directory": Target(logs.directory, logs.segment_seeds),
    "forged_log": Target(logs.forged_log, logs.body_seeds),
    "facts": Target(logs.facts, logs.body_seeds),
    "snapshot": Target(logs.snapshot, logs.snapshot_seeds),
    "message": Target(sessions.one_message, sessions.message_seeds),
    "conversation": Target(sessions.conversation, sessions.message_seeds),
    "http": Target(connections.http, connections.http_seeds),
    "websocket": Target(connections.websocket, connections.websocket_seeds),
    "client": Target(clients.client, clients.client_seeds),
    "config": Target(files.config, files.config_seeds),
    "jobs_file": Target(files.jobs_file, files.jobs_seeds),
}
