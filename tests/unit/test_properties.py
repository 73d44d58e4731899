"""The profiles of property tests."""

import os
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, settings

from tests.properties import with_shared_fixtures

SHOW = """
from tests.properties import load_profile, settings
load_profile()
now = settings.default
print(now.derandomize, now.database is None, now.deadline, now.print_blob)
print(*[check.name for check in now.suppress_health_check])
"""


@pytest.mark.parametrize(
    ("ci", "shown"), [("", "False False None True too_slow"), ("true", "True True None True too_slow")]
)
def test_ci_looks_at_the_same_examples_every_time_and_other_runs_at_others(ci, shown):
    """This must hold whatever hypothesis itself does when `CI` is set."""
    done = subprocess.run(
        [sys.executable, "-c", SHOW], env={**os.environ, "CI": ci}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == shown.split()


def test_settings_of_one_test_keep_what_the_profile_says():
    own = with_shared_fixtures(7)
    assert own.max_examples == 7
    assert set(own.suppress_health_check) == {HealthCheck.too_slow, HealthCheck.function_scoped_fixture}
    kept = ("derandomize", "deadline", "print_blob", "database")
    assert [getattr(own, name) for name in kept] == [getattr(settings.default, name) for name in kept]
