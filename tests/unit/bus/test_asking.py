"""Asking a RabbitMQ that is away: the caller's thread is free at once, and told in time."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from shared.bus.events import TxSubmitted
from shared.bus.rabbit.broker import RabbitBroker
from shared.errors import BrokerUnavailable
from shared.process import waiting
from tests.servers import free_port

PATIENCE = 20.0


@pytest.fixture
def url() -> str:
    return f"amqp://guest:guest@127.0.0.1:{free_port()}/%2F"


@pytest.fixture
def broker(url: str) -> Iterator[RabbitBroker]:
    broker = RabbitBroker(url, patience=PATIENCE)
    yield broker
    broker.close()


def test_a_request_to_a_broker_that_is_away_leaves_its_thread_at_once(broker: RabbitBroker) -> None:
    began = time.monotonic()
    requests = [broker.ask(TxSubmitted(txs=("00",)), PATIENCE) for _ in range(50)]
    waits = [request.send(None) for request in requests]
    assert time.monotonic() - began < PATIENCE / 2
    assert all(0 < wait.seconds <= PATIENCE for wait in waits)
    for request in requests:
        request.close()


def test_those_that_wait_for_the_broker_are_told_when_it_is_closed(broker: RabbitBroker) -> None:
    request = broker.ask(TxSubmitted(txs=("00",)), PATIENCE)
    wait = request.send(None)
    began = time.monotonic()
    broker.close()
    while True:
        wait.future.result(PATIENCE)
        try:
            wait = request.send(None)
        except BrokerUnavailable:
            break
    assert time.monotonic() - began < PATIENCE / 2


def test_patience_with_a_broker_that_is_away_has_an_end(url: str) -> None:
    broker = RabbitBroker(url, patience=0.1)
    with pytest.raises(BrokerUnavailable):
        waiting.run(broker.ask(TxSubmitted(txs=("00",)), PATIENCE))
    broker.close()
