"""Every method, called with arguments of every kind: it answers or refuses, and never fails inside."""

from __future__ import annotations

import random

import pytest

from services.mempool.rpc.methods.table import METHODS
from shared.bus.events import (
    BlockMined,
    BlockVerdict,
    ChainControl,
    ControlResult,
    MineRequested,
    MineResult,
    TxSubmitted,
)
from tests.unit.bus.fake_broker import FakeBroker
from tests.unit.rpc.conftest import Chain, Rpc, parse, refused

KNOWN_CODES = {-1, -3, -5, -8, -20, -22, -25, -26, -27, -28, -32600, -32601, -32602}
WAITING = {"waitforblock", "waitforblockheight", "waitfornewblock"}


def anything(chain: Chain) -> list[object]:
    """Values of every JSON type, and hashes, scripts and transactions that exist."""
    tx, block = chain.payment, chain.blocks[1]
    return [
        *(None, True, False, 0, 1, -1, 2, 1 << 31, 1 << 64, 0.5, 1e300, "", "x", "00", "ab" * 32, "start"),
        *([], [[]], [{}], ["00"], [1, 2], {}, {"txid": "ab" * 32, "vout": 0}, {"rules": ["segwit"]}),
        *(tx.txid_hex, tx.serialize().hex(), block.hash_hex, block.serialize().hex(), [tx.txid_hex]),
        *([tx.serialize().hex()], [{"txid": tx.txid_hex, "vout": 0}], {"desc": "raw(00)"}, "raw(00)", ["raw(00)"]),
        *("cHNidP8B", "wpkh(", "addr(x)#", "é\u0000", {"mode": "proposal", "data": "00"}),
    ]


@pytest.mark.parametrize("method", sorted(METHODS.keys() - WAITING - {"stop"}))
def test_no_arguments_make_a_method_fail_inside(rpc: Rpc, chain: Chain, broker: FakeBroker, method: str) -> None:
    broker.answers[TxSubmitted] = refused("missing-inputs")
    broker.answers[ChainControl] = lambda message: ControlResult(done=True)
    broker.answers[BlockMined] = lambda message: BlockVerdict(hash="", accepted=False, reason="high-hash")
    broker.answers[MineRequested] = lambda message: MineResult(hashes=(), error="none")
    values = anything(chain)
    choose = random.Random(method)
    count = len(METHODS[method].args)
    calls = [[first, *choose.choices(values, k=max(0, count - 1))] for first in values for _ in range(3)]
    batch = [{"method": method, "params": params[:count], "id": number} for number, params in enumerate(calls)]
    for reply, params in zip(parse(rpc.post(batch).data), calls, strict=True):
        assert reply["error"] is None or reply["error"]["code"] in KNOWN_CODES, (params, reply["error"])
