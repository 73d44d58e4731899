"""`warren_miners`: the node's miners by their reports."""

from __future__ import annotations

from flask import Flask

from services.mempool.mining.workers import Workers
from services.mempool.rpc.app import create_rpc_app
from services.mempool.rpc.server.auth import Credentials
from shared.bus.events import MinerReport
from shared.config import Settings
from shared.consensus.params import REGTEST
from shared.process.shutdown import ExitFlag
from tests.unit.bus.fake_broker import FakeBroker
from tests.unit.rpc.conftest import PASSWORD, USER, Chain, Rpc


def test_without_reports_there_are_no_miners(rpc: Rpc) -> None:
    assert rpc.call("warren_miners") == {"miners": [], "hashrate": 0, "blocks": 0}


def test_the_miners_are_listed_by_name_with_their_sums(chain: Chain, broker: FakeBroker) -> None:
    workers = Workers()
    for name, rate, blocks, state in (("b", 2e6, 5, "mining"), ("a", 50e6, 7, "mining"), ("c", 1e6, 1, "waiting")):
        known = {"name": name, "worker": "00", "kernel": "llvm" if rate > 9e6 else "hashlib", "state": state}
        workers.hear(MinerReport(**known, hash_rate=rate, blocks=blocks))  # type: ignore[arg-type]
    credentials = Credentials(USER, PASSWORD)
    app: Flask = create_rpc_app(Settings(), REGTEST, chain.view, broker, credentials, {}, ExitFlag(), workers)
    shown = Rpc(app.test_client()).call("warren_miners")
    assert [(miner["name"], miner["kernel"], miner["hashrate"], miner["state"]) for miner in shown["miners"]] == [
        ("a", "llvm", 50e6, "mining"),
        ("b", "hashlib", 2e6, "mining"),
        ("c", "hashlib", 1e6, "waiting"),
    ]
    assert all(0 <= miner["age"] < 15 for miner in shown["miners"])
    assert (shown["hashrate"], shown["blocks"]) == (52e6, 13)
