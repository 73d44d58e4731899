"""JavaScript clients work against a running stack unchanged: bitcoinjs-lib with regtest-client, and mempool.js.

Their tests are node's own (`bitcoinjs/*.test.js`); the packages are the ones that `bitcoinjs/package-lock.json` pins.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.conftest import Stack
from tests.npm import installed

SOURCE = Path(__file__).parent / "bitcoinjs"
TEST_SECONDS = 200


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests with the packages that they need beside them."""
    return installed(SOURCE, tmp_path_factory.mktemp("node") / "tests")


def run(packages: Path, name: str, stack: Stack) -> None:
    explorer = stack.state.explorer_url.rstrip("/")
    environment = os.environ | {"APIURL": f"{explorer}/1", "EXPLORER_HOST": urlsplit(explorer).netloc}
    done = subprocess.run(
        ["node", "--test", name], cwd=packages, env=environment, capture_output=True, text=True, timeout=TEST_SECONDS
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "# fail 0" in done.stdout or "ℹ fail 0" in done.stdout


def test_bitcoinjs_with_its_regtest_client(stack: Stack, packages: Path) -> None:
    run(packages, "transactions.test.js", stack)


def test_mempool_js(stack: Stack, packages: Path) -> None:
    run(packages, "mempool.test.js", stack)
