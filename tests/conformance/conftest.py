"""Bitcoin Core's own test vectors and blocks, taken from the source distribution of py-bitcoinkernel.

It is downloaded once, checked, unpacked into .cache/ and never committed.
"""

import csv
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pytest

DOWNLOAD_SECONDS = 300
VERSION = "0.1.0a5"
SHA256 = "71b91eecac7a8b07248be04471c3bf98016b38bf823aefd28f7b31179940520d"
CACHE = Path(__file__).parents[2] / ".cache" / f"core-vectors-{VERSION}-blocks"
ROOT = f"py_bitcoinkernel-{VERSION}/"
BITCOIN = ROOT + "depend/bitcoin/"
FILES = {
    ROOT + "test/data/regtest/blocks.txt",
    BITCOIN + "src/bench/data/block413567.raw",
    BITCOIN + "test/functional/data/mainnet_alt.json",
    BITCOIN + "test/functional/feature_signet.py",
    BITCOIN + "test/functional/test_framework/bip340_test_vectors.csv",
}


def pytest_collection_modifyitems(items):
    """Leave the test that comes first the time to download."""
    for item in items:
        if {"core_file", "core_vectors"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.timeout(DOWNLOAD_SECONDS + 120))


def _download(directory):
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    # Only the package itself from source: what its metadata takes to build comes ready-made, so no compiler is needed.
    command += [
        "--no-binary",
        "py-bitcoinkernel",
        "--no-deps",
        "--dest",
        str(directory),
        f"py-bitcoinkernel=={VERSION}",
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)
    archives = list(Path(directory).glob("*.tar.gz"))
    if result.returncode or not archives:
        problem = f"Core's test vectors cannot be downloaded: {result.stderr.strip()[-300:]}"
        if os.environ.get("CI"):
            pytest.fail(problem)
        pytest.skip(problem)
    return archives[0]


def _unpack(archive, directory):
    with tarfile.open(archive) as tar:
        for member in tar:
            is_json = member.name.startswith(BITCOIN + "src/test/data/") and member.name.endswith(".json")
            if is_json or member.name in FILES:
                (directory / Path(member.name).name).write_bytes(tar.extractfile(member).read())


def _ensure_vectors():
    if CACHE.is_dir():
        return
    CACHE.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE.parent) as temporary:
        archive = _download(temporary)
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        assert digest == SHA256, "the source distribution is not the pinned one"
        unpacked = Path(temporary) / "vectors"
        unpacked.mkdir()
        _unpack(archive, unpacked)
        try:
            unpacked.rename(CACHE)
        except OSError:  # another test run was faster
            assert CACHE.is_dir()


@pytest.fixture(scope="session")
def core_file():
    """Return a function from a file name to the path of Core's file."""
    _ensure_vectors()
    return CACHE.joinpath


@pytest.fixture(scope="session")
def core_vectors(core_file):
    """Return a function from a file's name to its content: the JSON value, or the list of rows of a CSV file."""

    def load(name):
        text = core_file(name).read_text()
        return json.loads(text) if name.endswith(".json") else list(csv.DictReader(text.splitlines()))

    return load
