"""The profiles of hypothesis for property tests; conftest.py loads one before any test is imported.

With `CI` set, every run tries the same examples. Elsewhere each run tries new examples, and prints a failing one with
the line that repeats it. Neither has a time limit: a busy machine does not make a test fail.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

FACTOR = int(os.environ.get("WARREN_EXAMPLES", "1"))
"""`WARREN_EXAMPLES=20` lets the differential tests look twenty times as long as a run of all tests does."""

PROPERTY_SECONDS = 900
"""Until a property test counts as hanging: hundreds of examples are long on a busy machine."""

settings.register_profile(
    "random",
    settings.get_profile("default"),  # not what hypothesis itself loads where it finds `CI`
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("ci", settings.get_profile("random"), derandomize=True, database=None)


def load_profile() -> None:
    """Let the environment decide; `--hypothesis-profile` comes later and so has the last word."""
    settings.load_profile("ci" if os.environ.get("CI") else "random")


def examples(count: int) -> settings:
    """Settings of a differential test: `count` examples, times the factor `WARREN_EXAMPLES`."""
    return settings(max_examples=count * FACTOR)


def with_shared_fixtures(max_examples: int) -> settings:
    """Settings of a property whose examples share fixtures: it only reads their content, or clears it first."""
    return settings(
        max_examples=max_examples,
        suppress_health_check=[*settings.default.suppress_health_check, HealthCheck.function_scoped_fixture],
    )
