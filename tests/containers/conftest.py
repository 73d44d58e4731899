"""These tests have a command of their own: `./warren test -m containers`. Each needs Docker, and some minutes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.servers import docker_answers

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, and skip them where Docker does not answer."""
    ours = [item for item in items if HERE in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.containers)
        item.add_marker(pytest.mark.timeout(1500))


@pytest.fixture(scope="session", autouse=True)
def _docker() -> None:
    if not docker_answers():
        if os.environ.get("CI"):
            pytest.fail("Docker does not answer")
        pytest.skip("Docker does not answer")
