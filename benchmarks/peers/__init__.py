"""The same work on the peers, in turns with ours in one run: `make bench-peers`. README.md says how each is
set up, and why that is fair."""
