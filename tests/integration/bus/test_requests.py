"""The contract of every broker for requests and replies: this suite runs against RabbitMQ and Redis Streams."""

from __future__ import annotations

import math
import threading
import time

import pytest

from shared.bus.broker import Broker, ReplyAddress, read_deadline
from shared.bus.events import Failure, Message, MineResult, TxVerdicts
from shared.bus.topics import MEMPOOL_TXS
from shared.errors import BrokerUnavailable, RequestFailed, RequestTimeout
from tests.integration.bus.conftest import Backend
from tests.integration.bus.helpers import PATIENCE, answering, numbers, take, tx, until, verdict


def test_a_request_gets_its_reply(backend: Backend) -> None:
    server = backend.connect()
    with answering(server, server.consumer([MEMPOOL_TXS]), limit=1):
        assert backend.connect().request(tx(5), PATIENCE) == verdict(5)


def test_500_pipelined_requests_get_their_replies_in_order(backend: Backend) -> None:
    server = backend.connect()
    with answering(server, server.consumer([MEMPOOL_TXS]), limit=500):
        replies = backend.connect().request_many([tx(n) for n in range(500)], PATIENCE)
    assert replies == [verdict(n) for n in range(500)]


def test_one_thread_waits_for_many_replies(backend: Backend) -> None:
    server, client = backend.connect(), backend.connect()
    consumer = server.consumer([MEMPOOL_TXS])
    until(client.is_connected, "connected")  # else a request waits for the connection first
    asked = {number: client.ask(tx(number), PATIENCE) for number in range(40)}
    waits = {number: request.send(None) for number, request in asked.items()}
    with answering(server, consumer, limit=40):
        for number in reversed(asked):
            waits[number].future.result(PATIENCE)
            with pytest.raises(StopIteration) as end:
                asked[number].send(None)
            assert end.value.value == verdict(number)


def test_a_request_carries_the_time_until_which_it_is_waited_for_and_nothing_else_does(backend: Backend) -> None:
    client = backend.connect()
    consumer = client.consumer([MEMPOOL_TXS])
    client.publish(tx(2))
    asked = client.ask(tx(1), 500.0)
    asked.send(None)  # connected by now, it publishes at once
    deadlines = {number: delivery.deadline for delivery in take(consumer, 2) for number in numbers([delivery])}
    assert 400 < deadlines[1] - time.time() <= 500
    assert deadlines[2] == math.inf
    asked.close()


@pytest.mark.parametrize("sent", [None, "", b"soon", 0, -5, math.inf, math.nan, [7], "1.5"])
def test_a_deadline_that_is_none_is_as_good_as_none(sent: object) -> None:
    assert read_deadline(sent) == math.inf


def test_a_request_given_up_is_forgotten(broker: Broker) -> None:
    broker.consumer([MEMPOOL_TXS])
    broker.publish(tx(2))
    asked = broker.ask(tx(1), PATIENCE)
    asked.send(None)  # connected by now, it publishes at once
    assert broker._box._waiting  # type: ignore[attr-defined]
    asked.close()
    assert not broker._box._waiting  # type: ignore[attr-defined]


def test_requests_of_several_threads_do_not_mix(backend: Backend) -> None:
    server, client = backend.connect(), backend.connect()
    replies: dict[int, TxVerdicts] = {}

    def ask(number: int) -> None:
        replies[number] = client.request(tx(number), PATIENCE)

    askers = [threading.Thread(target=ask, args=(n,)) for n in range(40)]
    with answering(server, server.consumer([MEMPOOL_TXS]), limit=40):
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
    assert replies == {n: verdict(n) for n in range(40)}


def test_a_request_that_nobody_answers_times_out(broker: Broker) -> None:
    broker.consumer([MEMPOOL_TXS])
    broker.publish(tx(0))  # connected
    with pytest.raises(RequestTimeout, match="1 of 1"):
        broker.request(tx(1), 1.0)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Failure(error="tripped over"), "tripped over"),
        (MineResult(hashes=()), r"unexpected reply to tx\.submitted: MineResult"),
        (TxVerdicts(verdicts=()), r"unexpected reply to tx\.submitted: TxVerdicts"),
    ],
    ids=["failure", "another request's", "a verdict too few"],
)
def test_a_reply_that_does_not_fit_its_request_is_an_error(backend: Backend, reply: Message, error: str) -> None:
    server = backend.connect()
    consumer = server.consumer([MEMPOOL_TXS])

    def serve() -> None:
        (delivery,) = take(consumer, 1)
        assert delivery.reply_address is not None
        server.reply_many([(delivery.reply_address, reply)])

    thread = threading.Thread(target=serve)
    thread.start()
    with pytest.raises(RequestFailed, match=error):
        backend.connect().request(tx(1), PATIENCE)
    thread.join()


def test_a_reply_to_a_requester_that_has_gone_is_dropped_with_a_log_line(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    server = backend.connect()
    consumer = server.consumer([MEMPOOL_TXS])
    client = backend.connect()
    with pytest.raises((RequestTimeout, BrokerUnavailable)):  # the latter if it is not even confirmed by then
        client.request(tx(1), 0.2)
    client.close()
    (delivery,) = take(consumer, 1)
    assert delivery.reply_address is not None
    server.reply_many([(delivery.reply_address, TxVerdicts(verdicts=()))])
    server.reply_many([(ReplyAddress("nobody.has.this", "x"), TxVerdicts(verdicts=()))])
    assert server.is_connected()
    assert len([record for record in caplog.records if "the requester has gone" in record.message]) == 2


def test_a_late_reply_does_not_disturb_the_next_request(backend: Backend) -> None:
    server, client = backend.connect(), backend.connect()
    consumer = server.consumer([MEMPOOL_TXS])
    with pytest.raises((RequestTimeout, BrokerUnavailable)):  # the latter if it is not even confirmed by then
        client.request(tx(1), 0.2)
    with answering(server, consumer, limit=2):
        assert client.request(tx(2), PATIENCE) == verdict(2)
