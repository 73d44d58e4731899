import hashlib
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy.console import Console
from deploy.errors import LaunchError
from deploy.setup import environment, installation


@pytest.fixture
def root(tmp_path):
    """A checkout whose path has a space, without an environment yet."""
    checkout = tmp_path / "a checkout"
    (checkout / "requirements").mkdir(parents=True)
    (checkout / "requirements" / "local.lock").write_text("one==1\n")
    (checkout / "requirements" / "test.lock").write_text("one==1\ntwo==2\n")
    return checkout


@pytest.fixture
def pip(root):
    """Makes a `.venv` whose Python prints a text of the test's choice."""

    def make(*lines: str, status: int = 0) -> None:
        python = environment.python_of(root)
        python.parent.mkdir(parents=True)
        told = " ".join(shlex.quote(line) for line in lines)
        python.write_text(f"#!/bin/sh\n[ $1 = -c ] && exit 0\nprintf '%s\\n' {told}\nexit {status}\n")
        python.chmod(0o755)

    return make


def installed(root, lock):
    (root / ".venv").mkdir(exist_ok=True)
    installation._write_stamp(root, lock)


def test_a_checkout_without_an_environment_is_not_current(root):
    assert not environment.is_current(root, "local")


def test_an_installed_lock_file_is_current_until_it_changes(root):
    installed(root, "local")
    assert environment.is_current(root, "local")
    (root / "requirements" / "local.lock").write_text("one==1.1\n")
    assert not environment.is_current(root, "local")


def test_the_test_lock_serves_local_use_too(root):
    installed(root, "test")
    assert environment.is_current(root, "local")


def test_the_local_lock_does_not_serve_tests(root):
    installed(root, "local")
    assert not environment.is_current(root, "test")


def test_a_changed_test_lock_is_installed_again_even_when_local_is_asked_for(root):
    installed(root, "test")
    (root / "requirements" / "test.lock").write_text("one==1\ntwo==3\n")
    assert not environment.is_current(root, "local")
    assert environment.wanted_lock(root, "local") == "test"


def test_the_stamp_is_the_name_and_the_sha256_of_the_lock_file(root):
    digest = hashlib.sha256(b"one==1\n").hexdigest()
    assert environment.stamp(root, "local") == f"local {digest}"


def test_a_damaged_stamp_means_install_again(root):
    installed(root, "local")
    (root / ".venv" / "installed").write_text("")
    assert not environment.is_current(root, "local")
    assert environment.wanted_lock(root, "local") == "local"


def test_ensure_makes_the_environment_and_installs_once(root, monkeypatch):
    ran = []
    monkeypatch.setattr(installation, "_run", lambda command, failure, show: ran.append(list(command)))
    monkeypatch.setattr(installation, "_runs", lambda python: False)
    monkeypatch.setattr(installation.shutil, "rmtree", lambda path, ignore_errors: None)
    (root / ".venv").mkdir()
    for _ in range(2):
        installation.ensure(root, "local", Console(None))
    assert [command[1:3] for command in ran] == [["-m", "venv"], ["-m", "pip"]]
    assert "--require-hashes" in ran[1]
    assert ran[1][-1] == str(root / "requirements" / "local.lock")


def test_what_is_current_is_left_alone_also_where_nothing_can_be_written(root, monkeypatch):
    installed(root, "local")
    monkeypatch.setattr(installation, "_only_one", None)
    installation.ensure(root, "local", Console(None))


def test_each_step_is_told(root, pip, capsys):
    pip("Collecting one==1 (from -r x)", "Installing collected packages: one, two", "Successfully installed")
    installation.ensure(root, "local", Console(sys.stderr))
    assert capsys.readouterr() == (
        "",
        "installing what requirements/local.lock names (about a minute, once)\nunpacking 2 packages\n",
    )
    assert environment.is_current(root, "local")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "WARNING: Retrying: NewConnectionError(...)\nERROR: No matching distribution found for one==1",
            "the package index cannot be reached (network, proxy)",
        ),
        ("ERROR: Could not install packages: [Errno 28] No space left on device", "no space is left on the disk"),
        ("ERROR: No matching distribution found for one==1", "a package has no build for this Python and machine"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "a package is not the one that the lock file names"),
        ("something else", "exit status 1"),
    ],
)
def test_a_failed_installation_leaves_no_stamp_and_says_why_and_what_pip_said(root, pip, said, reason):
    pip(*said.split("\n"), status=1)
    with pytest.raises(LaunchError) as problem:
        installation.ensure(root, "local", Console(None))
    first, *rest = str(problem.value).split("\n")
    assert first == f"could not install requirements/local.lock: {reason}; python said:"
    assert rest == [f"    {said.splitlines()[-1]}"]
    assert not environment.is_current(root, "local")


def test_a_disk_that_is_full_is_found_out_where_nobody_says_so(root, pip, monkeypatch):
    pip("Error: Command '[...]' returned non-zero exit status 1.", status=1)
    monkeypatch.setattr(installation.shutil, "disk_usage", lambda path: SimpleNamespace(free=1_000))
    with pytest.raises(LaunchError, match="no space is left on the disk"):
        installation.ensure(root, "local", Console(None))


def test_a_python_without_ensurepip_gets_a_message_that_says_what_to_install(root, monkeypatch):
    monkeypatch.setattr(installation.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LaunchError, match=r"apt install python3\.\d+-venv"):
        installation.ensure(root, "local", Console(None))


def test_the_environment_is_made_anew_with_the_python_under_it(root, monkeypatch):
    """The Python that runs may be the one of the environment that is being replaced."""
    ran = []
    monkeypatch.setattr(installation, "_run", lambda command, failure, show: ran.append(command[0]))
    installation._create(root / ".venv", Console(None))
    assert not Path(ran[0]).is_relative_to(sys.prefix)
