"""What this process asks of the system, on this process, which gets back what it had."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from beaver_actors.kernel.posix import allow_descriptors

FEW = 200


@pytest.fixture
def hard() -> Iterator[int]:
    """A low soft limit, and the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, hard))
    try:
        yield hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def limits() -> tuple[int, int]:
    return resource.getrlimit(resource.RLIMIT_NOFILE)


def test_a_limit_is_raised_as_far_as_needed_and_never_lowered(hard: int) -> None:
    """With the system's own limits."""
    assert allow_descriptors(FEW - 1) is None
    assert limits() == (FEW, hard)
    assert allow_descriptors(FEW + 1) is None
    assert limits() == (FEW + 1, hard)


def test_where_the_hard_limit_is_too_low_it_is_all_there_is(hard: int) -> None:
    """With the system's own limits."""
    if hard == resource.RLIM_INFINITY:
        pytest.skip("this system has no hard limit")
    assert allow_descriptors(hard + 1) == hard
    assert limits() == (hard, hard)


def test_a_system_that_refuses_is_taken_at_its_word(hard: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a `setrlimit` that raises, as on systems with a limit of their own below the one they show."""

    def refuse(*_: object) -> None:
        raise ValueError("current limit exceeds maximum limit")

    with monkeypatch.context() as patch:
        patch.setattr(resource, "setrlimit", refuse)
        assert allow_descriptors(FEW + 1) == FEW
    assert limits() == (FEW, hard)
