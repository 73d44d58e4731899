"""A node with a short chain in memory, and a client that calls it as bitcoin-cli would."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from services.mempool.mining import gbt
from services.mempool.rpc.app import create_rpc_app
from services.mempool.rpc.server.auth import Credentials
from shared.bus.events import BlockMined, TxSubmitted, TxVerdict, TxVerdicts, WorkTemplate
from shared.chain.codec import PoolEntry
from shared.chain.commit import PoolRecord
from shared.config import Settings
from shared.consensus.params import REGTEST
from shared.pool.graph import Graph
from shared.primitives.block import Block
from shared.primitives.transaction import Transaction
from shared.process.shutdown import ExitFlag
from tests import builders
from tests.unit.bus.fake_broker import FakeBroker
from tests.unit.consensus.builders import Headers
from tests.unit.rpc.memory_view import MemoryView

USER, PASSWORD = "alice", "correct horse: battery"

ALICE = builders.key("alice")
BOB = builders.key("bob")


@dataclass
class Rpc:
    """Calls methods over HTTP; numbers come back as they were written."""

    client: FlaskClient
    password: str = field(default=PASSWORD, repr=False)

    def post(self, body: object, **headers: str) -> TestResponse:
        """Send a body: bytes as they are, anything else as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        token = b64encode(f"{USER}:{self.password}".encode()).decode()
        return self.client.post("/", data=data, headers={"Authorization": f"Basic {token}", **headers})

    def reply(self, method: str, *params: object) -> dict[str, Any]:
        """Return the reply object of a legacy call."""
        return parse(self.post({"method": method, "params": list(params), "id": 7}).data)

    def call(self, method: str, *params: object) -> Any:
        """Return the result of a call that succeeds."""
        reply = self.reply(method, *params)
        assert reply["error"] is None, reply["error"]
        return reply["result"]

    def error(self, method: str, *params: object) -> tuple[int, str]:
        """Return code and message of a call that fails."""
        reply = self.reply(method, *params)
        assert reply["result"] is None
        return reply["error"]["code"], reply["error"]["message"]


def parse(data: bytes) -> Any:
    """Return a JSON body, numbers with a point as `Decimal` with all their digits."""
    return json.loads(data, parse_float=Decimal)


@dataclass
class Chain:
    """Genesis, three blocks for alice; the last one holds a payment of the first one's reward to bob."""

    blocks: list[Block]
    payment: Transaction
    view: MemoryView


FEE = 1_234


@pytest.fixture
def chain() -> Chain:
    view = MemoryView()
    blocks = [REGTEST.genesis]
    for height in (1, 2):
        blocks.append(builders.make_block(blocks[-1].header, height, builders.p2wpkh(ALICE)))
        view.connect(blocks[-1])
    coin = builders.output_of(blocks[1].transactions[0], 0, ALICE)
    payment = builders.pay(coin, BOB, 1_000_000_000, FEE)
    blocks.append(builders.make_block(blocks[-1].header, 3, builders.p2wpkh(ALICE), [payment], fees=FEE))
    view.connect(blocks[-1])
    return Chain(blocks, payment, view)


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    """A broker that looks, in the end, whether all submissions carried what they are, parsed."""
    broker = FakeBroker()
    yield broker
    for message in broker.published:
        if isinstance(message, TxSubmitted):
            assert tuple(tx.serialize().hex() for tx in message.parsed) == message.txs
        if isinstance(message, BlockMined):
            assert message.parsed.serialize().hex() == message.block


@pytest.fixture
def stopping() -> ExitFlag:
    return ExitFlag()


@pytest.fixture
def app(chain: Chain, broker: FakeBroker, stopping: ExitFlag) -> Flask:
    return create_rpc_app(
        Settings(),
        REGTEST,
        chain.view,
        broker,
        Credentials(USER, PASSWORD),
        {"broker": broker.trouble},
        stopping,
    )


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def rpc(client: FlaskClient) -> Rpc:
    return Rpc(client)


def work_on(chain: Chain, txs: Sequence[Transaction] = ()) -> WorkTemplate:
    """Return a template of the writer's for the block above the chain, with these transactions that pay no fee."""
    view = chain.view
    entry = view.entries[view.best[-1]]
    pooled = [PoolRecord(tx, PoolEntry(tx.wtxid, 0, tx.vsize, tx.weight, 4, 0, 0), ()) for tx in txs]
    return gbt.work_template(
        branch=Headers([view.entries[block_hash].header for block_hash in view.best]),
        tip_hash=entry.hash,
        height=entry.height + 1,
        seq=view.seq,
        times=(entry.header.time, entry.header.time + 1),
        contents=gbt.Contents.of(pooled, Graph.of(txs)),
        params=REGTEST,
    )


def verdicts(**fields: Any) -> Callable[[TxSubmitted], TxVerdicts]:
    """Answer each submission with one verdict of these fields for each transaction."""

    def answer(message: TxSubmitted) -> TxVerdicts:
        txs = [Transaction.parse(bytes.fromhex(raw)) for raw in message.txs]
        return TxVerdicts(
            verdicts=tuple(TxVerdict(**{"txid": tx.txid_hex, "wtxid": tx.wtxid_hex, **fields}) for tx in txs)
        )

    return answer


def refused(reason: str, detail: str = "") -> Callable[[TxSubmitted], TxVerdicts]:
    """Answer each submission with a refusal."""
    return verdicts(accepted=False, reason=reason, detail=detail)
