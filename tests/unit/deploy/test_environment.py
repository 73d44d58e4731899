import hashlib

import pytest

from deploy import environment


@pytest.fixture
def root(tmp_path):
    """A checkout whose path has a space, without an environment yet."""
    checkout = tmp_path / "a checkout"
    (checkout / "requirements").mkdir(parents=True)
    (checkout / "requirements" / "local.lock").write_text("one==1\n")
    (checkout / "requirements" / "test.lock").write_text("one==1\ntwo==2\n")
    return checkout


def installed(root, lock):
    (root / ".venv").mkdir(exist_ok=True)
    environment._write_stamp(root, lock)


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
    monkeypatch.setattr(environment, "_run", lambda command, failure: ran.append([str(word) for word in command]))
    monkeypatch.setattr(environment, "_runs", lambda python: False)
    (root / ".venv").mkdir()
    monkeypatch.setattr(environment.shutil, "rmtree", lambda path, ignore_errors: None)
    environment.ensure(root, "local")
    environment.ensure(root, "local")
    assert [command[1:3] for command in ran] == [["-m", "venv"], ["-m", "pip"]]
    assert "--require-hashes" in ran[1]
    assert ran[1][-1] == str(root / "requirements" / "local.lock")


def test_a_failed_installation_leaves_no_stamp(root, monkeypatch):
    def fail(command, failure):
        raise environment.EnvironmentProblem(failure)

    monkeypatch.setattr(environment, "_run", fail)
    monkeypatch.setattr(environment, "_runs", lambda python: True)
    with pytest.raises(environment.EnvironmentProblem, match=r"could not install requirements/local.lock"):
        environment.ensure(root, "local")
    assert not environment.is_current(root, "local")


def test_a_python_without_ensurepip_gets_a_message_that_says_what_to_install(root, monkeypatch):
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(environment.EnvironmentProblem, match=r"apt install python3\.\d+-venv"):
        environment.ensure(root, "local")
