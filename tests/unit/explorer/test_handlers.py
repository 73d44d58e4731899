from unittest.mock import Mock

import pytest

from services.explorer.handlers import FEED_LENGTH, Feed, handlers, subscription
from services.explorer.hub import EventHub
from shared.bus.events import BlockConnected, BlockDisconnected, Removal, TxAccepted, TxRemoved
from shared.bus.topics import FACTS
from shared.bus.worker import Worker
from shared.shutdown import ExitFlag
from tests.unit.bus.fake_broker import FakeBroker

HUB = Mock(EventHub)
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
    assert set(handlers(Feed(), HUB)) == {type(fact) for fact in ALL_FACTS}


def test_facts_reach_the_feed_from_the_broker():
    broker, feed = FakeBroker(), Feed(clock=lambda: 123.0)
    queue = subscription()
    worker = Worker(broker, broker.consumer([queue]), handlers(feed, HUB), name="explorer", stop=ExitFlag())
    broker.publish_many(ALL_FACTS)
    while broker.backlog(queue):
        worker.run_once()
    assert [item.fact for item in feed.last()] == ALL_FACTS
    assert {item.heard for item in feed.last()} == {123.0}
    assert feed.seq == 4
    assert broker.dead == []


@pytest.mark.parametrize("fact", ALL_FACTS)
def test_a_fact_that_comes_twice_counts_once(fact):
    feed = Feed()
    feed.hear(fact)
    feed.hear(fact)
    assert len(feed.last()) == 1


def test_only_the_last_facts_are_kept():
    feed = Feed()
    for seq in range(1, FEED_LENGTH + 11):
        feed.hear(TxRemoved(seq=seq, txid="aa" * 32, why=Removal.MINED))
    assert [item.fact.seq for item in feed.last()] == list(range(11, FEED_LENGTH + 11))
