"""Drives one fuzz target by coverage: `python -m tests.fuzz.atheris_one TARGET SECONDS DIRECTORY`.

Needs the extra `fuzz` and is run by `make fuzz`, by hand. What goes wrong is written down, input and all, and
the run goes on; a target that hangs or takes too much memory ends it, with the input kept too. The figures
stand in `figures.json` of the directory at any time.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

import atheris

INSTRUMENTED = ["beaver_actors", "h11", "wsproto", "trio_websocket", "yaml"]
INPUT_BYTES_MAX = 8192
HANG_SECONDS = 60
"""For one input; a hundredth of a second is usual, and others may use the machine."""
MEMORY_MB_MAX = 1536
FIGURES_SECONDS = 0.5


@dataclass
class Figures:
    """What a run has done so far."""

    target: str
    inputs: int = 0
    bytes: int = 0
    seconds: float = 0.0
    accepted: int = 0
    findings: dict[str, int] = field(default_factory=dict)
    """How often, by what it was and where."""


def main(arguments: list[str]) -> None:
    """Fuzz until the time is over; the process ends then."""
    name, seconds, place = arguments[0], int(arguments[1]), Path(arguments[2])
    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.targets import TARGETS
    target, figures = TARGETS[name], Figures(name)
    for directory in ("seeds", "corpus", "findings"):
        (place / directory).mkdir(parents=True, exist_ok=True)
    for seed in target.seeds() + _decisions():
        (place / "seeds" / _digest(seed)).write_bytes(seed)
    started = time.monotonic()
    written = 0.0

    def test_one_input(data: bytes) -> None:
        nonlocal written
        figures.inputs += 1
        figures.bytes += len(data)
        try:
            figures.accepted += target.run(data)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
            _note(figures, place / "findings", data, error)
        figures.seconds = time.monotonic() - started
        if figures.seconds >= written + FIGURES_SECONDS:
            written = figures.seconds
            (place / "figures.json").write_text(json.dumps(asdict(figures)))

    options = [
        f"-max_total_time={seconds}", f"-max_len={INPUT_BYTES_MAX}", f"-timeout={HANG_SECONDS}",
        f"-rss_limit_mb={MEMORY_MB_MAX}", f"-artifact_prefix={place}/findings/", "-print_final_stats=1",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, f"{place}/corpus", f"{place}/seeds"], test_one_input)
    atheris.Fuzz()


def _decisions() -> list[bytes]:
    """Inputs that are read as decisions; without them, all that grows from the seeds is raw content."""
    random = Random(1)
    return [random.randbytes(size) for size in (1, 4, 16, 30, 60, 100, 200, 400) for _ in range(4)]


def _note(figures: Figures, place: Path, data: bytes, error: Exception) -> None:
    """Keep the shortest input for each kind of failure, with how it failed."""
    cause: BaseException = error
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    trace = traceback.extract_tb(cause.__traceback__)
    frames = [frame for frame in trace if "site-packages" not in frame.filename]
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"
    kind = f"{type(cause).__name__} at {where}"
    figures.findings[kind] = figures.findings.get(kind, 0) + 1
    kept = place / _digest(kind.encode())
    if not kept.exists() or len(data) < kept.stat().st_size:
        kept.write_bytes(data)
        kept.with_suffix(".txt").write_text("".join(traceback.format_exception(error)))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


if __name__ == "__main__":
    main(sys.argv[1:])
