"""RabbitMQ as deployed: each user tries everything by every exchange. What it may do is written out here once more."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pika
import pytest

from deploy.processes.process import wait_until
from deploy.setup import topology
from deploy.setup.access import OPERATOR, TOPOLOGY, VHOST, rabbitmq_definitions, rabbitmq_policies
from deploy.setup.environment import ROOT
from shared.bus.rabbit.topology import EXCHANGES, QUEUES
from tests.conftest import run_server
from tests.integration.deploy.rabbitmq_users import (
    ALL_EXCHANGES,
    DEFAULT,
    DURABLE,
    GUEST,
    PASSWORDS,
    PREDECLARED,
    RIG,
    USERS,
    User,
    routing_keys,
)
from tests.servers import rabbitmq_server

pytestmark = [pytest.mark.rabbitmq, pytest.mark.timeout(300)]

FACTS = {"tx.accepted", "tx.removed", "block.connected", "block.disconnected"}
ARRIVES = {
    "mempool": FACTS
    | {"tx.rejected", "block.template", "work.ended", "tx.submitted", "block.mined", "mine.requested", "chain.control"}
    | {"template.requested", "wallets.requested"},
    "wallet": {"tx.submitted", "mine.requested"},
    "explorer": {"tx.submitted", "mine.requested", "template.requested", "coins.requested", "address.requested"}
    | {"wallets.requested"},
    "miner": {"block.mined", "miner.report"},
    RIG: {"block.mined", "miner.report"},
    GUEST: {"tx.submitted"},
}
"""User → topics that get from it to the common exchange, whatever else it publishes."""
HEARS = {
    "mempool": {"miner.report"},
    "explorer": FACTS,
    "miner": {"block.template", "work.ended"},
    RIG: {"block.template", "work.ended"},
    GUEST: FACTS | {"tx.rejected"},
}
READS = {"mempool": {"mempool.blocks", "mempool.txs"}, "wallet": {"wallet.inbox", "wallet.requests", "wallet.names"}}
ASK = {"mempool", "wallet", "explorer", GUEST}
ANSWER = {"mempool", "wallet"}


def outlet_of(user: str) -> str:
    return {GUEST: "from.guests", RIG: "from.miner"}.get(user, f"from.{user}")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A RabbitMQ with the users, rights and policies of compose.yaml, and those added that the manual says."""
    for server in run_server(rabbitmq_server):
        server.define(json.dumps(rabbitmq_definitions(PASSWORDS)))
        for policy in rabbitmq_policies():
            arguments = [policy["name"], policy["pattern"], json.dumps(policy["definition"])]
            server.control("set_policy", "-p", VHOST, "--apply-to", "queues", *arguments)
        for name, options in ((GUEST, []), (RIG, ["--miner"])):
            command = [sys.executable, "-m", "deploy.setup.guest", name, *options]
            added = subprocess.run(command, cwd=ROOT, input=PASSWORDS[name], capture_output=True, text=True, check=True)
            server.define(added.stdout)
        found = urlsplit(server.url).port
        assert found is not None
        assert wait_until(lambda found=found: knows_all_users(found), 60)  # RabbitMQ imports at its leisure
        topology.make(f"amqp://{TOPOLOGY}:{PASSWORDS[TOPOLOGY]}@127.0.0.1:{found}/{VHOST}")
        yield found


def knows_all_users(port: int) -> bool:
    try:
        for name in (*USERS, OPERATOR, TOPOLOGY):
            User(name, port).connection.close()
    except pika.exceptions.AMQPError:
        return False
    return True


@pytest.fixture(scope="module")
def everybody(port: int) -> Iterator[dict[str, User]]:
    with contextlib.ExitStack() as stack:
        users = {name: User(name, port) for name in (*USERS, OPERATOR)}
        for user in users.values():
            stack.callback(user.connection.close)
        yield users


@pytest.fixture
def operator(everybody: dict[str, User]) -> User:
    """The operator, after all durable queues were emptied."""
    for queue in DURABLE:
        assert everybody[OPERATOR].may(lambda channel, queue=queue: channel.queue_purge(queue))
    return everybody[OPERATOR]


@pytest.fixture(params=USERS)
def user(request: pytest.FixtureRequest, everybody: dict[str, User]) -> User:
    return everybody[request.param]


@pytest.fixture
def others(user: User, everybody: dict[str, User]) -> list[str]:
    """Queues of other users' processes, which are running."""
    return [everybody[name].queue for name in USERS if name != user.name]


@pytest.fixture
def keys(everybody: dict[str, User]) -> list[str]:
    return routing_keys([everybody[name] for name in USERS])


# ── publishing ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_user_publishes_to_its_own_exchange_and_whoever_answers_to_requesters(user: User, keys: list[str]) -> None:
    allowed = {(exchange, key) for exchange in ALL_EXCHANGES for key in keys if user.may_publish(exchange, key)}
    own = {(outlet_of(user.name), key) for key in keys}
    replies = {("warren.replies", key) for key in keys if re.fullmatch(r"[a-z-]+\.[0-9a-f]{32}", key)}
    assert allowed == (own | replies if user.name in ANSWER else own)


def queued(operator: User) -> dict[str, int]:
    """How many messages each durable queue has, where there are any."""
    counts = {}
    for queue in DURABLE:
        channel = operator.connection.channel()
        while channel.basic_get(queue, auto_ack=True)[0] is not None:
            counts[queue] = counts.get(queue, 0) + 1
        channel.close()
    return counts


def wanted(topics: set[str], dead: str) -> dict[str, int]:
    """How many messages each durable queue gets if one of each topic arrives, and one dead letter of a service."""
    of_services = [queue for queue in QUEUES if queue.exchange == "warren.events"]
    counts = {queue.name: len(topics & set(queue.routing_keys)) for queue in of_services}
    counts |= {f"dead.{'miner' if dead == RIG else dead}": 1} if dead != GUEST else {}
    return {name: count for name, count in counts.items() if count}


def test_only_its_topics_and_its_dead_letters_get_through(user: User, operator: User, keys: list[str]) -> None:
    for key in keys:
        user.may_publish(outlet_of(user.name), key)
    assert queued(operator) == wanted(ARRIVES[user.name], user.name)


def test_no_detour_by_an_exchange_of_its_own_leads_further(user: User, operator: User, keys: list[str]) -> None:
    """Nothing keeps a user from an exchange that has the name of its queues: no topic permission is asked for there."""
    for kind in ("topic", "fanout"):
        own = user.queue[:-4] + kind[:1].encode().hex().zfill(4)
        assert user.may(lambda channel, own=own, kind=kind: channel.exchange_declare(own, kind, auto_delete=True))
        reached = [exchange for exchange in ALL_EXCHANGES if user.may_bind_exchange(exchange, own, "#")]
        assert reached == [*(["warren.replies"] if user.name in ANSWER else []), outlet_of(user.name)]
        for key in keys:
            assert user.may_publish(own, key)
        assert queued(operator) == wanted(ARRIVES[user.name], user.name)
        user.may(lambda channel, own=own: channel.exchange_delete(own))


@pytest.mark.parametrize("argument", ["x-dead-letter-exchange", "alternate-exchange"])
def test_no_detour_by_dead_letters_or_an_alternate_exchange_leads_further(user: User, argument: str) -> None:
    own = user.queue[:-4] + "abcd"
    reached = []
    for exchange in ALL_EXCHANGES:
        arguments = {argument: exchange or "amq.default"}
        if argument == "alternate-exchange":
            allowed = user.may(lambda c, a=arguments: c.exchange_declare(own, "fanout", auto_delete=True, arguments=a))
            user.may(lambda channel: channel.exchange_delete(own))
        else:
            allowed = user.may(lambda c, a=arguments: c.queue_declare(own, exclusive=True, arguments=a))
            user.may(lambda channel: channel.queue_delete(own))
        reached += [exchange] * allowed
    assert reached == [*(["warren.replies"] if user.name in ANSWER else []), outlet_of(user.name)]


# ── binding ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_user_binds_its_own_queue_to_its_facts_and_its_replies(user: User, keys: list[str]) -> None:
    allowed = {
        (exchange, key) for exchange in ALL_EXCHANGES for key in keys if user.may_bind(user.queue, exchange, key)
    }
    facts = {("warren.events", topic) for topic in HEARS.get(user.name, set())}
    assert allowed == facts | ({("warren.replies", user.queue)} if user.name in ASK else set())


def test_nobody_binds_or_unbinds_the_queue_of_another(user: User, others: list[str]) -> None:
    for queue in (*others, *DURABLE):
        for exchange in ALL_EXCHANGES:
            for key in ("#", "chain.control", user.queue):
                assert not user.may_bind(queue, exchange, key), (queue, exchange, key)
    for queue in QUEUES:
        for key in queue.routing_keys:
            unbound = user.may(lambda channel, q=queue, key=key: channel.queue_unbind(q.name, q.exchange, key))
            assert not unbound, (queue, key)


def test_a_bond_between_exchanges_brings_a_user_nothing(user: User, keys: list[str], operator: User) -> None:
    """RabbitMQ refuses all bonds but those between what a user may write to and what it may read with this key."""
    may_hear = {("warren.events", topic) for topic in HEARS.get(user.name, set())}
    may_hear |= {("warren.replies", user.queue)} if user.name in ASK else set()
    writable = {outlet_of(user.name)} | ({"warren.replies"} if user.name in ANSWER else set())
    tried = {"#", "chain.control", "block.mined", user.name, *(key for _, key in may_hear)}
    bonds = {
        (destination, source, key)
        for destination in ALL_EXCHANGES
        for source in ALL_EXCHANGES
        for key in tried
        if user.may_bind_exchange(destination, source, key)
    }
    assert bonds == {(destination, source, key) for destination in writable for source, key in may_hear}
    for key in keys:
        operator.may_publish("warren.events", key)
    assert queued(operator) == wanted(set(keys), GUEST)
    for destination, source, key in bonds:
        assert user.may(lambda channel, d=destination, s=source, k=key: channel.exchange_unbind(d, s, k))
    for destination in ("warren.events", "warren.dead"):
        assert not user.may(lambda c, d=destination: c.exchange_unbind(d, outlet_of(user.name), "block.mined"))


# ── declaring, deleting, purging, reading ───────────────────────────────────────────────────────────────────────


def test_a_user_declares_and_deletes_nothing_but_what_has_the_name_of_its_queues(user: User, others: list[str]) -> None:
    foreign = ["evil", "evil." + "0" * 32, f"{user.name}.short", f"{user.name}.{'0' * 33}", f"x{user.queue}", *others]
    for name in (*foreign, *DURABLE, *(f"dead.{u}" for u in USERS if u not in PASSWORDS)):
        arguments = {q.name: dict(q.arguments) for q in QUEUES}.get(name, {})
        assert not user.may(lambda c, n=name, a=arguments: c.queue_declare(n, durable=True, arguments=a)), name
        assert not user.may(lambda channel, name=name: channel.queue_delete(name)), name
    for name in (*foreign[:5], *EXCHANGES, *PREDECLARED[1:], "amq.evil"):
        kind = name.removeprefix("amq.").replace("match", "headers") if name in PREDECLARED else "topic"
        assert not user.may(lambda c, n=name, k=kind: c.exchange_declare(n, k, durable=True)), name
        assert not user.may(lambda channel, name=name: channel.exchange_delete(name)), name
    assert not user.may(lambda channel: channel.queue_declare("", exclusive=True)), "a name of RabbitMQ's choice"


def test_a_user_reads_and_purges_the_queues_of_its_service_only(user: User, others: list[str]) -> None:
    own = {user.queue, *READS.get(user.name, set())}
    readable = {queue for queue in (*DURABLE, *others, user.queue) if user.may_read(queue)}
    assert readable == own
    assert not any(queue.startswith("dead.") for queue in readable)
    for queue in (*DURABLE, *others):
        assert user.may(lambda channel, queue=queue: channel.queue_purge(queue)) == (queue in own)


def test_nobody_gets_at_another_virtual_host(port: int, user: User) -> None:
    credentials = pika.PlainCredentials(user.name, PASSWORDS[user.name])
    with pytest.raises(pika.exceptions.AMQPConnectionError):
        pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, "/", credentials))


# ── what the manual says ────────────────────────────────────────────────────────────────────────────────────────


def test_the_manual_has_the_table_of_what_was_allowed(everybody: dict[str, User], operator: User) -> None:
    """It is made of what RabbitMQ lets pass."""
    keys = routing_keys([everybody[name] for name in USERS])
    lines = []
    for name in USERS:
        user = everybody[name]
        with listening(operator) as arrived:
            for key in keys:
                user.may_publish(outlet_of(name), key)
        heard = [key for key in keys if user.may_bind(user.queue, "warren.events", key)]
        replies = "yes" if user.may_publish("warren.replies", everybody["explorer"].queue) else "no"
        read = [queue for queue in DURABLE if user.may_read(queue)]
        lines.append(f"| {name} | {listed(arrived)} | {replies} | {listed(read)} | {listed(heard)} |")
    table = "\n".join(lines)
    print(table)
    print("refused:", {name: everybody[name].refusals for name in USERS})
    manual = (Path(ROOT) / "docs" / "deployment.md").read_text(encoding="utf-8")
    assert table.replace(GUEST, "a guest").replace(RIG, "a miner elsewhere") in manual


@contextlib.contextmanager
def listening(operator: User) -> Iterator[list[str]]:
    """Yield a list to which the end of the block adds the topics of what has reached the common exchange."""
    channel = operator.connection.channel()
    copy = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(copy, "warren.events", "#")
    found: list[str] = []
    yield found
    while (got := channel.basic_get(copy, auto_ack=True))[0] is not None:
        found.append(got[1].type)
    channel.close()


def listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "nothing"


def test_the_default_exchange_is_refused_to_all(user: User) -> None:
    for queue in DURABLE:
        assert not user.may_publish(DEFAULT, queue)
