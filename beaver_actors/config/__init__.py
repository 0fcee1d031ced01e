"""Settings: YAML, environment and command line in; one frozen, complete `Config` out.

This package alone knows how settings are written. It starts nothing, and no part of the program looks into
the environment or the file by itself.
"""

from __future__ import annotations

from beaver_actors.config.address import Address, parse_address
from beaver_actors.config.loader import ConfigError, load
from beaver_actors.config.schema import schema_text
from beaver_actors.config.settings import (
    Config,
    Limits,
    Log,
    Metrics,
    Retention,
    Server,
    Snapshot,
    Wal,
    Workers,
)
from beaver_actors.config.sources import Override, Problem
from beaver_actors.config.units import format_duration, format_size, parse_size

__all__ = [
    "Address",
    "Config",
    "ConfigError",
    "Limits",
    "Log",
    "Metrics",
    "Override",
    "Problem",
    "Retention",
    "Server",
    "Snapshot",
    "Wal",
    "Workers",
    "format_duration",
    "format_size",
    "load",
    "parse_address",
    "parse_size",
    "schema_text",
]
