"""How long the differential tests look: `WARREN_EXAMPLES=20` looks twenty times as long as a run of all tests does."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

FACTOR = int(os.environ.get("WARREN_EXAMPLES", "1"))


def examples(count: int) -> settings:
    """Settings for `count` examples, times what the environment asks for."""
    return settings(max_examples=count * FACTOR, deadline=None, suppress_health_check=[HealthCheck.too_slow])
