"""JavaScript clients work against a running stack unchanged: bitcoinjs-lib with regtest-client, and mempool.js.

Their tests are node's own (`bitcoinjs/*.test.js`); the packages are the ones that `bitcoinjs/package-lock.json` pins.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.conftest import Stack

SOURCE = Path(__file__).parent / "bitcoinjs"
INSTALL_SECONDS = 180
TEST_SECONDS = 200


def give_up(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests with the packages that they need beside them."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            give_up(f"{program} is not installed")
    folder = tmp_path_factory.mktemp("node") / "tests"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("node_modules"))
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    if done.returncode:
        give_up(f"npm cannot install the packages: {done.stderr[-2000:]}")
    return folder


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
