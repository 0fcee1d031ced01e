"""Mutants: what is changed, what is left alone, and that a change is noticed by a test that is about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.__main__ import PACKAGES, places_of, read_explained
from tests.mutants.mutate import mutants
from tests.mutants.runs import Hook

SOURCE = '''
def older(a: int | None, b: int = 3) -> bool:
    """Whether it is."""
    assert b > 0, "positive"
    if a is None and not b:
        raise ValueError(1)
    return a + 1 < b
'''


def test_decisions_are_changed_one_at_a_time() -> None:
    """By example: each operator, number, condition and return, and nothing in assertions and annotations."""
    assert [one.name for one in mutants(SOURCE)] == [
        "older: 3 → 4",
        "older: if a is None and (not b) → if not (a is None and (not b))",
        "older: a is None and (not b) → a is None or not b",
        "older: a is None → a is not None",
        "older: not b → b",
        "older: return a + 1 < b → return None",
        "older: a + 1 < b → a + 1 <= b",
        "older: a + 1 → a - 1",
        "older: 1 → 2",
    ]


def test_a_mutant_is_the_module_with_one_change() -> None:
    """By example; the same tree gives every one of them."""
    found = {one.name: one.source() for one in mutants(SOURCE)}
    assert "return a - 1 < b" in found["older: a + 1 → a - 1"]
    assert "a is None and (not b)" in found["older: a + 1 → a - 1"]
    assert "return a + 1 <= b" in found["older: a + 1 < b → a + 1 <= b"]


def test_a_hook_changes_one_module_and_no_other(tmp_path: Path) -> None:
    """What a run imports is the mutant, compiled from its own source."""
    hook = Hook("some.module", tmp_path / "module.py", "answer = 43")
    spec = hook.find_spec("some.module", None)
    assert spec is not None
    assert spec.loader is not None
    there: dict[str, object] = {}
    exec(spec.loader.get_code("some.module"), there)  # type: ignore[attr-defined]  # ours
    assert there["answer"] == 43
    assert hook.find_spec("some.other", None) is None


@pytest.mark.parametrize("package", PACKAGES)
def test_each_explanation_is_of_a_mutant_that_there_is(package: str) -> None:
    """A reason that outlives its line would excuse another."""
    names = {place.name for place in places_of(package)}
    explained = {name: why for name, why in read_explained().items() if name.startswith(f"{package}/")}
    assert explained.keys() <= names
    assert all(explained.values())
