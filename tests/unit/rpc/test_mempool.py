"""The pool as bitcoind shows it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from services.explorer.chain.fee_estimates import PoolFees, fee_estimates, precise_fees
from services.explorer.live.websocket.snapshot import pool_info
from services.wallet.errors import BadInput
from services.wallet.payments.amounts import parse_feerate
from shared import policy
from shared.chain.records import PoolStats
from shared.consensus.limits import COIN
from shared.primitives.transaction import Transaction, TxOut
from tests import builders
from tests.unit.rpc.conftest import ALICE, BOB, FEE, Chain, Rpc


@pytest.fixture
def family(chain: Chain) -> tuple[Transaction, Transaction, Transaction]:
    """A parent, its child, and a grandchild that spends both."""
    parent = builders.pay(builders.output_of(chain.payment, 0, BOB), ALICE, 400_000_000, FEE)
    child = builders.pay(builders.output_of(parent, 0, ALICE), BOB, 100_000_000, 2 * FEE)
    coins = [builders.output_of(parent, 1, BOB), builders.output_of(child, 0, BOB)]
    value = sum(coin.output.value for coin in coins) - 3 * FEE
    grandchild = builders.spend(coins, [TxOut(value, builders.p2wpkh(BOB))], sequence=0xFFFFFFFF)
    for place, tx in enumerate((parent, child, grandchild), 1):
        chain.view.add_to_pool(tx, place * FEE, time=1_700_000_000 + place)
    return parent, child, grandchild


def test_an_empty_pool(rpc: Rpc) -> None:
    assert rpc.call("getrawmempool") == []
    assert rpc.call("getrawmempool", True) == {}
    info = rpc.call("getmempoolinfo")
    assert (info["size"], info["bytes"], info["total_fee"]) == (0, 0, 0)


def test_the_txids_oldest_first(rpc: Rpc, chain: Chain, family: tuple[Transaction, ...]) -> None:
    txids = [tx.txid_hex for tx in family]
    assert rpc.call("getrawmempool") == txids
    assert rpc.call("getrawmempool", False, True) == {"txids": txids, "mempool_sequence": chain.view.seq}


def test_the_totals(rpc: Rpc, family: tuple[Transaction, ...]) -> None:
    info = rpc.call("getmempoolinfo")
    assert info["loaded"] is True
    assert info["size"] == 3
    assert info["bytes"] == sum(tx.vsize for tx in family)
    assert info["total_fee"] == Decimal(6 * FEE) / 100_000_000
    assert info["minrelaytxfee"] == Decimal("0.00000100")


def test_every_service_shows_the_policy_that_the_node_enforces(rpc: Rpc) -> None:
    info, network = rpc.call("getmempoolinfo"), rpc.call("getnetworkinfo")
    shown = pool_info(PoolStats(0, 0, 0, 0))
    for name in ("maxmempool", "mempoolminfee", "minrelaytxfee"):
        assert shown[name] == float(info[name])
    assert info["maxmempool"] == policy.MAX_POOL_VSIZE
    per_kvb = Decimal(policy.MIN_RELAY_FEERATE) / COIN
    assert info["minrelaytxfee"] == info["mempoolminfee"] == network["relayfee"] == per_kvb
    assert rpc.call("estimatesmartfee", 1)["feerate"] == per_kvb
    assert info["incrementalrelayfee"] == network["incrementalfee"] == Decimal(policy.INCREMENTAL_RELAY_FEERATE) / COIN
    per_vbyte = float(per_kvb * COIN / 1000)
    assert set(fee_estimates(PoolFees(())).values()) == {per_vbyte} == set(precise_fees(PoolFees(())).values())
    assert parse_feerate(str(per_vbyte)) == policy.MIN_RELAY_FEERATE
    with pytest.raises(BadInput):
        parse_feerate(str(per_vbyte - 0.001))
    assert policy.WALLET_FEERATE >= policy.MIN_RELAY_FEERATE


def test_an_entry_counts_its_family(rpc: Rpc, family: tuple[Transaction, Transaction, Transaction]) -> None:
    parent, child, grandchild = family
    assert rpc.call("getmempoolentry", child.txid_hex) == {
        "vsize": child.vsize,
        "weight": child.weight,
        "time": 1_700_000_002,
        "height": 3,
        "descendantcount": 2,
        "descendantsize": child.vsize + grandchild.vsize,
        "ancestorcount": 2,
        "ancestorsize": parent.vsize + child.vsize,
        "wtxid": child.wtxid_hex,
        "chunkweight": parent.weight + child.weight + grandchild.weight,
        "fees": {
            "base": Decimal("0.00002468"),
            "modified": Decimal("0.00002468"),
            "ancestor": Decimal("0.00003702"),
            "descendant": Decimal("0.00006170"),
            "chunk": Decimal("0.00007404"),
        },
        "depends": [parent.txid_hex],
        "spentby": [grandchild.txid_hex],
        "bip125-replaceable": True,
        "unbroadcast": False,
    }


def test_a_final_transaction_is_replaceable_through_its_ancestors_only(
    rpc: Rpc, chain: Chain, family: tuple[Transaction, Transaction, Transaction]
) -> None:
    assert rpc.call("getmempoolentry", family[2].txid_hex)["bip125-replaceable"] is True
    coin = builders.output_of(chain.blocks[2].transactions[0], 0, ALICE)
    alone = builders.spend([coin], [TxOut(1_000, builders.p2wpkh(BOB))], sequence=0xFFFFFFFE)
    chain.view.add_to_pool(alone, FEE)
    assert rpc.call("getmempoolentry", alone.txid_hex)["bip125-replaceable"] is False


def test_all_entries_are_those_asked_for_one_by_one(rpc: Rpc, family: tuple[Transaction, ...]) -> None:
    entries = rpc.call("getrawmempool", True)
    assert list(entries) == [tx.txid_hex for tx in family]
    assert entries == {tx.txid_hex: rpc.call("getmempoolentry", tx.txid_hex) for tx in family}


def test_a_confirmed_transaction_is_not_in_the_pool(rpc: Rpc, chain: Chain) -> None:
    assert rpc.error("getmempoolentry", chain.payment.txid_hex) == (-5, "Transaction not in mempool")


def test_verbose_entries_have_no_sequence(rpc: Rpc) -> None:
    message = "Verbose results cannot contain mempool sequence values."
    assert rpc.error("getrawmempool", True, True) == (-8, message)
