"""The wallet's application on a real Redis and a real node; the broker between them is a fake that answers at once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py
from flask import Flask
from flask.testing import FlaskClient

from services.mempool.blocks.accept_block import accept_block
from services.mempool.blocks.operator import control
from services.mempool.state import NodeState
from services.mempool.transactions.submit import submit
from services.wallet.app import create_wallet_app
from services.wallet.bootstrap import Bootstrap, password_file
from services.wallet.coins.ledger import Ledger
from services.wallet.faucet import Faucet
from services.wallet.handlers import Inbox, subscriptions
from services.wallet.keys.attempts import Attempts
from services.wallet.keys.keystore import Keystore
from services.wallet.keys.password_pool import PasswordPool
from services.wallet.payments.payments import Payments
from services.wallet.service import WalletService
from services.wallet.sessions import Sessions
from services.wallet.store import WalletStore
from shared.bus import events
from shared.bus.events import ChainControl, ControlAction, MineRequested, MineResult, Removal, TxRemoved, TxSubmitted
from shared.bus.worker import Incoming
from shared.chain.commit import Delta
from shared.chain.lease import Lease
from shared.chain.redis_keys import Keys
from shared.chain.view import ChainView
from shared.config import Settings
from shared.consensus.params import REGTEST
from shared.primitives.block import Block
from shared.primitives.hex import display_hash
from shared.primitives.transaction import Transaction
from shared.process.shutdown import ExitFlag
from tests.builders import key, make_block, p2wpkh
from tests.unit.bus.fake_broker import FakeBroker

PARAMS = replace(REGTEST, coinbase_maturity=3)
PASSWORD = "correct horse"
COIN = 100_000_000


class Stack:
    """One wallet service and the node that it talks to."""

    def __init__(self, client: redis_py.Redis, data_dir: Path) -> None:
        self.client = client
        self.keys = Keys(PARAMS.name)
        epoch = Lease(client, self.keys).take()
        assert epoch is not None
        self.node = NodeState(client, self.keys, PARAMS)
        self.node.load(epoch)
        self._writer = threading.Lock()
        self.view = ChainView(client, self.keys)
        self.broker = FakeBroker()
        self.broker.answers = {TxSubmitted: self.submit, MineRequested: self._mine}
        self.now = 1_700_000_000.0
        self.passwords = PasswordPool()
        self.store = WalletStore(client, self.keys)
        self.wallets = self.new_service()
        self.payments = Payments(self.wallets, self.broker, timeout=0.2)
        self.inbox = Inbox(self.wallets, self.view)
        self.settings = Settings(wallet_port=8080, data_dir=data_dir)
        self.password_file = password_file(self.settings, PARAMS)
        self.faucet = Faucet(self.wallets, self.payments, self.password_file, may_mine=True)
        self.app = self._new_app(self.wallets, self.payments, self.faucet)
        self.http = self.app.test_client()
        self._read = b"0"

    def _new_app(self, wallets: WalletService, payments: Payments, faucet: Faucet) -> Flask:
        ready = {"broker": self.broker.trouble}
        return create_wallet_app(self.settings, wallets, payments, self.new_sessions(), faucet, ready)

    def new_sessions(self) -> Sessions:
        return Sessions(self.client, self.keys, PARAMS.address, clock=lambda: self.now)

    def new_instance(self) -> FlaskClient:
        """A client of another instance of the service, which shares nothing but Redis and the broker."""
        wallets = self.new_service()
        payments = Payments(wallets, self.broker, timeout=0.2)
        faucet = Faucet(wallets, payments, self.password_file, may_mine=True)
        return self._new_app(wallets, payments, faucet).test_client()

    def new_service(self) -> WalletService:
        ledger = Ledger(self.view, PARAMS.coinbase_maturity)
        keystore = Keystore(PARAMS, Attempts(), n=16, pool=self.passwords)
        return WalletService(PARAMS, self.store, ledger, keystore, self.broker, 1.0)

    # ── the node ────────────────────────────────────────────────────────────────────────────────────────────────

    def submit(self, message: TxSubmitted) -> events.TxVerdicts:
        with self._writer:
            return submit(self.node, [message])[0][0]

    def _mine(self, message: MineRequested) -> MineResult:
        script = bytes.fromhex(message.script_pubkey)
        return MineResult(hashes=tuple(self.mine(script).hash[::-1].hex() for _ in range(message.count)))

    def mine(
        self,
        script: bytes | None = None,
        *,
        with_pool: bool = True,
        txs: Sequence[Transaction] = (),
        on: Block | None = None,
        tag: bytes = b"t",
    ) -> Block:
        """A block on the tip or on another block, with the whole pool, or else with `txs`, whose fees nobody takes."""
        with self._writer:
            prev = self.node.tree.get(on.hash) if on else self.node.tree.tip
            assert prev is not None
            records = self.view.pool.all_records() if with_pool else []
            records.sort(key=lambda record: record.pool.sequence)
            fees = sum(record.pool.fee for record in records)
            script = script or p2wpkh(key("somebody"))
            txs = txs or [record.tx for record in records]
            block = make_block(prev.header, prev.height + 1, script, txs, fees=fees, params=PARAMS, tag=tag)
            verdict = accept_block(self.node, block)
            assert verdict.accepted, verdict
            return block

    def drop(self, txid: bytes, why: Removal) -> None:
        """Let a transaction leave the pool, as a node does that has no more room or time for it."""
        with self._writer:
            record = self.node.pool.get(txid)
            assert record is not None
            self.node.commit(Delta(pool_removed=[record], events=[TxRemoved(txid=record.tx.txid_hex, why=why)]))
            self.node.pool.remove(txid)

    def invalidate(self, block: Block) -> None:
        """Let the node hold a block for invalid, and go back below it."""
        with self._writer:
            control(self.node, ChainControl(action=ControlAction.INVALIDATE, block=display_hash(block.hash)))

    def deliver(self) -> int:
        """Hand every new event of the outbox to the wallet's inbox, and return how many there were."""
        found = self.client.xrange(self.keys.events, min=b"(" + self._read if self._read != b"0" else b"-")
        handlers = subscriptions(self.inbox)
        for id_, fields in found:
            message = events.decode(fields[b"topic"].decode(), fields[b"body"])
            handlers[type(message)]([Incoming(message, "", None)])
            self._read = id_
        return len(found)

    # ── the wallet ──────────────────────────────────────────────────────────────────────────────────────────────

    def post(self, path: str, **body: Any):
        return self.http.post(f"/api/wallets{path}", json=body)

    def get(self, path: str):
        return self.http.get(f"/api/wallets{path}")

    def create(self, wallet_id: str) -> str:
        """Create a wallet and return its address."""
        response = self.post("", id=wallet_id, password=PASSWORD)
        assert response.status_code == 201, response.json
        return response.json["address"]

    def fund(self, wallet_id: str, blocks: int = 1) -> str:
        """Create a wallet with `blocks` mature rewards of 50 coins; return its address."""
        address = self.create(wallet_id)
        script = self.wallets.current_key(self.wallets.load(wallet_id)).script_pubkey
        for _ in range(blocks):
            self.mine(script)
        for _ in range(PARAMS.coinbase_maturity):
            self.mine()
        return address

    def first_start(self, blocks: int = 6) -> None:
        """Make the wallet `creator`, its password file, and its first blocks, some of them mature."""
        Bootstrap(self.new_service(), self.view, self.password_file, blocks, ExitFlag()).run()

    def wallet_records(self) -> dict[str, Any]:
        """Everything that the wallet keeps, to compare states."""
        read = {
            b"string": self.client.get,
            b"hash": self.client.hgetall,
            b"set": self.client.smembers,
            b"zset": lambda name: self.client.zrange(name, 0, -1, withscores=True),
        }
        names = sorted(self.client.keys(self.keys.wallet.replace("{", "\\{").replace("}", "\\}") + "*"))
        return {name.decode(): read[self.client.type(name)](name) for name in names}


@pytest.fixture
def stack(redis: redis_py.Redis, tmp_path: Path) -> Stack:
    return Stack(redis, tmp_path / "data")
