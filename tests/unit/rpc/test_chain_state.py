"""Branches, statistics, proofs and waiting: on a chain in memory."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from services.mempool.rpc.methods.chain.blockchain import wait_for
from services.mempool.rpc.server.context import NodeContext
from shared.bus.events import ChainControl, ControlAction, ControlResult
from shared.consensus.params import REGTEST
from shared.process.shutdown import ExitFlag
from tests import builders
from tests.unit.bus.fake_broker import FakeBroker
from tests.unit.rpc.conftest import ALICE, BOB, FEE, Chain, Rpc


def test_every_branch_has_its_tip(rpc: Rpc, chain: Chain) -> None:
    side = builders.make_block(chain.blocks[1].header, 2, builders.p2wpkh(BOB), tag=b"side")
    chain.view.add_side_block(side, 2)
    assert rpc.call("getchaintips") == [
        {"height": 3, "hash": chain.blocks[3].hash_hex, "branchlen": 0, "status": "active"},
        {"height": 2, "hash": side.hash_hex, "branchlen": 1, "status": "valid-fork"},
    ]


def test_statistics_of_the_last_blocks(rpc: Rpc, chain: Chain) -> None:
    stats = rpc.call("getchaintxstats", 2)
    assert stats["txcount"] == 5
    assert (stats["window_block_count"], stats["window_tx_count"]) == (2, 3)
    assert stats["window_final_block_hash"] == chain.blocks[3].hash_hex
    assert rpc.call("getchaintxstats")["window_block_count"] == 2
    bad_count = "Invalid block count: should be between 0 and the block's height - 1"
    assert rpc.error("getchaintxstats", 3) == (-8, bad_count)
    assert rpc.error("getchaintxstats", -1) == (-8, bad_count)
    assert rpc.error("getchaintxstats", 1, "00" * 32) == (-5, "Block not found")


def test_soft_forks_are_active_from_their_heights(rpc: Rpc, chain: Chain) -> None:
    info = rpc.call("getdeploymentinfo", chain.blocks[1].hash_hex)
    assert (info["height"], info["hash"]) == (1, chain.blocks[1].hash_hex)
    assert info["deployments"]["segwit"] == {"type": "buried", "active": True, "height": 0}
    assert {"P2SH", "WITNESS", "TAPROOT", "NULLDUMMY"} <= set(info["script_flags"])
    assert rpc.error("getdeploymentinfo", "00" * 32) == (-5, "Block not found")


def test_the_figures_of_a_block_with_a_payment(rpc: Rpc, chain: Chain) -> None:
    stats = rpc.call("getblockstats", 3)
    tx = chain.payment
    assert stats["totalfee"] == stats["medianfee"] == stats["minfee"] == FEE
    assert stats["avgfeerate"] == FEE * 4 // tx.weight
    assert stats["feerate_percentiles"] == [FEE * 4 // tx.weight] * 5
    assert (stats["txs"], stats["ins"], stats["outs"]) == (2, 1, 4)
    assert (stats["swtxs"], stats["swtotal_size"], stats["total_weight"]) == (1, tx.size, tx.weight)
    assert stats["total_out"] == 5_000_000_000 - FEE
    assert (stats["utxo_increase"], stats["utxo_increase_actual"]) == (3, 2)
    # Three P2WPKH outputs of 31 bytes, one spent of the same size, and the commitment's 47; 41 more for each.
    assert stats["utxo_size_inc"] == 3 * (31 + 41) + (47 + 41) - (31 + 41)
    assert stats["utxo_size_inc_actual"] == 2 * (31 + 41)
    assert rpc.call("getblockstats", chain.blocks[3].hash_hex, ["subsidy", "height"]) == {
        "subsidy": 5_000_000_000,
        "height": 3,
    }


def test_the_genesis_block_adds_no_coin(rpc: Rpc) -> None:
    stats = rpc.call("getblockstats", 0)
    assert (stats["utxo_increase"], stats["utxo_increase_actual"], stats["utxo_size_inc_actual"]) == (1, 0, 0)


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        ((4,), -8, "Target block height 4 after current tip 3"),
        ((-1,), -8, "Target block height -1 is negative"),
        ((True,), -3, "JSON value of type bool is not of expected type number"),
        (("00" * 32,), -5, "Block not found"),
        ((1, ["nonsense"]), -8, "Invalid selected statistic 'nonsense'"),
        ((1, [1]), -3, "JSON value of type number is not of expected type string"),
    ],
)
def test_what_getblockstats_refuses(rpc: Rpc, params: tuple[object, ...], code: int, message: str) -> None:
    assert rpc.error("getblockstats", *params) == (code, message)


def test_a_proof_shows_that_a_transaction_is_in_a_block(rpc: Rpc, chain: Chain) -> None:
    txid = chain.payment.txid_hex
    proof = rpc.call("gettxoutproof", [txid])
    assert rpc.call("verifytxoutproof", proof) == [txid]
    both = [tx.txid_hex for tx in chain.blocks[3].transactions]
    assert rpc.call("verifytxoutproof", rpc.call("gettxoutproof", both, chain.blocks[3].hash_hex)) == both
    broken = bytearray.fromhex(proof)
    broken[100] ^= 1
    assert rpc.call("verifytxoutproof", broken.hex()) == []


@pytest.mark.parametrize(
    ("method", "params", "code", "message"),
    [
        ("gettxoutproof", ([],), -8, "Parameter 'txids' cannot be empty"),
        ("gettxoutproof", (["00" * 32, "00" * 32],), -8, f"Invalid parameter, duplicated txid: {'00' * 32}"),
        ("gettxoutproof", (["00"],), -8, "txid must be of length 64 (not 2, for '00')"),
        ("gettxoutproof", (["00" * 32],), -5, "Transaction not yet in block"),
        ("gettxoutproof", ([1],), -3, "JSON value of type number is not of expected type string"),
        (
            "gettxoutproof",
            (["00" * 32], REGTEST.genesis.hash_hex),
            -5,
            "Not all transactions found in specified or retrieved block",
        ),
        ("verifytxoutproof", ("zz",), -8, "proof must be hexadecimal string (not 'zz')"),
        ("verifytxoutproof", ("00" * 80,), -1, "number of transactions: 4 bytes needed, 0 left"),
    ],
)
def test_what_proofs_refuse(rpc: Rpc, method: str, params: tuple[object, ...], code: int, message: str) -> None:
    assert rpc.error(method, *params) == (code, message)


def test_a_proof_of_a_block_that_is_not_on_the_chain_is_an_error(rpc: Rpc, chain: Chain) -> None:
    side = builders.make_block(chain.blocks[1].header, 2, builders.p2wpkh(BOB), tag=b"side")
    chain.view.add_side_block(side, 2)
    proof = rpc.call("gettxoutproof", [side.transactions[0].txid_hex], side.hash_hex)
    assert rpc.error("verifytxoutproof", proof) == (-5, "Block not found in chain")


def test_stored_blocks_are_checked_again(rpc: Rpc, chain: Chain) -> None:
    assert [rpc.call("verifychain", level, 0) for level in range(4)] == [True] * 4
    assert rpc.call("verifychain", 4, 0) is False  # the payment spends a reward that is not mature
    assert rpc.call("verifychain", 4, 2) is False
    chain.view.lose_undo(chain.blocks[3].hash)
    assert rpc.call("verifychain", 1) is True
    assert rpc.call("verifychain", 2) is False


@pytest.mark.parametrize(
    ("method", "action"),
    [
        ("invalidateblock", ControlAction.INVALIDATE),
        ("reconsiderblock", ControlAction.RECONSIDER),
        ("preciousblock", ControlAction.PRECIOUS),
    ],
)
def test_orders_go_to_the_writer(
    rpc: Rpc, chain: Chain, broker: FakeBroker, method: str, action: ControlAction
) -> None:
    broker.answers[ChainControl] = lambda message: ControlResult(done=True)
    assert rpc.call(method, chain.blocks[2].hash_hex) is None
    assert broker.published[-1] == ChainControl(action=action, block=chain.blocks[2].hash_hex)
    broker.answers[ChainControl] = lambda message: ControlResult(done=False, reason="no", detail="because")
    assert rpc.error(method, chain.blocks[2].hash_hex) == (-20, "no, because")
    assert rpc.error(method, "00" * 32) == (-5, "Block not found")


def test_waiting_ends_when_the_block_comes(rpc: Rpc, chain: Chain) -> None:
    block = builders.make_block(chain.blocks[-1].header, 4, builders.p2wpkh(ALICE))
    waits = [
        ("waitforblock", block.hash_hex, 20_000),
        ("waitforblockheight", 4, 20_000),
        ("waitfornewblock", 20_000, chain.blocks[3].hash_hex),
    ]
    with ThreadPoolExecutor(len(waits)) as pool:
        answers = pool.map(lambda wait: rpc.call(*wait), waits)
        chain.view.connect(block)
        assert list(answers) == [{"hash": block.hash_hex, "height": 4}] * len(waits)


def test_waiting_ends_when_time_is_up_or_the_process_stops(rpc: Rpc, chain: Chain, stopping: ExitFlag) -> None:
    here = {"hash": chain.blocks[3].hash_hex, "height": 3}
    assert rpc.call("waitforblockheight", 3) == here
    assert rpc.call("waitforblockheight", 9, 20) == here
    assert rpc.call("waitfornewblock", 20, chain.blocks[2].hash_hex) == here
    assert rpc.error("waitfornewblock", -1) == (-1, "Negative timeout")
    stopping.set()
    begun = time.monotonic()
    assert rpc.call("waitforblock", "00" * 32) == here
    assert time.monotonic() - begun < 10


def test_many_that_wait_look_at_the_tip_as_often_as_one(chain: Chain, stopping: ExitFlag) -> None:
    node: Any = SimpleNamespace(view=chain.view, stop=stopping, tip_waiters=set())
    node.waiting_for_tip = lambda: NodeContext.waiting_for_tip(node)
    calls = [wait_for(node, lambda tip: tip.height == 9, 5) for _ in range(200)]
    pauses = [call.send(None).seconds for call in calls]
    assert (pauses[0], pauses[49], pauses[199]) == (0.01, 0.5, 1.0)
    for call in calls:
        call.close()
    assert node.tip_waiters == set()
