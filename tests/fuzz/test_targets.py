"""Any bytes give a clear error or a clean refusal: every fuzz target, driven by Hypothesis.

A failing input is printed; `TARGETS["name"].run(input)` repeats it. `make fuzz` drives the same targets by
coverage, for as long as one likes.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings, strategies as st

from tests.fuzz.targets import TARGETS

QUICK = ("facts", "message", "client", "jobs_file", "snapshot")
"""They take a few milliseconds at most."""
RUNS = 150
"""Of each target, with inputs from a fixed seed: enough to meet what is neither rare nor usual."""

inputs = st.one_of(
    st.binary(max_size=16),
    st.binary(min_size=16, max_size=100),
    st.binary(min_size=100, max_size=400),
)


@pytest.mark.parametrize("name", [name for name in TARGETS if name not in QUICK])
@given(data=inputs)
def test_nothing_misbehaves(name: str, data: bytes) -> None:
    """P6, P11, by random decisions and random bytes: see each target for what it holds against what."""
    TARGETS[name].run(data)


@pytest.mark.parametrize("name", QUICK)
@given(data=inputs)
@settings(max_examples=5 * settings().max_examples)
def test_nothing_that_is_quick_misbehaves(name: str, data: bytes) -> None:
    """P6, P11, by more of the same."""
    TARGETS[name].run(data)


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_of_a_target_are_good_ones(name: str) -> None:
    """P6, by example: a fuzzer that starts from real logs and messages starts from accepted ones."""
    target = TARGETS[name]
    accepted = [target.run(seed) for seed in target.seeds()]
    assert any(accepted)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_reaches_acceptance_and_refusal(name: str) -> None:
    """P6, by a fixed seed: a target that only ever sees the door closed, or open, tests nothing behind it."""
    random = Random(1)
    accepted = sum(TARGETS[name].run(random.randbytes(random.choice((16, 60, 200)))) for _ in range(RUNS))
    assert RUNS // 50 <= accepted <= RUNS - RUNS // 50, f"{accepted} of {RUNS} inputs were accepted"
