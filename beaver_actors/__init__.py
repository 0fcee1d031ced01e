"""A durable job queue in one process: its own write-ahead log, WebSocket clients, Trio actors, no broker."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from beaver_actors.execute.app import App as App
    from beaver_actors.execute.context import (
        Context as Context,
        Parent as Parent,
        Reject as Reject,
        Retry as Retry,
        Snooze as Snooze,
    )
    from beaver_actors.execute.hooks import Failure as Failure

__version__ = "0.1.0"

_HOMES = {
    "App": "beaver_actors.execute.app",
    "Context": "beaver_actors.execute.context",
    "Failure": "beaver_actors.execute.hooks",
    "Parent": "beaver_actors.execute.context",
    "Reject": "beaver_actors.execute.context",
    "Retry": "beaver_actors.execute.context",
    "Snooze": "beaver_actors.execute.context",
}
"""What is for users, and where it lives. Fetched when first asked for, so that a part of the package can be
imported without the rest."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    import importlib

    value: object = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
