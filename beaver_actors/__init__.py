"""A durable job queue in one process: its own write-ahead log, WebSocket clients, Trio actors, no broker."""

__version__ = "0.1.0"
