"""Blocks: what is accepted, what is refused and why, and that refusals change nothing."""

from __future__ import annotations

import dataclasses

import pytest

from shared.bus.events import BlockVerdict
from shared.consensus.params import REGTEST
from shared.errors import CommitConflict, StaleWriter
from shared.primitives.block import Block, BlockHeader
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from shared.reasons import Reason
from tests.builders import coinbase, grind, key, make_block, output_of, p2wpkh, pay
from tests.integration.mempool.conftest import Chain

SUBSIDY = REGTEST.subsidy


def refused(chain: Chain, block: Block) -> BlockVerdict:
    before = chain.dump()
    verdict = chain.accept(block)
    assert not verdict.accepted
    assert chain.dump() == before, "a refused block changed the chain"
    return verdict


def test_a_new_chain_begins_with_cores_genesis_block(chain: Chain) -> None:
    tip = chain.view.tip()
    assert (tip.hash, tip.height) == (REGTEST.genesis.hash, 0)
    assert chain.view.blocks.get(tip.hash) == REGTEST.genesis
    genesis_coinbase = REGTEST.genesis.transactions[0]
    assert chain.view.txs.coins([OutPoint(genesis_coinbase.txid, 0)]) == [None], "the genesis coinbase is unspendable"


def test_a_block_extends_the_chain_and_can_be_read_at_once(chain: Chain) -> None:
    (block,) = chain.mine()
    tip = chain.view.tip()
    assert (tip.hash, tip.height) == (block.hash, 1)
    assert chain.view.block_hash(1) == block.hash
    assert chain.view.blocks.get(block.hash) == block
    assert chain.view.blocks.undo(block.hash) == []
    entry = chain.view.blocks.entry(block.hash)
    assert entry is not None
    assert (entry.tx_count, entry.size, entry.weight, entry.chain_tx_count) == (1, block.size, block.weight, 2)
    record = chain.view.txs.get(block.transactions[0].txid)
    assert record is not None
    assert record.tx == block.transactions[0]
    assert record.block == entry


def test_all_coinbases_of_one_owner_differ(chain: Chain) -> None:
    blocks = chain.mine(20)
    assert len({block.transactions[0].txid for block in blocks}) == 20


def test_a_payment_moves_coins_between_scripts(chain: Chain) -> None:
    (coin,) = chain.mature_coins()
    alice = key("alice")
    tx = pay(coin, alice, 10_000_000)
    (block,) = chain.mine(txs=[tx], fees=1_000)
    (unspent,) = chain.view.scripts.unspent_paying([p2wpkh(alice)])
    assert (unspent.outpoint, unspent.output.value) == (OutPoint(tx.txid, 0), 10_000_000)
    (spend,) = chain.view.txs.spends([coin.outpoint])
    assert spend is not None
    assert (spend.txid, spend.vin) == (tx.txid, 0)
    assert chain.view.blocks.undo(block.hash)[0][0].output == coin.output
    assert chain.view.txs.coins([coin.outpoint]) == [None]


@pytest.mark.parametrize("excess", [1, SUBSIDY])
def test_a_coinbase_that_pays_too_much_is_refused(chain: Chain, excess: int) -> None:
    chain.mine()
    block = chain.block(first=coinbase(2, p2wpkh(chain.miner), SUBSIDY + excess, [], b"greedy"))
    verdict = chain.accept(block)
    assert (verdict.accepted, verdict.reason) == (False, Reason.BAD_CB_AMOUNT)
    assert chain.view.tip().height == 1
    assert chain.accept(block).reason == Reason.DUPLICATE_INVALID, "a block that breaks a rule is remembered"
    child = make_block(block.header, 3, p2wpkh(chain.miner))
    assert chain.accept(child).reason == Reason.BAD_PREVBLK


def test_a_block_may_claim_its_fees_and_no_more(chain: Chain) -> None:
    (coin,) = chain.mature_coins()
    tx = pay(coin, key("alice"), 1_000_000, fee=777)
    verdict = chain.accept(chain.block([tx], fees=778))
    assert verdict.reason == Reason.BAD_CB_AMOUNT
    assert chain.accept(chain.block([tx], fees=777, tag=b"honest")).accepted


def test_a_coinbase_cannot_be_spent_before_it_matures(chain: Chain) -> None:
    (block,) = chain.mine()
    chain.mine(REGTEST.coinbase_maturity - 2)
    tx = pay(chain.reward(block), key("alice"), 1_000_000)
    early = chain.block([tx], fees=1_000)
    assert chain.accept(early).reason == Reason.BAD_TXNS_PREMATURE_SPEND_OF_COINBASE
    chain.mine()
    assert chain.accept(chain.block([tx], fees=1_000)).accepted


def test_two_spends_of_one_coin_in_a_block_are_refused(chain: Chain) -> None:
    (coin,) = chain.mature_coins()
    txs = [pay(coin, key(name), 1_000_000) for name in ("alice", "bob")]
    assert chain.accept(chain.block(txs, fees=2_000)).reason == Reason.BAD_TXNS_INPUTS_MISSINGORSPENT


def test_a_child_may_follow_its_parent_in_one_block_and_not_precede_it(chain: Chain) -> None:
    (coin,) = chain.mature_coins()
    alice = key("alice")
    parent = pay(coin, alice, 1_000_000)
    child = pay(output_of(parent, 0, alice), key("bob"), 500_000)
    assert chain.accept(chain.block([child, parent], fees=2_000)).reason == Reason.BAD_TXNS_INPUTS_MISSINGORSPENT
    assert chain.accept(chain.block([parent, child], fees=2_000)).accepted


def test_a_forged_signature_is_refused(chain: Chain) -> None:
    (coin,) = chain.mature_coins()
    thief = dataclasses.replace(coin, owner=key("thief"))
    verdict = chain.accept(chain.block([pay(thief, key("alice"), 1_000_000)], fees=1_000))
    assert verdict.reason.startswith(Reason.BLOCK_SCRIPT_VERIFY_FLAG_FAILED)


def test_a_block_that_does_not_fit_on_its_branch_is_remembered(chain: Chain) -> None:
    block = chain.block(first=coinbase(9, p2wpkh(chain.miner), SUBSIDY, [], b"wrong height"))
    assert chain.accept(block).reason == Reason.BAD_CB_HEIGHT
    assert chain.accept(block).reason == Reason.DUPLICATE_INVALID
    chain.node = chain.new_writer()
    assert chain.accept(make_block(block.header, 2, p2wpkh(chain.miner))).reason == Reason.BAD_PREVBLK
    assert chain.view.blocks.get(block.hash) is None
    chain.mine()


def test_a_block_with_other_witnesses_than_its_own_is_not_held_against_it(chain: Chain) -> None:
    (coin,) = chain.mature_coins()
    block = chain.block([pay(coin, key("alice"), 1_000_000)], fees=1_000)
    paid = block.transactions[1]
    stripped = Transaction(paid.version, (TxIn(coin.outpoint, b"", paid.inputs[0].sequence, (b"",)),), paid.outputs)
    assert refused(chain, Block(block.header, (block.transactions[0], stripped))).reason == (
        Reason.BAD_WITNESS_MERKLE_MATCH
    )
    assert chain.accept(block).accepted


def test_a_block_on_an_unknown_parent_is_refused_and_changes_nothing(chain: Chain) -> None:
    stranger = make_block(REGTEST.genesis.header, 1, p2wpkh(key("stranger")), tag=b"unknown")
    assert refused(chain, make_block(stranger.header, 2, p2wpkh(chain.miner))).reason == Reason.PREV_BLK_NOT_FOUND


def test_the_same_block_twice_is_a_duplicate_and_changes_nothing(chain: Chain) -> None:
    (block,) = chain.mine()
    assert refused(chain, block).reason == Reason.DUPLICATE


def _with_header(block: Block, **changes: object) -> Block:
    return Block(grind(dataclasses.replace(block.header, **changes)), block.transactions)


def _unsolved(block: Block) -> Block:
    header = block.header
    for nonce in range(1_000):
        tried = BlockHeader(header.version, header.prev_hash, header.merkle_root, header.time, header.bits, nonce)
        if tried.hash[31] & 0x80:
            return Block(tried, block.transactions)
    raise AssertionError("every nonce solves")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_unsolved, Reason.HIGH_HASH),
        (lambda b: _with_header(b, bits=0x207FFFFE), Reason.BAD_DIFFBITS),
        (lambda b: _with_header(b, time=REGTEST.genesis.header.time), Reason.TIME_TOO_OLD),
        (lambda b: _with_header(b, time=4_000_000_000), Reason.TIME_TOO_NEW),
        (lambda b: _with_header(b, version=1), Reason.BAD_VERSION),
        (lambda b: _with_header(b, merkle_root=bytes(32)), Reason.BAD_TXNMRKLROOT),
    ],
)
def test_a_broken_header_is_refused_and_changes_nothing(chain: Chain, change, reason: Reason) -> None:
    chain.mine(12)
    verdict = refused(chain, change(chain.block()))
    assert verdict.reason.split("(")[0] == reason


def test_a_repeated_last_transaction_is_refused_and_the_true_block_is_not(chain: Chain) -> None:
    first, second = chain.mature_coins(2)
    block = chain.block([pay(first, key("alice"), 1_000), pay(second, key("alice"), 1_000)], fees=2_000)
    # The same merkle root: CVE-2012-2459.
    mutated = Block(block.header, (*block.transactions, block.transactions[-1]))
    assert refused(chain, mutated).reason == Reason.BAD_TXNS_DUPLICATE
    assert chain.accept(block).accepted


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (lambda chain: coinbase(1, p2wpkh(chain.miner), -1, [], b"negative"), Reason.BAD_TXNS_VOUT_NEGATIVE),
        (lambda chain: coinbase(1, b"\x51", SUBSIDY, [], b"x" * 99), Reason.BAD_CB_LENGTH),
        (
            lambda chain: Transaction(2, (TxIn(OutPoint(bytes([1] * 32), 0), b"ab"),), (TxOut(1, b"\x51"),)),
            Reason.BAD_CB_MISSING,
        ),
    ],
)
def test_a_broken_coinbase_is_refused_and_changes_nothing(chain: Chain, first, reason: Reason) -> None:
    assert refused(chain, chain.block(first=first(chain))).reason == reason


def test_a_wrong_witness_commitment_is_refused_and_changes_nothing(chain: Chain) -> None:
    (coin,) = chain.mature_coins()
    tx = pay(coin, key("alice"), 1_000_000)
    first = coinbase(chain.view.tip().height + 1, p2wpkh(chain.miner), SUBSIDY, [], b"commits to nothing")
    assert refused(chain, chain.block([tx], first=first)).reason == Reason.BAD_WITNESS_MERKLE_MATCH


def test_a_writer_of_an_older_epoch_is_fenced_off(chain: Chain) -> None:
    old = chain.node
    block = chain.block()
    chain.new_writer()
    before = chain.dump()
    with pytest.raises(StaleWriter):
        chain.accept(block)
    assert chain.dump() == before
    assert chain.node is old


def test_a_change_computed_on_another_tip_is_refused(chain: Chain) -> None:
    chain.node._committer._seq += 1
    with pytest.raises(CommitConflict):
        chain.accept(chain.block())
    assert chain.view.tip().height == 0


def test_the_next_writer_goes_on_where_the_last_one_stopped(chain: Chain) -> None:
    (coin,) = chain.mature_coins()
    tx = pay(coin, key("alice"), 1_000_000)
    assert chain.submit(tx)[0].accepted
    chain.node = chain.new_writer()
    assert tx.txid in chain.node.pool
    chain.mine(txs=[tx], fees=1_000)
    assert len(chain.node.pool) == 0
    assert chain.view.tip().height == chain.node.tree.tip.height


def test_events_tell_what_was_committed_in_order(chain: Chain) -> None:
    (coin,) = chain.mature_coins()
    tx = pay(coin, key("alice"), 1_000_000)
    chain.submit(tx)
    chain.mine(txs=[tx], fees=1_000)
    topics = [topic for topic, _ in chain.events()]
    assert topics[-3:] == ["tx.accepted", "block.connected", "tx.removed"]
    assert chain.view.tip().seq == len(topics)
