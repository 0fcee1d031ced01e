"""The node: puts the parts together, starts and stops them, and decides what a failure means.

`serve` runs a server until it is told to stop (`serve.py`); that is a row of lives (`lives.py`); `life.py` is
one of them, from the first actor to the drain, and the place to see who talks to whom.
"""
