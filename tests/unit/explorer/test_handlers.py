import logging
from unittest.mock import Mock

import pytest

from services.explorer.handlers import handlers, subscription
from services.explorer.live.event_hub import EventHub
from shared import trace
from shared.bus.events import BlockConnected, BlockDisconnected, Removal, TxAccepted, TxRemoved
from shared.bus.topics import FACTS
from shared.bus.worker import Incoming, Worker
from shared.process.shutdown import ExitFlag
from tests.unit.bus.fake_broker import FakeBroker

ALL_FACTS = [
    TxAccepted(seq=1, txid="aa" * 32, wtxid="aa" * 32, fee=1, vsize=100),
    TxRemoved(seq=2, txid="aa" * 32, why=Removal.MINED),
    BlockConnected(seq=3, hash="bb" * 32, height=1, time=2, tx_count=3),
    BlockDisconnected(seq=4, hash="bb" * 32, height=1, time=2, tx_count=3),
]


def test_the_subscription_takes_every_fact_in_a_queue_of_its_own():
    queue = subscription()
    assert set(queue.topics) == set(FACTS)
    assert not queue.durable
    assert queue.name != subscription().name


def test_every_fact_has_a_handler():
    assert set(handlers(Mock(EventHub))) == {type(fact) for fact in ALL_FACTS}


def test_facts_from_the_broker_make_the_hub_look():
    broker, hub = FakeBroker(), Mock(EventHub)
    queue = subscription()
    worker = Worker(broker, broker.consumer([queue]), handlers(hub), name="explorer", stop=ExitFlag())
    broker.publish_many(ALL_FACTS)
    while broker.backlog(queue):
        worker.run_once()
    hub.wake.assert_called()
    assert broker.dead == []


def test_blocks_are_logged_and_transactions_where_the_client_asked_for_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sampled, other = f"00-{'1' * 32}-{'a' * 16}-01", trace.new()
    hear = handlers(Mock(EventHub))[TxAccepted]
    hear([Incoming(fact, "", None, traceparent) for fact in ALL_FACTS for traceparent in (other, sampled)])
    assert [record.getMessage() for record in caplog.records] == [
        *("heard tx.accepted", "heard tx.removed"),
        *["heard block.connected"] * 2,
        *["heard block.disconnected"] * 2,
    ]
    assert caplog.records[0].fields == {"seq": 1, "txid": "aa" * 32}
    assert caplog.records[2].fields == {"seq": 3, "hash": "bb" * 32, "height": 1}
