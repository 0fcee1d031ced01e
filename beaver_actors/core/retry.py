"""How long a failed job waits: four formulas in integer milliseconds.

The caller brings the chance (`dice`), so the outcome is written in the fact and replay never throws again.
"""

from __future__ import annotations

from typing import assert_never

from beaver_actors.core.job import Backoff

POLYNOMIAL_JITTER_MS = 10_000  # per retry so far: ten seconds more of spread each time


def delay_ms(backoff: Backoff, retry: int, dice: float) -> int:
    """Return the wait before a retry, in milliseconds.

    Args:
        backoff: the job's own rule.
        retry: 0 for the first retry.
        dice: a number drawn evenly from [0, 1).

    The formulas, with n for `retry` and U for an even draw:
        polynomial: ``n**factor s + base + U(0, 10 s * (n + 1))``, the curve that Sidekiq made a habit;
        exponential: ``U(0, base * factor**n)``, "full jitter" (Brooker, "Exponential Backoff And Jitter");
        fixed: ``base``; list: the n-th delay, the last one repeating. All are cut at 0 and `cap_ms`.

    The default of 25 runs has 24 waits, 16.6 days in all; a 25th would be another 3.8 days.
    """
    cap_ms = max(backoff.cap_ms, 0)
    match backoff.kind:
        case "polynomial":
            spread = POLYNOMIAL_JITTER_MS * (retry + 1) * dice if backoff.jitter else 0.0
            return _cut(1000 * _power(retry, backoff.factor) + backoff.base_ms + spread, cap_ms)
        case "exponential":
            ceiling = _cut(backoff.base_ms * _power(backoff.factor, retry), cap_ms)
            return int(ceiling * dice) if backoff.jitter else ceiling
        case "fixed":
            return _cut(backoff.base_ms, cap_ms)
        case "list":
            delays = backoff.delays_ms or (backoff.base_ms,)
            return _cut(delays[min(retry, len(delays) - 1)], cap_ms)
        case _:
            assert_never(backoff.kind)


def _power(base: float, exponent: float) -> float:
    """The power, infinite where a float cannot hold it."""
    try:
        power: float = float(base) ** exponent
    except (OverflowError, ZeroDivisionError):
        return float("inf")
    return power


def _cut(value: float, cap_ms: int) -> int:
    # Nothing times infinity is no number and not below the cap: it is cut too.
    return int(max(value, 0)) if value < cap_ms else cap_ms
