"""`python -m beaver_actors` is the command line; nothing else happens here."""

from __future__ import annotations

from beaver_actors.cli import main

if __name__ == "__main__":
    main()
