"""The launcher outlives a full disk, files that it may not use or that it lacks, says so, and comes back by itself."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.processes.log_files import LogFollower
from deploy.stack import control, state
from tests.integration.deploy.test_launcher import Launcher, poll

pytestmark = pytest.mark.redis


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def launcher(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Launcher]:
    """A launcher that is ready; what it says is elsewhere than its data, as on a terminal."""
    place = request.getfixturevalue("small_disk") if "small_disk" in request.fixturenames else tmp_path
    launcher = Launcher(place / "data", output=tmp_path / "output")
    try:
        launcher.wait_for("^ready in")
        yield launcher
    finally:
        launcher.end()


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def kill(launcher: Launcher, name: str) -> int:
    """Kill a service; return the pid of the one that the launcher starts in its place."""
    before = launcher.pid(name)
    os.kill(before, signal.SIGKILL)
    launcher.wait_for(rf"^{name} started again")
    poll(lambda: launcher.pid(name) != before, launcher.text)
    return launcher.pid(name)


def test_a_full_disk_ends_no_launcher_and_the_state_stays_true(small_disk: Path, launcher: Launcher) -> None:
    fill(small_disk)
    kill(launcher, "explorer")
    assert re.search(r"^explorer \(pid .*, disk full \(.*/logs\); restarting in", launcher.text(), re.M)
    assert launcher.state().service("explorer").process.is_alive()
    told: list[str] = []
    control.status(launcher.data_dir, told.append)
    assert f"disk full: {launcher.data_dir}" in told
    assert not [line for line in told if line.startswith("explorer: it has ended")]
    (small_disk / "filler").unlink()
    kill(launcher, "miner-1")
    assert launcher.process.poll() is None
    assert state.read(launcher.data_dir) is not None


def test_redis_without_space_comes_back_when_there_is_some(small_disk: Path, launcher: Launcher) -> None:
    fill(small_disk)
    kill(launcher, "redis")
    (small_disk / "filler").unlink()
    poll(lambda: launcher.state().service("redis").process.is_alive(), launcher.text)
    assert launcher.process.poll() is None


def test_logs_that_fill_the_disk_are_emptied(small_disk: Path) -> None:
    log = small_disk / "service.log"
    log.write_bytes(b"x" * 100_000)
    fill(small_disk)
    LogFollower(log).rotate_if_large(50_000)
    assert log.stat().st_size == 0
    assert not log.with_name("service.log.1").exists()


def test_a_log_directory_that_was_removed_is_made_again(launcher: Launcher) -> None:
    shutil.rmtree(launcher.data_dir / "regtest" / "logs")
    kill(launcher, "explorer")
    assert (launcher.data_dir / "regtest" / "logs" / "explorer.log").exists()


def test_a_state_that_cannot_be_written_is_told_once_and_written_later(launcher: Launcher) -> None:
    obstacle = launcher.data_dir / f".stack.json.{launcher.process.pid}"
    obstacle.mkdir()
    before = launcher.pid("explorer")
    os.kill(before, signal.SIGKILL)
    launcher.wait_for(r"\.stack\.json\..*: Is a directory; trying again$")
    obstacle.rmdir()
    launcher.wait_for("^files can be written and read again$")
    assert launcher.pid("explorer") != before
    assert launcher.text().count("trying again") == 1


def test_too_many_open_files_are_waited_out(launcher: Launcher) -> None:
    pid = launcher.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    os.kill(launcher.pid("explorer"), signal.SIGKILL)
    launcher.wait_for("^explorer does not start: .*Too many open files; trying again$")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    launcher.wait_for("^explorer started again")
    poll(lambda: launcher.state().service("explorer").process.is_alive(), launcher.text)
