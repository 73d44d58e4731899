import os
import stat

import pytest

from deploy.files import kept_secret, make_private_dir, write_atomically


@pytest.fixture(params=[0o000, 0o022, 0o077], ids="umask {:03o}".format, autouse=True)
def _umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_written_is_for_its_owner_only(tmp_path):
    write_atomically(tmp_path / "file", "one")
    write_atomically(tmp_path / "file", "two")
    assert (tmp_path / "file").read_text() == "two"
    assert mode(tmp_path / "file") == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_secret_is_made_once_and_kept(tmp_path):
    secret = kept_secret(tmp_path / "secret")
    assert len(secret) == 48
    assert kept_secret(tmp_path / "secret") == secret
    assert kept_secret(tmp_path / "other") != secret
    assert mode(tmp_path / "secret") == 0o600


def test_a_private_directory_is_entered_by_its_owner_only(tmp_path):
    tmp_path.chmod(0o755)
    make_private_dir(tmp_path / "a" / "b")
    make_private_dir(tmp_path / "a" / "b")
    assert mode(tmp_path / "a" / "b") == 0o700
    assert mode(tmp_path / "a") == 0o700, "or another user could put something else in the place of b"
    assert mode(tmp_path) == 0o755, "what was there before is as it was"
