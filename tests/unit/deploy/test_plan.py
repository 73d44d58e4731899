import dataclasses
from pathlib import Path

import pytest

from deploy.launcher import plan
from deploy.launcher.options import UpOptions
from shared import config

PORTS = {"wallet": 8080, "explorer": 3000, "rpc": 18443, "mempool-2": 40000}
SECRETS = plan.Secrets(redis_url=Path("/secrets/redis-url"), amqp_url=None, rpc_password=None)
OPTIONS = UpOptions(
    data_dir=Path("/data"),
    chain="regtest",
    chain_name="regtest",
    host="127.0.0.1",
    wallet_port=8080,
    explorer_port=3000,
    rpc_port=18443,
    miners=1,
    mempools=1,
    broker="embedded",
    redis_url="",
    amqp_url="",
    rpc_user="",
    rpc_password="",
    creator_blocks=110,
)


def specs(secrets=SECRETS, **changes):
    found = plan.services(dataclasses.replace(OPTIONS, **changes), PORTS, secrets, {"PATH": "/bin"})
    return {spec.name: spec for spec in found}


def test_a_stack_is_one_of_each_service():
    assert set(specs()) == {"mempool", "miner-1", "wallet", "explorer"}


def test_every_service_understands_its_environment(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("redis://localhost/0\n")
    secrets = plan.Secrets(redis_url=secret, amqp_url=secret, rpc_password=secret)
    found = specs(secrets, miners=64, mempools=2, broker="rabbitmq", rpc_user="alice")
    for spec in found.values():
        settings = config.load(spec.environment)
        assert settings.broker == "rabbitmq"
    assert config.load(found["wallet"].environment).explorer_url == "http://127.0.0.1:3000"
    assert config.load(found["mempool"].environment).rpc_user == "alice"


def test_no_secret_is_an_argument_or_in_the_environment():
    for spec in specs(rpc_user="alice", rpc_password="hidden-word", redis_url="redis://:hidden-word@h").values():
        assert "hidden-word" not in " ".join([*spec.argv, *spec.environment.values()])


def test_miners_have_names_of_their_own():
    names = {spec.environment["WARREN_MINER_NAME"] for name, spec in specs(miners=3).items() if "miner" in name}
    assert names == {"miner-1", "miner-2", "miner-3"}


def test_with_rabbitmq_a_miner_does_not_know_where_redis_is():
    secrets = dataclasses.replace(SECRETS, amqp_url=Path("/secrets/amqp-url"))
    environment = specs(secrets, broker="rabbitmq")["miner-1"].environment
    assert environment["WARREN_AMQP_URL_FILE"] == "/secrets/amqp-url"
    assert not [name for name in environment if "REDIS" in name]


def test_a_standby_has_a_port_of_its_own():
    standby = specs(mempools=2)["mempool-2"]
    assert standby.environment["WARREN_RPC_PORT"] == "40000"
    assert standby.url == "http://127.0.0.1:40000"


def test_pages_stop_before_miners_before_the_writer():
    ranks = {name: spec.stop_rank for name, spec in specs().items()}
    assert ranks["wallet"] == ranks["explorer"] < ranks["miner-1"] < ranks["mempool"] < plan.StopRank.REDIS


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:8080"),
        ("::1", "http://[::1]:8080"),
        ("192.0.2.7", "http://192.0.2.7:8080"),
    ],
)
def test_urls_are_ones_that_a_browser_here_can_open(host, url):
    assert plan.urls(host, {"wallet": 8080}) == {"wallet": url}
