"""Figures: when BEAVER_FIGURES names a file, what came of a test is appended to it as one line of JSON.

A report on durability is made of such lines. A test that failed writes its line too, with `failed`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

FILE = "BEAVER_FIGURES"


@contextmanager
def figures(kind: str, seed: int | None = None) -> Iterator[dict[str, Any]]:
    """Put what there is to tell into the dictionary that this gives, as it becomes known.

    Args:
        kind: what was done to the servers, such as "kill".
        seed: what repeats it.
    """
    told: dict[str, Any] = {}
    began = time.monotonic()
    try:
        yield told
    except BaseException as error:
        told["failed"] = f"{type(error).__name__}: {error}"[:500]
        raise
    finally:
        if name := os.environ.get(FILE):
            seconds = round(time.monotonic() - began, 1)
            with open(name, "a", encoding="utf-8") as file:
                file.write(json.dumps({"kind": kind, "seed": seed, **told, "seconds": seconds}) + "\n")
