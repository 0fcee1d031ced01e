"""The command line: argv in, text and an exit code out. It holds no rule of the queue: whatever can be
refused is refused by the server, the journal or the configuration, and only told here."""

from __future__ import annotations

from typing import NoReturn


def main() -> NoReturn:
    """Run the command that `sys.argv` names and end the process with one of the codes of `cli.exits`."""
    try:
        from beaver_actors.cli.app import beaver

        beaver()
    except KeyboardInterrupt:  # while modules were still being imported
        raise SystemExit(130) from None
    raise AssertionError("click ends the process itself")
