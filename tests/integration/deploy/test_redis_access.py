"""The deployed server: every user can reach its own keys only, and all commits are there after a restart."""

import pytest
import redis
from redis.exceptions import AuthenticationError, NoPermissionError

from deploy.setup.access import REDIS_RULES
from services.mempool.state import NodeState
from shared.chain.lease import Lease
from shared.chain.store import connect
from shared.chain.view import ChainView
from shared.consensus.params import REGTEST
from tests.integration.deploy.backups import KEYS, back_up, bring_back
from tests.integration.deploy.deployed_redis import PASSWORDS, DeployedRedis
from tests.servers import servers

pytestmark = pytest.mark.redis

TIP, WRITER, KEY_OF_WALLET = "{warren:regtest}:tip", "{warren:regtest}:writer", "{warren:regtest}:wallet:creator"
COMMIT = "redis.call('HSET', KEYS[1], 'height', ARGV[1]) redis.call('SET', KEYS[2], 'me')"


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


# ── everything that tells of other users' keys ──────────────────────────────────────────────────────────────────

FOREIGN = {
    "mempool": [KEY_OF_WALLET],
    "wallet": [WRITER, "other"],
    "explorer": [KEY_OF_WALLET, WRITER, "other"],
    "health": [TIP, KEY_OF_WALLET, WRITER, "other"],
}
"""User → keys that it may not even know of."""
REFUSALS = ("ACL failure", "user executing the script can't", "DEBUG command not allowed")
STOLEN = "{warren:regtest}:stolen"
BY_KEY = (
    *("EXISTS", "TYPE", "TTL", "DUMP", "TOUCH", "STRLEN", "GET", "GETDEL", "HGETALL", "HSCAN 0", "OBJECT|ENCODING"),
    *(
        "MEMORY|USAGE",
        "XINFO|STREAM",
        "WATCH",
        "SORT",
        "SORT_RO",
        f"COPY {STOLEN}",
        f"RENAME {STOLEN}",
        "DEL",
        "UNLINK",
    ),
    *("PERSIST", "EXPIRE 1", "SET 1", "APPEND 1", "XADD * a b", "XTRIM MAXLEN 0", "SMEMBERS"),
)
"""Commands with the key's place after the first word."""
OF_ALL_KEYS = (
    *("KEYS *", "SCAN 0", "RANDOMKEY", "DBSIZE", "FLUSHALL", "FLUSHDB", "SWAPDB 0 1", "MONITOR", "SAVE", "BGSAVE"),
    *(
        "BGREWRITEAOF",
        "SHUTDOWN NOSAVE",
        "DEBUG JMAP",
        "CONFIG GET *",
        "CONFIG SET maxmemory 1",
        "ACL LIST",
        "ACL USERS",
    ),
    *("ACL LOAD", "CLIENT LIST", "CLIENT KILL TYPE normal", "SLOWLOG GET", "LATENCY LATEST", "REPLICAOF NO ONE"),
    *("FAILOVER", "MODULE LIST", "FUNCTION LIST", "FUNCTION FLUSH", "PUBSUB CHANNELS", "PUBLISH c m", "SUBSCRIBE c"),
)


@pytest.mark.parametrize("user", list(FOREIGN))
def test_a_user_learns_and_changes_nothing_of_other_users_keys(client, user):
    client("wallet").set(KEY_OF_WALLET, "sealed")
    client("mempool").set(WRITER, "me")
    tried = [command.split() for command in OF_ALL_KEYS]
    for key in FOREIGN[user]:
        for command in BY_KEY:
            first, *more = command.split()
            tried.append([*first.split("|"), key, *more])
        for script in ("return redis.call('GET', ARGV[1])", "return redis.call('SET', ARGV[1], 1)"):
            tried += [["EVAL", script, "0", key], ["EVAL", script, "1", key, key]]
    session = client(user, "any" if user == "health" else None)
    assert [command for command in tried if may(session, command)] == []


def may(session, command):
    """Whether a command is let through."""
    try:
        session.execute_command(*command)
    except NoPermissionError:
        return False
    except redis.ResponseError as error:
        if not any(
            words in str(error) for words in ("ACL failure", "user executing the script can't", "DEBUG command")
        ):
            raise
        return False
    return True
