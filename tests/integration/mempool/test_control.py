"""The operator's orders: refused and preferred blocks, headers first, priorities, the clock."""

from __future__ import annotations

import pytest

from services.mempool.blocks.operator import BLOCK_NOT_FOUND, HEADER_DECODE_FAILED, control
from services.mempool.handlers import subscriptions
from services.mempool.mining.requests import Mining
from shared.bus.events import ChainControl, ControlAction, ControlResult
from shared.bus.worker import Incoming
from shared.chain.codec import BlockStatus
from shared.consensus.limits import MAX_FUTURE_BLOCK_TIME
from shared.mining_mode import MiningSetting, parse_mode
from shared.primitives.block import Block, BlockHeader
from shared.reasons import Reason
from tests.builders import coinbase, key, make_block, p2wpkh, pay
from tests.integration.mempool.books import check_books
from tests.integration.mempool.conftest import Chain
from tests.integration.mempool.test_reorganisations import branch
from tests.unit.bus.fake_broker import FakeBroker

ALICE, BOB = key("alice"), key("bob")
DONE = ControlResult(done=True)


def order(chain: Chain, action: ControlAction, block: Block | None = None, **fields) -> ControlResult:
    fields = {"block": block.hash_hex if block else ""} | fields
    return control(chain.node, ChainControl(action=action, **fields))


def invalidate(chain: Chain, block: Block) -> ControlResult:
    return order(chain, ControlAction.INVALIDATE, block)


def reconsider(chain: Chain, block: Block) -> ControlResult:
    return order(chain, ControlAction.RECONSIDER, block)


def precious(chain: Chain, block: Block) -> ControlResult:
    return order(chain, ControlAction.PRECIOUS, block)


def submit_header(chain: Chain, header: BlockHeader) -> ControlResult:
    return order(chain, ControlAction.SUBMIT_HEADER, header=header.serialize().hex())


def status(chain: Chain, block: Block) -> BlockStatus:
    entry = chain.view.blocks.entry(block.hash)
    assert entry is not None
    assert entry == chain.node.tree.get(block.hash), "memory and store agree"
    return entry.status


def test_the_writer_carries_out_orders_that_come_over_the_bus(chain: Chain) -> None:
    broker = FakeBroker()
    handler = subscriptions(chain.node, Mining(chain.node, broker, 60), broker, lambda: None)[ChainControl]
    (block,) = chain.mine()
    orders = [
        ChainControl(action=ControlAction.INVALIDATE, block=block.hash_hex),
        ChainControl(action=ControlAction.INVALIDATE, block="ab" * 32),
    ]
    replies = handler([Incoming(message, str(number), None) for number, message in enumerate(orders)])
    assert replies == [DONE, ControlResult(done=False, reason=BLOCK_NOT_FOUND)]
    assert chain.view.tip().height == 0


def test_an_invalidated_block_leaves_the_chain_in_one_commit_and_its_payments_return_to_the_pool(chain: Chain) -> None:
    (coin,) = chain.mature_coins()
    (base,) = chain.mine()
    tx = pay(coin, ALICE, 1_000_000)
    first, second = chain.mine(txs=[tx], fees=1_000), chain.mine()
    before = chain.view.tip().seq
    assert invalidate(chain, first[0]) == DONE
    tip = chain.view.tip()
    assert (tip.hash, tip.seq - before) == (base.hash, 3), "two blocks disconnected, one payment back"
    assert chain.view.pool.txids() == [tx.txid]
    assert chain.view.block_hashes(base_height(chain, base), 10) == [base.hash]
    assert status(chain, first[0]) & BlockStatus.FAILED
    assert status(chain, second[0]) & BlockStatus.FAILED_PARENT
    check_books(chain.client)


def base_height(chain: Chain, block: Block) -> int:
    entry = chain.node.tree.get(block.hash)
    assert entry is not None
    return entry.height


def test_an_invalidated_block_stays_so_after_a_restart_and_comes_back_when_reconsidered(chain: Chain) -> None:
    chain.mine(2)
    bad, top = chain.mine(2)
    invalidate(chain, bad)
    chain.node = chain.new_writer()
    assert chain.view.tip().height == 2
    assert chain.accept(make_block(top.header, 5, p2wpkh(BOB))).reason == Reason.BAD_PREVBLK
    assert chain.accept(bad).reason == Reason.DUPLICATE_INVALID
    assert reconsider(chain, bad) == DONE
    assert chain.view.tip().hash == top.hash
    assert not (status(chain, bad) | status(chain, top)) & (BlockStatus.FAILED | BlockStatus.FAILED_PARENT)
    check_books(chain.client)


def test_the_next_best_branch_takes_over_and_a_broken_one_is_passed_over(chain: Chain) -> None:
    (base,) = chain.mine()
    (bad, *_) = chain.mine(4)
    good = branch(chain, base, 2, b"good")
    broken = branch(chain, base, 2, b"broken")
    greedy = make_block(broken[-1].header, 4, b"", first=coinbase(4, p2wpkh(BOB), 51 * 100_000_000, [], b"greedy"))
    for block in (*good, *broken, greedy):
        assert chain.accept(block).reason == Reason.INCONCLUSIVE
    assert invalidate(chain, bad) == DONE
    assert chain.view.tip().hash == good[-1].hash, "seen before the other one of the same work"
    assert status(chain, greedy) & BlockStatus.FAILED
    chain.mine()
    check_books(chain.client)


def test_reconsidering_a_child_clears_what_is_below_it_and_not_its_siblings(chain: Chain) -> None:
    (base, bad, one) = chain.mine(3)
    (other,) = branch(chain, bad, 1, b"sibling")
    chain.accept(other)
    invalidate(chain, bad)
    assert chain.view.tip().hash == base.hash
    reconsider(chain, other)
    assert chain.view.tip().hash == other.hash
    assert status(chain, one) & BlockStatus.FAILED_PARENT
    assert not status(chain, bad) & BlockStatus.FAILED


def test_a_block_that_broke_a_rule_breaks_it_again_when_reconsidered(chain: Chain) -> None:
    (tip,) = chain.mine()
    greedy = chain.block(first=coinbase(2, p2wpkh(BOB), 51 * 100_000_000, [], b"greedy"))
    assert chain.accept(greedy).reason == Reason.BAD_CB_AMOUNT
    assert reconsider(chain, greedy) == DONE
    assert chain.view.tip().hash == tip.hash
    assert status(chain, greedy) & BlockStatus.FAILED
    chain.mine()


def test_the_genesis_block_cannot_be_invalidated(chain: Chain) -> None:
    chain.mine()
    before = chain.dump()
    genesis = chain.view.blocks.get(chain.view.block_hash(0) or b"")
    assert genesis is not None
    assert invalidate(chain, genesis) == DONE
    assert chain.dump() == before


def test_a_precious_block_wins_a_tie_until_the_next_start(chain: Chain) -> None:
    (base,) = chain.mine()
    (first,) = chain.mine()
    (second,), (third,) = branch(chain, base, 1, b"second"), branch(chain, base, 1, b"third")
    for block in (second, third):
        chain.accept(block)
    for wanted in (third, first, second):
        assert precious(chain, wanted) == DONE
        assert chain.view.tip().hash == wanted.hash
    assert precious(chain, base) == DONE
    assert chain.view.tip().hash == second.hash, "a block with less work is not preferred"
    chain.node = chain.new_writer()
    chain.accept(branch(chain, base, 1, b"fourth")[0])
    assert chain.view.tip().hash == second.hash, "the tip stays the tip"
    check_books(chain.client)


def _about(chain: Chain, action: ControlAction, block_hex: str) -> ControlResult:
    return control(chain.node, ChainControl(action=action, block=block_hex))


@pytest.mark.parametrize("action", [ControlAction.INVALIDATE, ControlAction.RECONSIDER, ControlAction.PRECIOUS])
def test_an_order_about_an_unknown_block_is_refused(chain: Chain, action: ControlAction) -> None:
    before = chain.dump()
    assert _about(chain, action, "ab" * 32) == ControlResult(done=False, reason=BLOCK_NOT_FOUND)
    assert _about(chain, action, "zz").reason == "malformed"
    assert chain.dump() == before


def test_a_header_is_remembered_and_completed_by_its_block(chain: Chain) -> None:
    chain.mine()
    block = chain.block()
    assert submit_header(chain, block.header) == DONE
    assert submit_header(chain, block.header) == DONE, "known already"
    assert status(chain, block) == BlockStatus(0)
    assert chain.view.tip().height == 1
    chain.node = chain.new_writer()
    verdict = chain.accept(block)
    assert (verdict.accepted, verdict.reason) == (True, "")
    assert chain.view.tip().hash == block.hash
    entry = chain.view.blocks.entry(block.hash)
    assert entry is not None
    assert entry.chain_tx_count == 3


def test_blocks_above_a_missing_one_wait_for_it(chain: Chain) -> None:
    (base,) = chain.mine()
    lower, middle, upper = branch(chain, base, 3, b"late")
    submit_header(chain, lower.header)
    for block in (middle, upper):
        assert chain.accept(block).reason == Reason.INCONCLUSIVE
    assert chain.view.tip().hash == base.hash
    chain.node = chain.new_writer()
    verdict = chain.accept(lower)
    assert (verdict.accepted, verdict.reason) == (True, "")
    assert chain.view.tip().hash == upper.hash
    assert [entry.chain_tx_count for entry in chain.view.blocks.entries([lower.hash, middle.hash, upper.hash])] == [
        3,
        4,
        5,
    ]
    check_books(chain.client)


def test_headers_are_refused_with_cores_reasons(chain: Chain) -> None:
    (base,) = chain.mine()
    block = chain.block()
    stranger = make_block(block.header, 3, p2wpkh(BOB))
    before = chain.dump()
    assert submit_header(chain, stranger.header).reason == f"Must submit previous header ({block.hash_hex}) first"
    assert order(chain, ControlAction.SUBMIT_HEADER, header="00").reason == HEADER_DECODE_FAILED
    old = make_block(base.header, 2, p2wpkh(BOB), time=1)
    assert submit_header(chain, old.header).reason == Reason.TIME_TOO_OLD
    assert chain.dump() == before
    chain.accept(block)
    invalidate(chain, block)
    assert submit_header(chain, block.header).reason == Reason.DUPLICATE_INVALID
    assert submit_header(chain, stranger.header).reason == Reason.BAD_PREVBLK


def test_a_priority_lets_a_poor_transaction_in_and_is_forgotten_when_it_is_mined(chain: Chain) -> None:
    (coin,) = chain.mature_coins()
    poor = pay(coin, ALICE, 1_000_000, fee=1)
    assert chain.submit(poor)[0].reason == Reason.MIN_RELAY_FEE_NOT_MET
    for delta in (5_000, -1_000):
        assert order(chain, ControlAction.PRIORITISE, txid=poor.txid_hex, fee_delta=delta) == DONE
    chain.node = chain.new_writer()
    assert chain.view.pool.prioritised() == {poor.txid: 4_000}
    (verdict,) = chain.submit(poor)
    assert (verdict.accepted, verdict.fee) == (True, 1)
    chain.mine(txs=[poor], fees=1)
    assert chain.view.pool.prioritised() == chain.node.prioritised == {}
    order(chain, ControlAction.PRIORITISE, txid=poor.txid_hex, fee_delta=5)
    order(chain, ControlAction.PRIORITISE, txid=poor.txid_hex, fee_delta=-5)
    assert chain.view.pool.prioritised() == {}, "nothing is kept of what adds up to nothing"


def test_the_mining_mode_stays_over_a_restart(chain: Chain) -> None:
    assert order(chain, ControlAction.SET_MINING, mode="interval:5", script_pubkey=p2wpkh(ALICE).hex()) == DONE
    chain.node = chain.new_writer()
    assert chain.node.mining == chain.view.mining() == MiningSetting(parse_mode("interval:5"), p2wpkh(ALICE))


def test_the_clock_stands_where_it_is_set_and_over_a_restart(chain: Chain) -> None:
    now = chain.block().header.time
    assert order(chain, ControlAction.SET_TIME, time=now) == DONE
    chain.node = chain.new_writer()
    assert (chain.node.now(), chain.view.clock()) == (now, now)
    assert chain.accept(chain.block(time=now + MAX_FUTURE_BLOCK_TIME + 1)).reason == Reason.TIME_TOO_NEW
    assert order(chain, ControlAction.SET_TIME, time=-1).reason == "malformed"
    assert order(chain, ControlAction.SET_TIME, time=0) == DONE
    assert chain.view.clock() is None
    assert chain.accept(chain.block(time=now + MAX_FUTURE_BLOCK_TIME + 1)).accepted
