"""Messages of the last version and of the next one, handled side by side on both backends."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import ClassVar

import msgspec
import pytest

from shared.bus import events
from shared.bus.broker import Broker
from shared.bus.events import Message, Request, TxAccepted, TxSubmitted, TxVerdict, TxVerdicts
from shared.bus.topics import MEMPOOL_TXS, Topic, transient_queue
from shared.bus.worker import Incoming, Worker
from shared.process.shutdown import ExitFlag
from tests.integration.bus.conftest import Backend
from tests.integration.bus.helpers import PATIENCE, take


class LastTxSubmitted(Request[TxVerdicts], frozen=True, kw_only=True):
    """As it was before any of its optional fields was added."""

    topic: ClassVar[Topic] = Topic.TX_SUBMITTED
    txs: tuple[str, ...]


class NextTxSubmitted(TxSubmitted, frozen=True, kw_only=True):
    """As it may be one day: with a field, and a part, that nobody knows yet."""

    urgency: int = 0
    sender: tuple[str, ...] = ()

    @classmethod
    def reply_type(cls) -> type[TxVerdicts]:
        return TxVerdicts


class NextTxAccepted(TxAccepted, frozen=True, kw_only=True):
    weight: int = 0


class NextTxVerdict(TxVerdict, frozen=True, kw_only=True):
    position: int = 0


def next_verdicts(*verdicts: TxVerdict) -> Message:
    """A reply of the next version, which has the name that it has today."""

    class TxVerdicts(events.TxVerdicts, frozen=True, kw_only=True):
        took_seconds: float = 0.0

    return TxVerdicts(verdicts=verdicts, took_seconds=0.5)


class Service:
    """The mempool's part: a worker of this version, which replies as one of the next version would."""

    def __init__(self, broker: Broker) -> None:
        self.handled: list[TxSubmitted] = []
        self._stop = ExitFlag()
        consumer = broker.consumer([MEMPOOL_TXS])
        worker = Worker(broker, consumer, {TxSubmitted: self._handle}, name="test", stop=self._stop)
        self._thread = threading.Thread(target=worker.run)

    def _handle(self, batch: Sequence[Incoming[TxSubmitted]]) -> Sequence[Message]:
        self.handled += [incoming.message for incoming in batch]
        return [
            next_verdicts(NextTxVerdict(txid=raw, wtxid="", accepted=True, position=5))
            for incoming in batch
            for raw in incoming.message.txs
        ]

    def __enter__(self) -> Service:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


@pytest.mark.parametrize(
    "request_",
    [
        LastTxSubmitted(txs=("aa",)),
        TxSubmitted(txs=("aa",)),
        NextTxSubmitted(txs=("aa",), urgency=3, sender=("a", "b")),
    ],
    ids=["last", "this", "next"],
)
def test_a_request_of_any_version_is_handled_and_answered(backend: Backend, request_: Request[TxVerdicts]) -> None:
    with Service(backend.connect()) as service:
        reply = backend.connect().request(request_, PATIENCE)
    assert service.handled == [TxSubmitted(txs=("aa",))]
    assert reply == TxVerdicts(verdicts=(TxVerdict(txid="aa", wtxid="", accepted=True),))


def test_a_fact_of_the_next_version_is_heard_among_those_of_this_one(broker: Broker) -> None:
    consumer = broker.consumer([transient_queue("page", Topic.TX_ACCEPTED)])
    now = TxAccepted(seq=1, txid="aa", wtxid="bb", fee=1, vsize=1)
    later = NextTxAccepted(seq=2, txid="cc", wtxid="dd", fee=2, vsize=2, weight=8)
    broker.publish_many([now, later, now])
    deliveries = take(consumer, 3)
    assert b'"weight":8' in deliveries[1].body
    known = TxAccepted(seq=2, txid="cc", wtxid="dd", fee=2, vsize=2)
    assert [events.decode(d.type, d.body) for d in deliveries] == [now, known, now]


def test_a_program_of_the_last_version_reads_a_request_of_this_one(broker: Broker) -> None:
    consumer = broker.consumer([MEMPOOL_TXS])
    broker.publish(TxSubmitted(txs=("aa",), max_feerate=7))
    (delivery,) = take(consumer, 1)
    assert msgspec.json.decode(delivery.body, type=LastTxSubmitted) == LastTxSubmitted(txs=("aa",))
