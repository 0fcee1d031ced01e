"""The worker on another machine: connects to a server, runs its jobs, and reports.

Two threads. In the main one runs user code, on a Trio loop of its own (`hands.py`); in the other one stands
the connection (`uplink.py`), so that a handler that blocks its loop, or fills its threads, costs no lease.
What is held, reported and answered is kept by `ledger.py`, which does no input or output. It imports the
client, the codec, the core, the kernel and `execute/`, and nothing of a server."""
