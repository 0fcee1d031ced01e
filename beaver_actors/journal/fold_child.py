"""The process that folds a snapshot beside a running server: `python -m beaver_actors.journal.fold_child`.

It gives way to the server and dies with it (`journal/beside.py`), and prints one line of JSON. The work
itself is `journal/folding.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from beaver_actors.journal.beside import give_way, resting
from beaver_actors.journal.disk import RealDisk
from beaver_actors.journal.errors import JournalError
from beaver_actors.journal.folding import fold_snapshot


def main(arguments: list[str] | None = None) -> int:
    """Fold, print the result, return the exit code: 0, or 1 with `error` and `message` in the line."""
    parser = argparse.ArgumentParser(prog="python -m beaver_actors.journal.fold_child", description=__doc__)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--through", required=True, type=int, metavar="LSN")
    parser.add_argument("--keep", required=True, type=int, metavar="N")
    options = parser.parse_args(arguments)
    give_way()
    result: dict[str, Any]
    try:
        folded = fold_snapshot(RealDisk(options.data_dir), options.through, options.keep, str(os.getpid()))
    except (JournalError, OSError) as error:
        result = {"ok": False, "error": type(error).__name__, "message": str(error)}
    else:
        result = {"ok": True, **folded._asdict()}
    print(json.dumps(result), flush=True)  # noqa: T201  # the answer to the parent
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    with resting():
        code = main()
    sys.exit(code)
