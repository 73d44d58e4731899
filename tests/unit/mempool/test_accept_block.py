"""Blocks marked as failed: blocks that break a rule, but never a block because of a tampered copy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from msgspec import structs

from services.mempool.blocks.accept_block import accept_block, propose
from services.mempool.blocks.accept_header import check_header
from services.mempool.blocks.activate import Change, activate
from services.mempool.handlers import _orphans_of
from shared.bus.events import BlockVerdict
from shared.chain.codec import BlockStatus
from shared.consensus.params import REGTEST
from shared.consensus.subsidy import block_subsidy
from shared.primitives.block import Block
from shared.primitives.transaction import Transaction, TxIn, TxOut
from shared.reasons import Reason
from tests.builders import coinbase, grind, make_block, output_of, p2wpkh, pay, spend
from tests.unit.mempool.memory import ALICE, BOB, MINER, NOW, MemoryNode


@pytest.fixture
def node() -> MemoryNode:
    return MemoryNode()


def without_commitment(height: int, tag: bytes = b"plain") -> Transaction:
    """A coinbase that commits to no witness."""
    full = coinbase(height, p2wpkh(MINER), block_subsidy(height, REGTEST), [], tag)
    first = structs.replace(full.inputs[0], witness=())
    return Transaction(full.version, (first,), full.outputs[:1])


def with_witness(block: Block, position: int, *witness: bytes) -> Block:
    """Return the block with another witness in the first input of one transaction; its hash is unchanged."""
    txs = list(block.transactions)
    tx = txs[position]
    first = TxIn(tx.inputs[0].prevout, tx.inputs[0].script_sig, tx.inputs[0].sequence, witness)
    txs[position] = Transaction(tx.version, (first, *tx.inputs[1:]), tx.outputs, tx.lock_time)
    return Block(block.header, tuple(txs))


def committed(node: MemoryNode) -> Block:
    return node.block([pay(node.coin(), ALICE, 1_000_000)], fees=1_000)


def plain(node: MemoryNode) -> Block:
    return node.block(first=without_commitment(1))


def repeated(block: Block) -> Block:
    return Block(block.header, (*block.transactions, block.transactions[-1]))


Tamper = Callable[[Block], Block]


@pytest.mark.parametrize(
    ("make", "tamper", "reason"),
    [
        (plain, lambda b: with_witness(b, 0, bytes(32)), Reason.UNEXPECTED_WITNESS),
        (committed, lambda b: with_witness(b, 1, b"other"), Reason.BAD_WITNESS_MERKLE_MATCH),
        (committed, lambda b: with_witness(b, 0, bytes(31)), Reason.BAD_WITNESS_NONCE_SIZE),
        (committed, lambda b: with_witness(b, 0, bytes(33)), Reason.BAD_WITNESS_NONCE_SIZE),
        (committed, lambda b: with_witness(b, 0, bytes(32), bytes(32)), Reason.BAD_WITNESS_NONCE_SIZE),
        (committed, lambda b: with_witness(b, 0, b"\x01" * 32), Reason.BAD_WITNESS_MERKLE_MATCH),
        (committed, lambda b: Block(b.header, b.transactions[:1]), Reason.BAD_TXNMRKLROOT),
        (plain, lambda b: Block(b.header, ()), Reason.BAD_TXNMRKLROOT),
    ],
)
def test_a_tampered_copy_is_refused_and_the_true_block_still_accepted(
    node: MemoryNode, make: Callable[[MemoryNode], Block], tamper: Tamper, reason: Reason
) -> None:
    block = make(node)
    copy = tamper(block)
    assert copy.hash == block.hash
    before = node.state()
    assert node.accept_block(copy).reason == reason
    assert node.state() == before
    assert node.accept_block(block) == BlockVerdict(hash=block.hash_hex, accepted=True)


def test_a_repeated_transaction_is_not_held_against_the_true_block(node: MemoryNode) -> None:
    txs = [pay(node.coin(), ALICE, 1_000_000) for _ in range(2)]
    block = node.block(txs, fees=2_000)
    assert node.accept_block(repeated(block)).reason == Reason.BAD_TXNS_DUPLICATE
    assert node.accept_block(block).accepted


def final_at(node: MemoryNode, lock_time: int) -> Block:
    tx = spend([node.coin()], [TxOut(1_000_000, p2wpkh(BOB))], lock_time=lock_time)
    return node.block([tx], fees=0)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda node: final_at(node, 1), Reason.BAD_TXNS_NONFINAL),
        (
            lambda node: node.block(first=coinbase(2, p2wpkh(MINER), block_subsidy(1, REGTEST), [], b"x")),
            Reason.BAD_CB_HEIGHT,
        ),
    ],
)
def test_a_block_that_breaks_a_rule_on_its_branch_is_remembered(node: MemoryNode, make, reason: Reason) -> None:
    block = make(node)
    assert node.accept_block(block).reason == reason
    entry = node.tree.get(block.hash)
    assert entry is not None
    assert entry.status == BlockStatus.FAILED
    assert [stored.hash for stored in node.deltas[-1].entries] == [block.hash]
    assert node.accept_block(block).reason == Reason.DUPLICATE_INVALID
    assert propose(node, block).reason == Reason.DUPLICATE_INVALID


def test_what_rests_on_a_bad_block_is_marked_with_it(node: MemoryNode) -> None:
    rival = node.branch(None, 1)[0]
    greedy = make_block(rival.header, 2, b"", first=coinbase(2, p2wpkh(MINER), REGTEST.subsidy + 1, [], b"greedy"))
    above = make_block(greedy.header, 3, p2wpkh(MINER))
    top = make_block(above.header, 4, p2wpkh(MINER))
    for _ in range(3):
        node.mine()
    assert [node.accept_block(block).reason for block in (rival, greedy, above)] == [Reason.INCONCLUSIVE] * 3
    verdict = node.accept_block(top)
    assert (verdict.accepted, verdict.reason) == (False, Reason.INCONCLUSIVE)
    assert verdict.detail.startswith("a block below it breaks a rule: bad-cb-amount")
    marks = [node.tree.get(block.hash).status & ~BlockStatus.HAVE_DATA for block in (rival, greedy, above, top)]
    assert marks == [0, BlockStatus.FAILED, BlockStatus.FAILED_PARENT, BlockStatus.FAILED_PARENT]
    assert node.tree.tip.height == 3
    assert node.view.blocks.get(top.hash) == top, "its bytes are kept"
    assert node.accept_block(make_block(top.header, 5, p2wpkh(MINER))).reason == Reason.BAD_PREVBLK


def test_when_the_best_branch_is_broken_the_next_best_is_taken(node: MemoryNode) -> None:
    node.mine()
    base = node.branch(None, 1)[0]
    node.tree.add(check_header(node, base.header))
    greedy = make_block(base.header, 2, b"", first=coinbase(2, p2wpkh(MINER), REGTEST.subsidy + 1, [], b"greedy"))
    above = make_block(greedy.header, 3, p2wpkh(MINER))
    good = make_block(base.header, 2, p2wpkh(MINER), tag=b"good")
    for block in (greedy, above, good):
        assert node.accept_block(block).reason == Reason.INCONCLUSIVE, "the block below it has not come"
    verdict = node.accept_block(base)
    assert (verdict.accepted, verdict.reason) == (True, "")
    assert node.tree.tip.hash == good.hash
    assert node.accept_block(greedy).reason == node.accept_block(above).reason == Reason.DUPLICATE_INVALID
    stored = {entry.hash: entry.status for entry in node.deltas[-1].entries}
    assert stored[greedy.hash] & BlockStatus.FAILED
    assert stored[above.hash] & BlockStatus.FAILED_PARENT


def test_a_header_that_is_known_does_not_make_its_block_a_duplicate(node: MemoryNode) -> None:
    block = node.block()
    node.tree.add(check_header(node, block.header))
    assert node.accept_block(block).reason == ""
    assert node.accept_block(block).reason == Reason.DUPLICATE
    entry = node.tree.get(block.hash)
    assert entry is not None
    assert (entry.tx_count, entry.size, entry.weight) == (1, block.size, block.weight)
    assert entry.status == BlockStatus.HAVE_DATA | BlockStatus.CONNECTED


def test_a_block_may_be_two_hours_ahead_and_no_more(node: MemoryNode) -> None:
    assert node.accept_block(node.block(time=NOW + 7_201)).reason == Reason.TIME_TOO_NEW
    assert node.accept_block(node.block(time=NOW + 7_200)).accepted


def test_a_block_too_far_ahead_is_welcome_later(node: MemoryNode) -> None:
    block = node.block(time=NOW + 7_201)
    assert node.accept_block(block).reason == Reason.TIME_TOO_NEW
    node.set_clock(NOW + 1)
    assert node.accept_block(block).accepted


def test_a_proposal_is_checked_by_all_rules_but_its_work(node: MemoryNode) -> None:
    tip = node.mine()
    block = node.block()
    nonces = (dataclasses.replace(block.header, nonce=nonce) for nonce in range(1_000))
    unsolved = Block(next(header for header in nonces if header.hash[31] & 0x80), block.transactions)
    early = Block(grind(dataclasses.replace(block.header, time=REGTEST.genesis.header.time)), block.transactions)
    thief = pay(dataclasses.replace(node.coin(), owner=ALICE), BOB, 1_000)
    before = node.state()
    for proposed, reason in (
        (unsolved, ""),
        (early, Reason.TIME_TOO_OLD),
        (final_at(node, 2), Reason.BAD_TXNS_NONFINAL),
        (node.block(first=coinbase(2, p2wpkh(MINER), REGTEST.subsidy + 1, [], b"x")), Reason.BAD_CB_AMOUNT),
        (Block(block.header, ()), Reason.BAD_TXNMRKLROOT),
        (tip, Reason.DUPLICATE),
        (make_block(REGTEST.genesis.header, 1, p2wpkh(MINER), tag=b"y"), Reason.INCONCLUSIVE_NOT_BEST_PREVBLK),
    ):
        verdict = propose(node, proposed)
        assert (verdict.accepted, verdict.reason) == (not reason, reason)
    assert propose(node, node.block([thief], fees=0)).reason.startswith(Reason.BLOCK_SCRIPT_VERIFY_FLAG_FAILED)
    assert node.state() == before


def test_orphans_are_tried_again_when_a_block_brings_their_parents(node: MemoryNode) -> None:
    parent = pay(node.coin(), ALICE, 1_000_000)
    child = pay(output_of(parent, 0, ALICE), BOB, 500_000)
    assert node.send_one(child).reason == Reason.BAD_TXNS_INPUTS_MISSINGORSPENT
    block = node.block([parent], fees=1_000)
    assert _orphans_of(node, BlockVerdict(hash=block.hash_hex, accepted=False)).messages == []
    assert len(node.orphans) == 1
    assert _orphans_of(node, node.accept_block(block)).messages == []
    assert [item.tx for item in node.pool] == [child]
    assert len(node.orphans) == 0


def test_nothing_moves_when_there_is_nothing_better(node: MemoryNode) -> None:
    node.mine()
    before = node.tree.tip
    assert activate(node, Change()) == {}
    assert node.tree.tip == before
    assert node.deltas[-1].new_tip is None


def test_a_mined_block_counts_for_its_request_with_the_commit_that_makes_it_best(node: MemoryNode) -> None:
    node.mine()
    beside, above = node.branch(None, 2)
    jobs: dict[str, bytes | None] = {"request": b"one mined"}
    assert accept_block(node, beside, jobs).accepted
    assert node.deltas[-1].jobs == {}, "it joined no best chain"
    assert accept_block(node, above, jobs).accepted
    assert node.tree.tip.hash == above.hash
    assert node.deltas[-1].jobs == jobs, "though the block below it was known before"
