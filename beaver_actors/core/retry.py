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
        fixed: ``base``; list: the n-th delay, the last one repeating. All are cut at `cap_ms`.
    """
    draw = dice if backoff.jitter else 1.0
    match backoff.kind:
        case "polynomial":
            spread = POLYNOMIAL_JITTER_MS * (retry + 1) * (dice if backoff.jitter else 0.0)
            return _cut(1000 * _power(retry, backoff.factor) + backoff.base_ms + spread, backoff.cap_ms)
        case "exponential":
            ceiling = _cut(backoff.base_ms * _power(backoff.factor, retry), backoff.cap_ms)
            return int(ceiling * draw)
        case "fixed":
            return min(backoff.base_ms, backoff.cap_ms)
        case "list":
            return min(backoff.delays_ms[min(retry, len(backoff.delays_ms) - 1)], backoff.cap_ms)
        case _:
            assert_never(backoff.kind)


def _power(base: float, exponent: float) -> float:
    try:
        power: float = float(base) ** exponent
    except OverflowError:
        return float("inf")
    return power


def _cut(value: float, cap_ms: int) -> int:
    return cap_ms if value >= cap_ms else int(value)
