from pathlib import Path

import pytest

from deploy import cli
from deploy.errors import LaunchError
from deploy.options import child_environment, resolve_chain, server_address
from shared.config import load
from shared.errors import ConfigError


def options(*arguments, environ=None):
    settings = load(environ or {})
    parsed = cli._parser(settings).parse_args(["up", *arguments])
    return cli.up_options(parsed, settings, environ or {})


def test_the_defaults_are_the_documented_ones():
    asked = options()
    assert asked.data_dir == Path("data").absolute()
    assert (asked.chain, asked.chain_dir) == ("regtest", Path("data/regtest").absolute())
    assert (asked.wallet_port, asked.explorer_port, asked.rpc_port) == (8080, 3000, 18443)
    assert (asked.miners, asked.mempools, asked.broker, asked.host) == (1, 1, "embedded", "127.0.0.1")
    assert (asked.redis_url, asked.creator_blocks) == ("", 110)


def test_options_go_before_the_environment():
    environ = {"WARREN_WALLET_PORT": "9000", "WARREN_RPC_PORT": "9001"}
    asked = options("--rpc-port", "5000", environ=environ)
    assert (asked.wallet_port, asked.rpc_port) == (9000, 5000)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--miners", "0"], "--miners must be from 1 to 64"),
        (["--miners", "65"], "--miners must be from 1 to 64"),
        (["--mempools", "9"], "--mempools must be from 1 to 8"),
        (["--rpc-port", "65536"], "--rpc-port must be from 0 to 65535"),
        (["--wallet-port", "-1"], "--wallet-port must be from 0 to 65535"),
        (["--rpc-user", "alice"], "go together"),
        (["--broker", "rabbitmq"], "needs --amqp-url"),
        (["--broker", "rabbitmq", "--amqp-url", "http://localhost"], "--amqp-url is not a URL"),
        (["--redis-url", "localhost:6379"], "--redis-url is not a URL"),
        (["--redis-url", "redis://localhost:99999"], "--redis-url is not a URL"),
        (["--chain", "no-such-chain"], "--chain no-such-chain: neither one of"),
    ],
)
def test_an_option_that_cannot_work_is_named(arguments, message):
    with pytest.raises(LaunchError, match=message):
        options(*arguments)


def test_text_for_a_number_is_wrong_usage(capsys):
    with pytest.raises(SystemExit, match="2"):
        options("--miners", "many")
    assert "invalid int value: 'many'" in capsys.readouterr().err


def test_an_unknown_variable_stops_the_command(capsys):
    assert cli.main(["status"], {"WARREN_WALET_PORT": "1"}) == 1
    assert "unknown setting WARREN_WALET_PORT" in capsys.readouterr().err


def test_urls_from_the_environment_are_used_and_never_shown(tmp_path):
    file = tmp_path / "amqp"
    file.write_text("amqp://someone:hidden-word@localhost/\n")
    environ = {"WARREN_REDIS_URL": "redis://:hidden-word@localhost:1234/0", "WARREN_AMQP_URL_FILE": str(file)}
    asked = options("--broker", "rabbitmq", environ=environ)
    assert asked.redis_url.endswith("@localhost:1234/0")
    assert asked.amqp_url.startswith("amqp://someone:")
    assert "hidden-word" not in repr(asked)


def test_a_chain_file_gives_its_path_and_its_name(tmp_path):
    file = tmp_path / "team.toml"
    file.write_text('name = "team"\nbase = "regtest"\n')
    assert resolve_chain(str(file)) == (str(file), "team")


def test_a_chain_file_that_is_wrong_is_refused(tmp_path):
    file = tmp_path / "team.toml"
    file.write_text('name = "../team"\n')
    with pytest.raises(ConfigError):
        resolve_chain(str(file))


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://:password@10.0.0.1:7000/0", ("10.0.0.1", 7000)),
        ("redis://localhost", ("localhost", 6379)),
        ("amqps://user:password@[::1]/vhost", ("::1", 5671)),
        ("unix:///run/redis.sock", None),
    ],
)
def test_where_a_server_listens_is_read_from_its_url(url, address):
    assert server_address(url) == address


def test_services_do_not_inherit_secrets():
    environ = {"PATH": "/bin", "WARREN_LOG_LEVEL": "DEBUG", "WARREN_RPC_PASSWORD": "x", "WARREN_REDIS_URL_FILE": "/x"}
    assert child_environment(environ) == {"PATH": "/bin", "WARREN_LOG_LEVEL": "DEBUG"}
