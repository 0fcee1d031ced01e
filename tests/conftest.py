"""What all tests share: how hard Hypothesis tries. `HYPOTHESIS_PROFILE` chooses; `dev` is for the laptop."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Chance stays in: each run looks somewhere else, and what it finds it prints as a line to repeat it with.
COMMON = settings(
    deadline=None,  # a shared machine pauses at will, and a slow example is not a wrong one
    derandomize=False,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("dev", COMMON, max_examples=50)
settings.register_profile("ci", COMMON, max_examples=300)
settings.register_profile("mutants", COMMON, max_examples=10, derandomize=True)
settings.register_profile("nightly", COMMON, max_examples=5_000, stateful_step_count=100)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))
