"""Draw the lifecycle of a job, from the table that the core goes by, into `docs/lifecycle.md`.

    python scripts/lifecycle.py            print the picture and the table
    python scripts/lifecycle.py --write    put them into the file

`tests/core/test_lifecycle_doc.py` holds the file against this.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from beaver_actors.core.facts import JOB_FACTS
from beaver_actors.core.job import JobState
from beaver_actors.core.transitions import TRANSITIONS, WAITS_FOR_TIME, mermaid

FILE = Path(__file__).parent.parent / "docs" / "lifecycle.md"
BEGIN, END = "<!-- drawn by scripts/lifecycle.py -->", "<!-- end of what is drawn -->"


def drawn() -> str:
    """The picture, and the same as a table: for each fact the states it may meet and where it leads."""
    rows = ["| fact | meets a job that is | and makes it |", "|---|---|---|"]
    for fact in JOB_FACTS:
        meets = [state for state, met in TRANSITIONS if met is fact]
        leads = dict.fromkeys(_name(TRANSITIONS[state, fact]) for state in meets)
        target = "scheduled or pending" if fact in WAITS_FOR_TIME else ", ".join(leads)
        rows.append(f"| `{fact.__name__}` | {', '.join(map(_name, meets))} | {target} |")
    table = "\n".join(rows)
    return f"```mermaid\n{mermaid()}```\n\n{table}\n"


def text() -> str:
    """The whole file, with what is drawn in it drawn anew."""
    page = FILE.read_text(encoding="utf-8")
    marked = re.compile(f"{BEGIN}.*{END}", re.DOTALL)
    assert marked.search(page), f"{FILE} has no place between {BEGIN} and {END}"
    return marked.sub(lambda _: f"{BEGIN}\n{drawn()}{END}", page)


def _name(state: JobState | None) -> str:
    return "not there" if state is None else state


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        FILE.write_text(text(), encoding="utf-8")
    elif not sys.argv[1:]:
        print(drawn(), end="")
    else:
        sys.exit(__doc__)
