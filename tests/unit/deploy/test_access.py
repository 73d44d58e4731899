import json
import re
import stat

import pytest

from deploy.setup import access, container_setup
from shared import config
from shared.bus.rabbit.topology import EXCHANGE_BINDINGS, QUEUES, ExchangeBinding
from shared.bus.topics import (
    EXCHANGE,
    FACTS,
    MEMPOOL_TXS,
    REPLY_EXCHANGE,
    WALLET_INBOX,
    WALLET_NAMES,
    WALLET_REQUESTS,
    WORK,
    Topic,
    outlet,
)
from shared.servers.url import AMQP_PORTS, REDIS_PORTS, parse_server_url

PASSWORDS = {user: f"password-of-{user}" for user in ("mempool", "wallet", "explorer", "miner")}
SETUP = {user: f"password-of-{user}" for user in ("setup", "operator", "topology")}


@pytest.fixture
def definitions():
    return access.rabbitmq_definitions(PASSWORDS | SETUP)


def permission(definitions, user, kind, name):
    (found,) = [entry for entry in definitions["permissions"] if entry["user"] == user]
    return re.search(found[kind], name) is not None


def may_publish(definitions, user, topic):
    """Whether what a user publishes to its own exchange gets as far as the common one."""
    assert permission(definitions, user, "write", outlet(user))
    assert not permission(definitions, user, "write", EXCHANGE)
    return ExchangeBinding(EXCHANGE, outlet(user), topic) in EXCHANGE_BINDINGS


def test_the_password_hash_is_the_one_of_rabbitmqs_documentation():
    salt = bytes.fromhex("908DC60A")
    assert access.rabbitmq_hash("test12", salt) == "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"


def test_passwords_are_in_no_file_of_the_servers(definitions):
    assert "password-of" not in json.dumps(definitions)
    assert "password-of" not in access.redis_acl(PASSWORDS | SETUP)


def test_only_the_mempool_publishes_facts_and_templates(definitions):
    for topic in (*FACTS, *WORK, Topic.TX_REJECTED):
        publishers = [user for user in PASSWORDS if may_publish(definitions, user, topic)]
        assert publishers == ["mempool"]


def test_claims_come_from_who_makes_them(definitions):
    publishers = {topic: {user for user in PASSWORDS if may_publish(definitions, user, topic)} for topic in Topic}
    assert publishers[Topic.TX_SUBMITTED] == {"mempool", "wallet", "explorer"}
    assert publishers[Topic.BLOCK_MINED] == {"mempool", "miner"}
    assert publishers[Topic.MINE_REQUESTED] == {"mempool", "wallet", "explorer"}
    assert publishers[Topic.COINS_REQUESTED] == publishers[Topic.ADDRESS_REQUESTED] == {"explorer"}
    assert publishers[Topic.WALLETS_REQUESTED] == {"mempool", "explorer"}
    assert publishers[Topic.CHAIN_CONTROL] == {"mempool"}
    assert publishers[Topic.MINER_REPORT] == {"miner"}


def test_a_queue_is_read_by_its_service_only(definitions):
    owners = {MEMPOOL_TXS.name: "mempool"}
    owners |= {queue.name: "wallet" for queue in (WALLET_INBOX, WALLET_REQUESTS, WALLET_NAMES)}
    for queue, owner in (*owners.items(), ("miner." + "01" * 16, "miner")):
        assert [user for user in PASSWORDS if permission(definitions, user, "read", queue)] == [owner]


def test_only_the_mempool_and_the_wallet_answer_requests(definitions):
    requester = "explorer." + "01" * 16
    for exchange, may in ((REPLY_EXCHANGE, ["mempool", "wallet"]), ("amq.default", [])):
        assert [user for user in PASSWORDS if permission(definitions, user, "write", exchange)] == may
    keys = {entry["user"]: entry for entry in definitions["topic_permissions"] if entry["exchange"] == REPLY_EXCHANGE}
    assert [user for user in PASSWORDS if re.search(keys[user]["write"], requester)] == ["mempool", "wallet"]
    assert not any(re.search(keys[user]["write"], Topic.CHAIN_CONTROL) for user in PASSWORDS)


def test_every_queue_has_one_policy():
    for queue in (*(queue.name for queue in QUEUES), *(f"{user}.{'0' * 32}" for user in (*PASSWORDS, "a-shop_2"))):
        policies = [policy for policy in access.rabbitmq_policies() if re.search(policy["pattern"], queue)]
        assert len(policies) == 1, queue


def test_the_default_redis_user_is_off_but_may_replay_the_append_only_file():
    line = access.redis_acl(PASSWORDS | SETUP).splitlines()[0]
    assert line == "user default off resetpass ~* &* +@all"


@pytest.fixture
def written(tmp_path, monkeypatch):
    """The secrets volume after a first start, owned by the user who runs the tests."""
    monkeypatch.setattr("os.fchown", lambda *arguments: None)
    container_setup.main([], tmp_path)
    return tmp_path


def test_every_service_gets_settings_that_it_understands(written):
    for service in container_setup.SERVICE_UIDS:
        environ = {"WARREN_BROKER": "rabbitmq", "WARREN_AMQP_URL_FILE": str(written / service / "amqp-url")}
        if service not in ("miner", "topology"):
            environ["WARREN_REDIS_URL_FILE"] = str(written / service / "redis-url")
        settings = config.load(environ)
        assert settings.amqp_url.startswith(f"amqp://{service}:")
        assert settings.amqp_url.endswith("@rabbitmq:5672/warren")


def test_a_miner_gets_no_access_to_redis(written):
    assert [path.name for path in (written / "miner").iterdir()] == ["amqp-url"]


def test_passwords_are_kept_when_containers_start_again(written):
    before = {path: path.read_text() for path in written.rglob("*-url")}
    container_setup.main([], written)
    assert {path: path.read_text() for path in written.rglob("*-url")} == before
    assert len(before) == 10


def hashes_in_acl(root, user):
    (line,) = [line for line in (root / "redis" / "users.acl").read_text().splitlines() if line.split()[1] == user]
    return [word for word in line.split() if word.startswith("#")]


def test_while_passwords_change_redis_takes_both_and_the_services_get_the_new_one(written):
    before = {path: path.read_text() for path in written.rglob("*-url")}
    (old,) = hashes_in_acl(written, "wallet")
    container_setup.main(["--new-passwords"], written)
    after = {path: path.read_text() for path in written.rglob("*-url")}
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
    new, former = hashes_in_acl(written, "wallet")
    assert former == old
    assert [len(passwords) for passwords in logins(written).values()] == [2, 2]

    container_setup.main(["--new-passwords"], written)  # again, as after an interruption
    assert hashes_in_acl(written, "wallet") == [new, former]
    container_setup.main(["--forget-former"], written)
    assert hashes_in_acl(written, "wallet") == [new]
    assert {path: path.read_text() for path in written.rglob("*-url")} == after
    assert [len(passwords) for passwords in logins(written).values()] == [1, 1]


CLUSTER = {"RABBITMQ_HOSTS": "rabbitmq,rabbitmq-2", "SENTINEL_HOSTS": "sentinel-1,sentinel-2"}


def test_the_services_of_a_cluster_know_all_its_hosts(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fchown", lambda *arguments: None)
    container_setup.main([], tmp_path, CLUSTER)
    redis = parse_server_url((tmp_path / "wallet" / "redis-url").read_text().strip(), REDIS_PORTS)
    assert redis.addresses == (("sentinel-1", 26379), ("sentinel-2", 26379))
    assert (redis.username, redis.path) == ("wallet", "primary/0")
    amqp = parse_server_url((tmp_path / "miner" / "amqp-url").read_text().strip(), AMQP_PORTS)
    assert amqp.addresses == (("rabbitmq", 5672), ("rabbitmq-2", 5672))


def test_passwords_by_which_servers_know_each_other_stay(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fchown", lambda *arguments: None)
    shared = ("redis/replication.conf", "sentinel/users.acl", "sentinel/logins.conf", "rabbitmq/erlang-cookie")
    container_setup.main([], tmp_path, CLUSTER)
    before = [(tmp_path / name).read_text() for name in shared]
    container_setup.main(["--new-passwords"], tmp_path, CLUSTER)
    assert [(tmp_path / name).read_text() for name in shared] == before
    assert len(hashes_in_acl(tmp_path, "replica")) == 1
    assert len(hashes_in_acl(tmp_path, "wallet")) == 2


def logins(root):
    return json.loads((root / "access" / "passwords.json").read_text())


def test_every_file_is_for_one_user_only(written):
    files = [path for path in written.rglob("*") if path.is_file()]
    assert len(files) == 27
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE((written / "passwords").stat().st_mode) == 0o700


def test_the_users_are_those_of_the_compose_file():
    text = (container_setup.Path(container_setup.__file__).parents[1] / "compose.yaml").read_text()
    for service, uid in container_setup.SERVICE_UIDS.items():
        section = text.split(f"\n  {service}:\n")[1].split("\n\n")[0]
        assert f'user: "{uid}:{uid}"' in section
