"""`./warren dead` as a person and a program use it, on both brokers."""

from __future__ import annotations

import json

import pytest

from deploy import cli
from shared.bus.broker import Broker
from shared.bus.events import BlockConnected
from shared.bus.rabbit.broker import RabbitBroker
from shared.bus.redis_streams.broker import RedisStreamsBroker
from shared.bus.topics import MEMPOOL_TXS, WALLET_INBOX
from tests.integration.bus.conftest import BACKENDS
from tests.integration.bus.helpers import PATIENCE, tx

ESCAPE = "\x1b[2J"


@pytest.fixture(params=BACKENDS)
def place(request, tmp_path):
    """The options that name the broker, and a broker with two dead letters of the mempool and one of the wallet."""
    is_rabbit = request.param == "rabbit"
    request.getfixturevalue("rabbitmq" if is_rabbit else "redis")
    url = request.getfixturevalue("amqp_url" if is_rabbit else "redis_url")
    broker: Broker = RabbitBroker(url) if is_rabbit else RedisStreamsBroker(url, prefix="warren-bus:regtest")
    for queue, reason in ((MEMPOOL_TXS, "its handler keeps failing"), (WALLET_INBOX, f"not JSON{ESCAPE}")):
        consumer = broker.consumer([queue])
        if queue is MEMPOOL_TXS:
            broker.publish_many([tx(1), tx(2)])
        else:
            broker.publish(BlockConnected(hash="00" * 32, height=1, time=1, tx_count=1))
        taken = consumer.receive(10, PATIENCE)
        while queue is MEMPOOL_TXS and len(taken) < 2:
            taken += consumer.receive(10, PATIENCE)
        consumer.dead_letter(taken, reason)
        consumer.close()
    broker.close()
    return ["--data-dir", str(tmp_path), "--amqp-url" if is_rabbit else "--redis-url", url]


def warren(capsys, *arguments: str) -> tuple[int, str, str]:
    status = cli.main(["dead", *arguments], {})
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def listed(capsys, place, *options: str, count: int) -> list[dict]:
    """The list for programs; RabbitMQ gives messages back a moment after the last reader has closed."""
    for _ in range(2_000):
        status, out, _ = warren(capsys, "list", "--json", *options, *place)
        assert status == 0
        letters = json.loads(out)
        if len(letters) == count:
            return letters
    raise AssertionError(letters)


def test_a_person_lists_shows_gives_back_and_removes(capsys, place):
    letters = listed(capsys, place, count=3)
    assert [letter["service"] for letter in letters] == ["mempool", "mempool", "wallet"]
    assert letters[0]["body"] == {"txs": ["00000001"]}
    assert letters[0]["queue"] == "mempool.txs"
    assert len(listed(capsys, place, "--service", "wallet", count=1)) == 1
    assert len(listed(capsys, place, "--topic", "tx.submitted", count=2)) == 2
    listed(capsys, place, count=3)
    status, out, _ = warren(capsys, "list", *place)
    assert status == 0
    lines = out.splitlines()
    assert [line[:14].strip() for line in lines] == ["id", *(letter["id"] for letter in letters)]
    assert "its handler keeps failing" in lines[1]
    assert ESCAPE not in out, "a terminal does not obey texts of others"

    listed(capsys, place, count=3)
    status, out, _ = warren(capsys, "show", letters[2]["id"], *place)
    assert status == 0
    assert "queue:       wallet.inbox\n" in out
    assert '"height": 1' in out
    assert ESCAPE not in out

    listed(capsys, place, count=3)
    assert warren(capsys, "replay", letters[1]["id"], *place) == (0, "given back: 1 message\n", "")
    listed(capsys, place, count=2)
    status, out, err = warren(capsys, "replay", letters[1]["id"], *place)
    assert (status, err) == (1, f"warren: no dead letter {letters[1]['id']} (see `warren dead list`)\n")
    listed(capsys, place, count=2)
    assert warren(capsys, "purge", "--service", "wallet", *place) == (0, "removed: 1 message\n", "")
    listed(capsys, place, count=1)
    assert warren(capsys, "replay", "--all", *place)[:2] == (0, "given back: 1 message\n")
    assert warren(capsys, "list", *place) == (0, "no dead letters\n", "")


def test_nothing_is_removed_or_given_back_by_a_slip_of_the_hand(capsys, place):
    for action in ("replay", "purge"):
        status, out, err = warren(capsys, action, *place)
        assert (status, out) == (2, "")
        assert err == f"warren: dead {action} needs IDs, --service, --topic or --all\n"
    assert warren(capsys, "remove", *place)[0] == 2
    assert len(listed(capsys, place, count=3)) == 3


def test_where_no_stack_runs_the_broker_must_be_named(capsys, tmp_path):
    status, _, err = warren(capsys, "list", "--broker", "rabbitmq", "--data-dir", str(tmp_path))
    assert (status, err) == (1, f"warren: no stack runs on {tmp_path}: --amqp-url names the broker\n")
    status, _, err = warren(capsys, "list", "--data-dir", str(tmp_path / "none"))
    assert (status, err) == (1, f"warren: there is no chain regtest in {tmp_path / 'none'}\n")
