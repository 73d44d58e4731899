from pathlib import Path

import pytest

from deploy.command_line import parse
from deploy.errors import LaunchError
from deploy.launcher.options import UpOptions, child_environment, resolve_chain, up_options
from shared.config import load
from shared.errors import ConfigError

ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
"""BIP173's example."""


def options(*arguments: str, environ: dict[str, str] | None = None) -> UpOptions:
    return up_options(parse(["up", *arguments], environ or {}), load(environ or {}))


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


def test_urls_from_the_environment_are_used_and_never_shown(tmp_path):
    file = tmp_path / "amqp"
    file.write_text("amqp://someone:hidden-word@localhost/\n")
    environ = {"WARREN_REDIS_URL": "redis://:hidden-word@localhost:1234/0", "WARREN_AMQP_URL_FILE": str(file)}
    asked = options("--broker", "rabbitmq", environ=environ)
    assert asked.redis_url.endswith("@localhost:1234/0")
    assert asked.amqp_url.startswith("amqp://someone:")
    assert "hidden-word" not in repr(asked)


def test_a_mining_mode_is_set_only_where_it_is_named():
    asked = options()
    assert (asked.mining, asked.mining_address) == ("", "")
    asked = options("--mining", "interval:5-9", "--mining-address", ADDRESS)
    assert (asked.mining, asked.mining_address) == ("interval:5-9", ADDRESS)


@pytest.mark.parametrize(("chain", "address"), [("regtest", "nonsense"), ("main", ADDRESS)])
def test_an_address_of_another_chain_is_refused_before_anything_starts(chain, address):
    with pytest.raises(LaunchError, match="--mining-address: not an address of this chain: "):
        options("--chain", chain, "--mining", "auto", "--mining-address", address)


def test_a_chain_file_gives_its_path_and_its_name(tmp_path):
    file = tmp_path / "team.toml"
    file.write_text('name = "team"\nbase = "regtest"\n')
    assert resolve_chain(str(file)) == (str(file), "team")


def test_another_name_of_a_network_leads_to_the_same_folder():
    assert resolve_chain("mainnet") == ("mainnet", "main")


def test_a_chain_that_there_is_not_is_named_with_what_was_meant():
    with pytest.raises(LaunchError, match=r"--chain regest: neither one of .*; did you mean regtest\?"):
        resolve_chain("regest")


def test_a_chain_file_that_is_wrong_is_refused(tmp_path):
    file = tmp_path / "team.toml"
    file.write_text('name = "../team"\n')
    with pytest.raises(ConfigError):
        resolve_chain(str(file))


def test_services_do_not_inherit_secrets():
    environ = {"PATH": "/bin", "WARREN_LOG_LEVEL": "DEBUG", "WARREN_RPC_PASSWORD": "x", "WARREN_REDIS_URL_FILE": "/x"}
    assert child_environment(environ) == {"PATH": "/bin", "WARREN_LOG_LEVEL": "DEBUG"}
