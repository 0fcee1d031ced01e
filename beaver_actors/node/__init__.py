"""The node: puts the parts together, starts and stops them, and decides what a failure means.

`serve` runs a server until it is told to stop; `live` is one life of it, from recovery to drain.
"""
