"""What the `rabbit` backend says when something is wrong."""

from __future__ import annotations

import pika.exceptions
import pytest

from shared.bus.events import TxSubmitted
from shared.bus.rabbit import RabbitBroker
from shared.bus.rabbit_link import describe
from shared.errors import BrokerUnavailable
from tests.servers import free_port


class Wrapping(Exception):
    """As pika's: the cause in an attribute."""

    def __init__(self, exception: BaseException) -> None:
        self.exception = exception


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("what happened"), "what happened"),
        (TimeoutError(), "TimeoutError"),
        (Exception(ValueError("the cause")), "the cause"),
        (Wrapping(Wrapping(OSError("the cause"))), "the cause"),
        (pika.exceptions.ConnectionClosedByBroker(320, "CONNECTION_FORCED"), "320 CONNECTION_FORCED"),
        (Exception(pika.exceptions.ConnectionClosedByBroker(403, "ACCESS_REFUSED")), "403 ACCESS_REFUSED"),
    ],
)
def test_an_error_is_told_by_its_cause(error: BaseException, words: str) -> None:
    assert describe(error) == words


def test_what_is_published_after_closing_is_refused_with_the_reason() -> None:
    broker = RabbitBroker(f"amqp://127.0.0.1:{free_port()}/", patience=0.05)
    with pytest.raises(BrokerUnavailable):
        broker.publish(TxSubmitted(txs=("00",)))
    broker.close()
    with pytest.raises(BrokerUnavailable, match="the bus is closed"):
        broker.publish(TxSubmitted(txs=("00",)))
