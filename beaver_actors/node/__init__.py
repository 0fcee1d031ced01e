"""The node: puts the parts together, starts and stops them, and decides what a failure means.

`serve` runs a server until it is told to stop; `live` is one life of it, from recovery to drain.
"""

from __future__ import annotations

from beaver_actors.node.serve import Ready, serve

__all__ = ["Ready", "serve"]
