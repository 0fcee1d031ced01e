"""Job ids made by the server: UUIDv7, growing, repeatable in a simulation."""

from __future__ import annotations

import random
import uuid

from hypothesis import given, strategies as st

from beaver_actors.codec.ids import COUNTER_BITS, TAIL_BITS, JobIds, uuid7


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**COUNTER_BITS - 1))
def test_an_id_is_a_uuid_of_version_7(at_ms: int, counter: int) -> None:
    """RFC 9562 §5.7: the standard library reads version, variant and every bit back."""
    read = uuid.UUID(uuid7(at_ms, counter))
    assert str(read) == uuid7(at_ms, counter)
    assert (read.version, read.variant) == (7, uuid.RFC_4122)
    assert read.int >> 80 == at_ms
    assert (read.int >> 64 & 0xFFF) << 62 | read.int & (2**62 - 1) == counter


@given(st.lists(st.tuples(st.integers(0, 2**48 - 1), st.integers(0, 5)), max_size=20), st.integers())
def test_ids_only_grow_even_if_the_clock_does_not(steps: list[tuple[int, int]], seed: int) -> None:
    """Property over clocks that jump both ways: in the order of making, all different, sorted as text."""
    clock = iter(now for now, _ in steps)
    ids = JobIds(lambda: next(clock), random.Random(seed).getrandbits)
    made: list[str] = []
    for _, count in steps:
        made += ids.take(count)
    assert made == sorted(set(made))


def test_one_call_crosses_a_carry() -> None:
    """The last group of digits runs over within one call: the same ids as laid out one by one."""
    last = 2**TAIL_BITS - 2
    assert JobIds(lambda: 5, lambda bits: last).take(4) == [uuid7(5, last + step) for step in range(4)]


def test_the_same_clock_and_chance_make_the_same_ids() -> None:
    """A simulation that is run again meets the same jobs."""
    first, second = (JobIds(lambda: 7, random.Random(1).getrandbits) for _ in range(2))
    assert first.take(3) == second.take(3)
