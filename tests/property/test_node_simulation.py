"""The whole node in simulation: fresh seeds in every run, and a seed repeats a run step for step.

What a scenario is, and what befalls it, stands in `beaver_actors/testing/scenario.py`; the promises are
checked by the oracle there. Here it is run, and it is shown that it goes where it should.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import beaver_actors
from beaver_actors.journal.segments import ActiveSegment
from beaver_actors.testing import simulate as command
from beaver_actors.testing.determinism import Trace
from beaver_actors.testing.report import Report
from beaver_actors.testing.sabotage import ACTORS
from beaver_actors.testing.scenario import ScenarioFailed, simulate

CRASHES = int(os.environ.get("BEAVER_SIMULATED_CRASHES", "10000" if os.environ.get("CI") else "200"))


@pytest.mark.timeout(1200)
def test_no_promise_is_broken_in_any_simulated_crash(capfd: pytest.CaptureFixture[str]) -> None:
    """P1–P12, by random scenarios: new seeds each time, 10,000 crashes of the node in CI. A failing seed is
    repeated with `python -m beaver_actors.testing.simulate --seed N --trace`."""
    code = command.main(["--crashes", str(CRASHES)])
    said = capfd.readouterr()
    with capfd.disabled():
        print(f"\n{said.out.splitlines()[0]}; {said.out.splitlines()[-1]}")  # noqa: T201  # for whoever reads CI's log
    assert code == 0, said.err + said.out


def test_a_seed_repeats_a_run_step_for_step() -> None:
    """Twenty runs in one process, one trace."""
    traces = Counter(_trace(5) for _ in range(20))
    assert len(traces) == 1
    assert _trace(4) not in traces


@pytest.mark.parametrize("seed", [5, 23])
def test_a_seed_repeats_a_run_in_another_process(seed: int) -> None:
    """Whatever the order in which that process keeps its sets."""
    told = set()
    for hash_seed in ("0", "1", "4242"):
        run = subprocess.run(
            [sys.executable, "-m", "beaver_actors.testing.simulate", "--seed", str(seed)],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        told.add(run.stdout.splitlines()[-1])
    assert told == {f"trace {_trace(seed)} of {_notes(seed)} notes"}


def test_a_seed_repeats_a_run_wherever_the_program_lies(tmp_path: Path) -> None:
    """Paths get into tracebacks, tracebacks into the log, and its length decides what tears. With workers on
    other machines, which describe errors as the server tells them to."""
    source = Path(beaver_actors.__file__).parent
    elsewhere = tmp_path / "at" / "another" / "place"
    shutil.copytree(source, elsewhere / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    run = subprocess.run(
        [sys.executable, "-m", "beaver_actors.testing.simulate", "--seed", "29"],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.splitlines()[-1] == f"trace {_trace(29)} of {_notes(29)} notes"


@pytest.mark.timeout(600)
def test_the_scenarios_reach_everything_that_can_go_wrong() -> None:
    """A test of the test: within forty scenarios every death, every fault and every failing actor occurs,
    and jobs go every way."""
    total = Report()
    for seed in range(40):
        total.add(simulate(seed))
    assert {"kill", "power", "exit OK", "exit STORAGE"} <= set(total.deaths)
    faults = {"EIO", "full disk", "short write", "cut", "silence", "clock jump", "fold died"}
    assert faults | {f"{name} failed" for name in ACTORS} <= set(total.faults), total.faults
    assert min(total.facts, total.answers, total.jobs) > 1000
    assert {"completed", "cancelled", "max_attempts", "poison", "rejected", "expired"} <= set(total.ends)


def test_a_failure_names_its_seed_and_the_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    """P1, P6, by a fault: commits that are written and not synced. A power cut soon finds it."""

    def commit_unsynced(self: ActiveSegment, frame: bytes) -> None:
        self.used += self._file.write_at(frame, self.used)
        self.size = max(self.size, self.used)

    monkeypatch.setattr(ActiveSegment, "commit", commit_unsynced)

    def explore() -> None:
        for seed in range(100):
            simulate(seed)

    with pytest.raises(ScenarioFailed, match=r"seed \d+, process \d+: Broken: P[136]: "):
        explore()


def _trace(seed: int) -> str:
    trace = Trace()
    simulate(seed, trace)
    return trace.digest()


def _notes(seed: int) -> int:
    trace = Trace()
    simulate(seed, trace)
    return trace.notes
