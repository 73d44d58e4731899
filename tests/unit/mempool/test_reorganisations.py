"""The transactions that a reorganisation returns to the pool, their order, and the ones that it removes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import pytest

from services.mempool.blocks import activate
from services.mempool.blocks.pool_after_move import Returning
from shared.bus.events import BlockConnected, BlockDisconnected, Removal, TxAccepted, TxRemoved
from shared.primitives.block import Block
from shared.primitives.transaction import TxOut
from tests.builders import output_of, p2wpkh, pay, spend
from tests.unit.mempool.memory import ALICE, BOB, MemoryNode, family


@pytest.fixture
def node() -> MemoryNode:
    return MemoryNode()


def reorganise(node: MemoryNode, on: Block, length: int, **options) -> None:
    """Make a branch above `on` the best chain."""
    for block in node.branch(on, length, **options):
        assert node.accept_block(block).accepted
    assert node.tree.tip.hash == block.hash


@pytest.mark.parametrize("blocks", [[4], [1, 3], [2, 2], [1, 1, 1, 1]])
@pytest.mark.parametrize("chunk", [1, 2, 50])
def test_parents_and_children_return_together_from_any_blocks(
    node: MemoryNode, blocks: list[int], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activate, "CHUNK", chunk)
    base = node.mine()
    txs = family(node, 4)
    left = list(txs)
    for count in blocks:
        node.mine(left[:count], fees=1_000 * count)
        del left[:count]
    first = node.next_sequence
    reorganise(node, base, len(blocks) + 1)
    added = node.deltas[-1].pool_added
    assert [record.tx for record in added] == txs, "in the order of the chain"
    assert [record.entry.sequence for record in added] == [first, first + 1, first + 2, first + 3]
    assert [item.tx for item in node.pool] == txs
    assert node.next_sequence == first + 4
    assert node.pool.ancestors([txs[-1].txid]).keys() == {tx.txid for tx in txs}
    node.mine(txs, fees=4_000)
    assert node.view.pool == {}
    assert len(node.pool) == 0


def test_transactions_of_one_block_return_in_its_order(node: MemoryNode) -> None:
    base = node.mine()
    (a, b), (c, d) = family(node, 2), family(node, 2)
    block = node.mine([a, c, b, d], fees=4_000)
    reorganise(node, base, 2)
    assert [item.tx for item in node.pool] == list(block.transactions[1:])


def test_what_waits_stays_behind_what_returns_and_finds_its_parent(node: MemoryNode) -> None:
    base = node.mine()
    parent, child = family(node, 2)
    node.mine([parent], fees=1_000)
    other = pay(node.coin(), BOB, 1_000_000)
    assert node.send_one(child).accepted
    assert node.send_one(other).accepted
    before = {txid: record.entry for txid, record in node.view.pool.items()}
    reorganise(node, base, 2)
    assert [item.tx for item in node.pool] == [parent, child, other]
    assert {txid: node.view.pool[txid].entry for txid in before} == before, "these were not touched"
    assert [record.tx for record in node.deltas[-1].pool_added] == [parent]
    assert node.deltas[-1].pool_removed == []
    assert node.pool.graph.children(parent.txid) == {child.txid}


def test_a_child_that_entered_before_its_parent_returned_stays_through_the_next_reorganisation(
    node: MemoryNode,
) -> None:
    base = node.mine()
    parent, child, grandchild = family(node, 3)
    second = node.mine([parent], fees=1_000)
    assert node.send(child, grandchild).verdicts[1].accepted
    reorganise(node, base, 2)
    assert [item.tx for item in node.pool] == [parent, child, grandchild]
    reorganise(node, second, 2)
    assert [item.tx for item in node.pool] == [child, grandchild]
    reorganise(node, base, 4, tag=b"third")
    assert [item.tx for item in node.pool] == [parent, child, grandchild]
    assert node.view.pool_in_order() == [child.txid, grandchild.txid, parent.txid]
    before = node.next_sequence
    reorganise(node, base, 5, tag=b"fourth")
    assert [item.tx for item in node.pool] == [parent, child, grandchild]
    assert node.next_sequence == before, "nobody has left or come"


def test_what_conflicts_with_the_new_branch_leaves_with_its_descendants(node: MemoryNode) -> None:
    base = node.mine()
    coin = node.coin(owner=ALICE)
    parent = spend([coin], [TxOut(coin.output.value - 1_000, p2wpkh(ALICE))])
    child = spend([output_of(parent, 0, ALICE)], [TxOut(1_000_000, p2wpkh(BOB))])
    rival = pay(coin, BOB, 2_000_000)
    stays = pay(node.coin(), BOB, 1_000_000)
    node.mine([parent], fees=1_000)
    for tx in (child, stays):
        assert node.send_one(tx).accepted
    reorganise(node, base, 2, txs=[rival], fees=1_000)
    assert [item.tx for item in node.pool] == [stays]
    removed = [event for event in node.deltas[-1].events if isinstance(event, TxRemoved)]
    assert removed == [TxRemoved(txid=child.txid_hex, why=Removal.CONFLICT)]
    assert node.view.pool.keys() == {stays.txid}


def test_what_waits_and_the_new_branch_confirms_is_told_as_mined(node: MemoryNode) -> None:
    base = node.mine()
    node.mine()
    parent, child = family(node, 2)
    for tx in (parent, child):
        assert node.send_one(tx).accepted
    reorganise(node, base, 2, txs=[parent], fees=1_000)
    events = node.deltas[-1].events
    assert TxRemoved(txid=parent.txid_hex, why=Removal.MINED) in events
    assert not any(isinstance(event, TxAccepted) for event in events)
    assert [item.tx for item in node.pool] == [child]
    assert node.pool.graph.parents(child.txid) == set()


def test_a_transaction_of_both_branches_is_neither_given_back_nor_told_of(node: MemoryNode) -> None:
    base = node.mine()
    parent, child = family(node, 2)
    node.mine([parent, child], fees=2_000)
    reorganise(node, base, 2, txs=[parent], fees=1_000)
    assert [item.tx for item in node.pool] == [child]
    told = [event.txid for event in node.deltas[-1].events if isinstance(event, TxAccepted | TxRemoved)]
    assert told == [child.txid_hex]


def test_what_was_confirmed_returns_whatever_it_pays_and_however_it_looks(node: MemoryNode) -> None:
    base = node.mine()
    free = pay(node.coin(), BOB, 1_000_000, fee=0)
    odd = spend([node.coin()], [TxOut(10_000_000 - 1_000, b"\x51")], version=7)
    assert not node.send_one(free).accepted
    assert not node.send_one(odd).accepted
    node.mine([free, odd], fees=1_000)
    reorganise(node, base, 2)
    assert [item.tx for item in node.pool] == [free, odd]


def test_what_is_not_final_yet_on_a_lower_tip_leaves_with_its_children(node: MemoryNode) -> None:
    base = node.mine()
    node.mine()
    node.mine()
    coin = node.coin(owner=ALICE)
    locked = spend([coin], [TxOut(coin.output.value - 1_000, p2wpkh(ALICE))], lock_time=3)
    child = spend([output_of(locked, 0, ALICE)], [TxOut(1_000_000, p2wpkh(BOB))])
    for tx in (locked, child):
        assert node.send_one(tx).accepted
    entry = node.tree.best_at(2)
    assert entry is not None
    node.tree.mark_failed(entry)
    node.tree.find_candidates()
    activate.activate(node, activate.Change())
    assert node.tree.tip.hash == base.hash
    assert len(node.pool) == 0
    assert node.view.pool == {}


def test_the_events_of_a_reorganisation_come_in_the_order_of_what_happened(node: MemoryNode) -> None:
    base = node.mine()
    parent, child = family(node, 2)
    one = node.mine([parent], fees=1_000)
    two = node.mine([child], fees=1_000)
    waiting = pay(node.coin(), BOB, 1_000_000)
    assert node.send_one(waiting).accepted
    rivals = node.branch(base, 3, txs=[waiting], fees=1_000)
    for block in rivals:
        assert node.accept_block(block).accepted
    events = node.deltas[-1].events
    blocks = [(type(event), event.hash) for event in events if isinstance(event, BlockConnected | BlockDisconnected)]
    assert blocks == [
        (BlockDisconnected, two.hash_hex),
        (BlockDisconnected, one.hash_hex),
        *((BlockConnected, block.hash_hex) for block in rivals),
    ]
    assert [type(event) for event in events[5:]] == [TxRemoved, TxAccepted, TxAccepted]
    assert [event.txid for event in events[6:]] == [parent.txid_hex, child.txid_hex]
    connected = [event for event in events if isinstance(event, BlockConnected)]
    assert [(event.height, event.tx_count) for event in connected] == [(2, 2), (3, 1), (4, 1)]


def test_a_block_takes_what_it_confirms_and_what_conflicts_out_of_the_pool(node: MemoryNode) -> None:
    parent, child = family(node, 2)
    coin = node.coin(owner=ALICE)
    loser = spend([coin], [TxOut(coin.output.value - 1_000, p2wpkh(ALICE))])
    orphaned = spend([output_of(loser, 0, ALICE)], [TxOut(1_000_000, p2wpkh(BOB))])
    winner = pay(coin, BOB, 2_000_000)
    for tx in (parent, child, loser, orphaned):
        assert node.send_one(tx).accepted
    node.mine([parent, winner], fees=2_000)
    why = {event.txid: event.why for event in node.deltas[-1].events if isinstance(event, TxRemoved)}
    assert why == {
        parent.txid_hex: Removal.MINED,
        loser.txid_hex: Removal.CONFLICT,
        orphaned.txid_hex: Removal.CONFLICT,
    }
    assert [item.tx for item in node.pool] == [child]


def test_a_priority_ends_when_its_transaction_is_mined_and_only_then(node: MemoryNode) -> None:
    mined, waits = pay(node.coin(), BOB, 1_000_000), pay(node.coin(), BOB, 1_000_000)
    for tx in (mined, waits):
        node.prioritise(tx.txid, 500)
        assert node.send_one(tx).accepted
    node.mine([mined], fees=1_000)
    assert node.prioritised == {waits.txid: 500}
    assert node.deltas[-1].prioritised == {mined.txid: 0}


def noting(read: Callable[[Sequence[object]], object], sizes: list[int]) -> Callable[[Sequence[object]], object]:
    """Wrap a read so that it records the number of items in each call."""

    def noted(keys: Sequence[object]) -> object:
        sizes.append(len(keys))
        return read(keys)

    return noted


def test_a_reorganisation_reads_blocks_and_coins_by_the_chunk(
    node: MemoryNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert activate.CHUNK == 50
    monkeypatch.setattr(activate, "CHUNK", 2)
    base = node.mine()
    for _ in range(4):
        node.mine()
    rivals = node.branch(base, 5)
    for block in rivals[:-1]:
        assert node.accept_block(block).accepted
    reads: dict[str, list[int]] = {"get_many": [], "undos": [], "coins": []}
    for name, sizes in reads.items():
        monkeypatch.setattr(node.view, name, noting(getattr(node.view, name), sizes))
    assert node.accept_block(rivals[-1]).accepted
    assert node.tree.tip.hash == rivals[-1].hash
    assert reads["get_many"] == [2, 2, 2, 2, 0]
    assert reads["undos"] == [2, 2]
    assert len(reads["coins"]) == 2 + 3


@pytest.mark.parametrize("missing", [0, 1])
def test_of_too_many_transactions_that_return_the_latest_are_dropped(node: MemoryNode, missing: int) -> None:
    first, second = (node.mine(family(node, 2), fees=2_000) for _ in range(2))
    txs = [*first.transactions[1:], *second.transactions[1:]]
    returning = Returning(sum(tx.size for tx in txs) - missing)
    for block in (second, first):
        returning.add(block)
    assert list(returning) == txs[: len(txs) - missing]


def test_room_for_transactions_that_return_is_kept_while_blocks_are_taken_off(node: MemoryNode) -> None:
    blocks = [node.mine(family(node, 2), fees=2_000) for _ in range(4)]
    returning = Returning(blocks[0].transactions[1].size)
    for block in reversed(blocks):
        returning.add(block)
        assert list(returning) == [block.transactions[1]], "the earliest so far"
    assert list(Returning(0)) == []


def test_a_transaction_whose_parent_is_dropped_leaves_the_pool(
    node: MemoryNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = node.mine()
    parent, child, grandchild = family(node, 3)
    node.mine([parent], fees=1_000)
    node.mine([child], fees=1_000)
    assert node.send_one(grandchild).accepted
    monkeypatch.setattr(activate, "Returning", lambda: Returning(parent.size))
    reorganise(node, base, 3)
    assert [item.tx for item in node.pool] == [parent]
    removed = [event for event in node.deltas[-1].events if isinstance(event, TxRemoved)]
    assert [(event.txid, event.why) for event in removed] == [(grandchild.txid_hex, Removal.CONFLICT)]


@pytest.mark.parametrize(
    ("sizes", "chunks"),
    [([2, 2], [2]), ([2, 3], [1, 1]), ([5], [1]), ([5, 1, 5], [1, 1, 1]), ([1] * 9, [4, 4, 1]), ([0] * 6, [5, 1])],
)
def test_blocks_are_read_in_chunks_of_so_many_bytes_or_one_block(
    node: MemoryNode, sizes: list[int], chunks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activate, "CHUNK", 5)
    monkeypatch.setattr(activate, "CHUNK_BYTES", 4)
    entries = [dataclasses.replace(node.tree.tip, size=size) for size in sizes]
    found = list(activate._chunks(entries))
    assert [len(chunk) for chunk in found] == chunks
    assert [entry for chunk in found for entry in chunk] == entries
