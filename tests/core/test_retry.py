"""How long a failed job waits: the formulas, their bounds, and values no formula should meet."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from beaver_actors.core.job import Backoff
from beaver_actors.core.retry import delay_ms
from beaver_actors.testing.strategies import dice

DAY_MS = 86_400_000
RETRIES = st.integers(0, 10_000)


def test_the_default_waits_are_the_known_curve() -> None:
    """P11: without chance the first waits are 15 s plus the fourth power of the retry, in seconds."""
    plain = Backoff(jitter=False)
    assert [delay_ms(plain, retry, 0.9) // 1000 for retry in range(6)] == [15, 16, 31, 96, 271, 640]


def test_each_retry_is_spread_over_ten_seconds_more() -> None:
    """P11: half of the dice is half of the spread, to the millisecond."""
    for retry, spread_ms in ((0, 10_000), (2, 30_000), (9, 100_000)):
        bare, middle = (delay_ms(Backoff(), retry, draw) for draw in (0.0, 0.5))
        assert middle - bare == spread_ms // 2


def test_twenty_five_runs_take_more_than_two_weeks() -> None:
    """P11: 24 waits lie between 25 runs, 16.6 days; a 25th wait would make them 20.4."""
    waits = [delay_ms(Backoff(), retry, 0.5) for retry in range(25)]
    assert sum(waits[:24]) / DAY_MS == pytest.approx(16.6, abs=0.05)
    assert sum(waits) / DAY_MS == pytest.approx(20.4, abs=0.05)


def test_the_cap_is_not_reached_in_twenty_five_runs_but_holds_after() -> None:
    """P11: seven days at most, also where a float is too small for the power."""
    assert delay_ms(Backoff(), 24, 0.99) < Backoff().cap_ms
    for retry in (29, 1_000, 10**80):
        assert delay_ms(Backoff(), retry, 0.0) == Backoff().cap_ms


def test_an_exponential_wait_doubles_up_to_its_cap() -> None:
    """P11: the ceiling grows by the factor, and jitter draws from zero up to it."""
    backoff = Backoff("exponential", 1_000, 2.0, 10_000, jitter=False)
    assert [delay_ms(backoff, retry, 0.3) for retry in range(5)] == [1_000, 2_000, 4_000, 8_000, 10_000]
    spread = backoff._replace(jitter=True)
    assert [delay_ms(spread, 2, draw) for draw in (0.0, 0.25, 0.5)] == [0, 1_000, 2_000]


def test_a_fixed_wait_and_a_list_of_waits_leave_nothing_to_chance() -> None:
    """P11: the list's last delay repeats; the cap holds for both."""
    listed = Backoff("list", delays_ms=(10, 60, 600), cap_ms=300)
    assert [delay_ms(listed, retry, 0.7) for retry in range(5)] == [10, 60, 300, 300, 300]
    assert delay_ms(Backoff("fixed", 30_000), 17, 0.7) == 30_000
    assert delay_ms(Backoff("fixed", 30_000, cap_ms=9), 17, 0.7) == 9


def test_a_list_without_delays_falls_back_to_the_base() -> None:
    """P11: the edge refuses such a list, but one in an old log must not stop the server."""
    assert delay_ms(Backoff("list", 500), 3, 0.0) == 500


@given(RETRIES, dice, st.booleans())
def test_the_polynomial_stays_within_its_spread(retry: int, draw: float, jitter: bool) -> None:
    """P11: never under the curve, never more than ten seconds a retry over it, never over the cap."""
    backoff = Backoff(jitter=jitter)
    low = min(1_000 * retry**4 + 15_000, backoff.cap_ms)
    high = min(low + (10_000 * (retry + 1) if jitter else 0), backoff.cap_ms)
    assert low - 1 <= delay_ms(backoff, retry, draw) <= high


@given(RETRIES, dice, st.floats(1, 10), st.integers(0, 10**9))
def test_full_jitter_stays_under_its_ceiling(retry: int, draw: float, factor: float, base_ms: int) -> None:
    """P11: chance only ever shortens an exponential wait."""
    backoff = Backoff("exponential", base_ms, factor)
    ceiling = delay_ms(backoff._replace(jitter=False), retry, 0.0)
    assert 0 <= delay_ms(backoff, retry, draw) <= ceiling <= backoff.cap_ms


@given(
    st.builds(
        Backoff,
        kind=st.sampled_from(["polynomial", "exponential", "fixed", "list"]),
        base_ms=st.integers(),
        factor=st.floats(),
        cap_ms=st.integers(),
        jitter=st.booleans(),
        delays_ms=st.lists(st.integers()).map(tuple),
    ),
    RETRIES,
    dice,
)
def test_no_backoff_whatsoever_breaks_the_formulas(backoff: Backoff, retry: int, draw: float) -> None:
    """P3: negative, infinite or not a number, the wait is a whole number between zero and the cap."""
    wait_ms = delay_ms(backoff, retry, draw)
    assert isinstance(wait_ms, int)
    assert 0 <= wait_ms <= max(backoff.cap_ms, 0)
