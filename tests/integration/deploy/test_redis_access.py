"""The deployed server: every user can reach its own keys only, and all commits are there after a restart."""

import subprocess

import pytest
import redis
from redis.exceptions import AuthenticationError, NoPermissionError

from deploy.launcher import redis_server
from deploy.processes import ports
from deploy.processes.process import wait_until
from deploy.setup.access import REDIS_RULES, redis_acl
from services.mempool.state import NodeState
from shared.chain.lease import Lease
from shared.chain.store import connect
from shared.chain.view import ChainView
from shared.consensus.params import REGTEST
from tests.integration.deploy.backups import KEYS, back_up, bring_back
from tests.servers import servers

pytestmark = pytest.mark.redis

PASSWORDS = {user: f"password-of-{user}" for user in (*REDIS_RULES, "setup", "operator")}
TIP, WRITER, KEY_OF_WALLET = "{warren:regtest}:tip", "{warren:regtest}:writer", "{warren:regtest}:wallet:creator"
COMMIT = "redis.call('HSET', KEYS[1], 'height', ARGV[1]) redis.call('SET', KEYS[2], 'me')"


class DeployedRedis:
    """A server with the settings and the users of compose.yaml."""

    def __init__(self, binary, directory):
        self.binary = binary
        self.port = ports.choose("127.0.0.1", {"redis": 0})["redis"]
        self.directory = directory
        (directory / "users.acl").write_text(redis_acl(PASSWORDS))
        self.start()

    def start(self):
        shared = str(redis_server._SHARED_SETTINGS)
        own = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", ".", "--aclfile", "users.acl"]
        command = [str(self.binary), shared, *own]
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.directory, stdout=log, stderr=log)
        assert wait_until(self._answers, 20), (self.directory / "log").read_text()

    def stop(self):
        self.process.terminate()
        self.process.wait(20)

    def as_user(self, user, password=None):
        return redis.Redis(port=self.port, username=user, password=password or PASSWORDS[user])

    def _answers(self):
        with redis.Redis(port=self.port, username="health", password="any") as client:
            try:
                return client.ping()
            except redis.ConnectionError:
                return False


@pytest.fixture(params=servers().values(), ids=servers().keys())
def deployed(request, tmp_path):
    server = DeployedRedis(request.param, tmp_path)
    yield server
    server.stop()


@pytest.fixture
def client(deployed):
    """Returns a client of a user; closes it in the end."""
    clients = []

    def make(user, password=None):
        clients.append(deployed.as_user(user, password))
        return clients[-1]

    yield make
    for made in clients:
        made.close()


def test_commits_by_script_and_transaction_survive_a_restart(deployed, client):
    client("mempool").eval(COMMIT, 2, TIP, WRITER, 7)
    with client("wallet").pipeline(transaction=True) as pipe:
        pipe.set(KEY_OF_WALLET, "sealed").set(KEY_OF_WALLET + ":address", "0").execute()
    deployed.stop()
    deployed.start()
    assert client("explorer").hget(TIP, "height") == b"7"
    assert client("wallet").get(KEY_OF_WALLET) == b"sealed"
    assert "CRITICAL" not in (deployed.directory / "log").read_text()


def test_each_service_reads_what_it_needs(client):
    client("mempool").eval(COMMIT, 2, TIP, WRITER, 7)
    for user in ("mempool", "wallet", "explorer"):
        assert client(user).hget(TIP, "height") == b"7"
        assert client(user).info("memory")["maxmemory_policy"] == "noeviction"


@pytest.mark.parametrize("user", ["wallet", "explorer"])
def test_only_the_mempool_user_writes_chain_state(client, user):
    with pytest.raises(NoPermissionError):
        client(user).hset(TIP, "height", 1)
    with pytest.raises(NoPermissionError):
        client(user).eval(COMMIT, 2, TIP, WRITER, 1)
    with pytest.raises(NoPermissionError):
        client(user).delete(WRITER)


@pytest.mark.parametrize("user", ["mempool", "explorer"])
def test_only_the_wallet_user_sees_what_is_the_wallets(client, user):
    client("wallet").set(KEY_OF_WALLET, "sealed")
    with pytest.raises(NoPermissionError):
        client(user).get(KEY_OF_WALLET)
    with pytest.raises(NoPermissionError):
        client(user).eval("return redis.call('GET', KEYS[1])", 1, KEY_OF_WALLET)


@pytest.mark.parametrize("user", list(REDIS_RULES))
@pytest.mark.parametrize("command", ["FLUSHALL", "KEYS *", "CONFIG GET requirepass", "ACL LIST", "SHUTDOWN NOSAVE"])
def test_no_service_may_run_the_server(client, user, command):
    with pytest.raises(NoPermissionError):
        client(user).execute_command(*command.split())


def test_nobody_is_let_in_without_a_password(deployed):
    with redis.Redis(port=deployed.port) as anyone, pytest.raises(AuthenticationError):
        anyone.hget(TIP, "height")
    for user, password in (("default", "any"), ("mempool", "wrong")):
        with deployed.as_user(user, password) as stranger, pytest.raises(AuthenticationError):
            stranger.ping()


def test_the_health_user_may_only_ping(client):
    assert client("health", "any").ping()
    with pytest.raises(NoPermissionError):
        client("health", "any").hget(TIP, "height")


def test_the_operator_backs_up_and_restores_all_that_belongs_to_chains_and_nothing_else(deployed, tmp_path):
    url = f"redis://{{}}:{{}}@127.0.0.1:{deployed.port}/0"
    with connect(url.format("mempool", PASSWORDS["mempool"])) as mempool:
        epoch = Lease(mempool, KEYS).take()
        NodeState(mempool, KEYS, REGTEST).load(epoch)
        mempool.delete(KEYS.writer)
    with connect(url.format("wallet", PASSWORDS["wallet"])) as wallet:
        wallet.set(KEYS.wallet + "record:alice", b"sealed")
    with connect(url.format("operator", PASSWORDS["operator"])) as operator:
        back_up(operator, tmp_path / "backup")
        operator.delete(KEYS.wallet + "record:alice")
        bring_back(operator, tmp_path / "backup", replace=True)
        assert operator.get(KEYS.wallet + "record:alice") == b"sealed"
    with deployed.as_user("operator") as operator:
        for command in (["GET", "other"], ["FLUSHALL"], ["CONFIG", "GET", "*"], ["ACL", "LIST"], ["KEYS", "*"]):
            with pytest.raises(NoPermissionError):
                operator.execute_command(*command)
    with connect(url.format("mempool", PASSWORDS["mempool"])) as mempool:
        assert ChainView(mempool, KEYS).tip().height == 0
