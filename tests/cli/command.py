"""Running a command in this process, as its user would see it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from click.testing import CliRunner

from beaver_actors.cli.app import beaver


class Ended(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output as one JSON value."""
        return json.loads(self.out)

    def json_lines(self) -> list[Any]:
        """Standard output as a JSON value in each line."""
        return [json.loads(line) for line in self.out.splitlines()]


def command(
    *args: object, stdin: str | bytes | None = None, env: Mapping[str, str | None] | None = None
) -> Ended:
    """Run `beaver ARGS…`. The BEAVER_* variables of the environment are not seen."""
    clean = {"BEAVER_URL": None, "BEAVER_TOKEN": None, "BEAVER_DATA_DIR": None, **(env or {})}
    result = CliRunner().invoke(beaver, [str(arg) for arg in args], input=stdin, env=clean)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ended(result.exit_code, result.stdout, result.stderr)
