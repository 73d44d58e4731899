"""Which transactions a block gets, in which order, and how full it gets: each limit exactly."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mempool.mining.select_txs import chosen_txs, select_txs
from services.mempool.pool.pool import Pool
from shared.chain.codec import PoolEntry
from shared.chain.commit import PoolRecord
from shared.consensus.limits import MAX_BLOCK_SIGOPS_COST, MAX_BLOCK_WEIGHT
from shared.errors import DecodeError
from shared.policy import BLOCK_MIN_FEERATE, BLOCK_RESERVED_SIGOPS, BLOCK_RESERVED_WEIGHT, policy_vsize
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from tests.builders import output_of, p2wpkh, pay, spend
from tests.unit.mempool.memory import ALICE, BOB, MemoryNode


@dataclass
class Family:
    """Transactions of a pool by number, and what the operator added to their fees."""

    items: list[PoolRecord]
    added: dict[int, int] = field(default_factory=dict)

    def selected(self) -> list[int]:
        """Return the numbers of the transactions that a block gets, in its order."""
        prioritised = {self.items[number].tx.txid: delta for number, delta in self.added.items()}
        return [self.items.index(item) for item in select_txs(Pool(self.items, prioritised))]

    def change(self, number: int, **fields: int) -> None:
        item = self.items[number]
        self.items[number] = PoolRecord(item.tx, msgspec.structs.replace(item.entry, **fields), ())


def pooled(tx: Transaction, number: int, fee: int, sigops: int) -> PoolRecord:
    vsize = policy_vsize(tx.weight, sigops)
    return PoolRecord(tx, PoolEntry(tx.wtxid, fee, vsize, tx.weight, sigops, 0, number), ())


def family(
    fees: list[int], parents: dict[int, list[int]] | None = None, sizes: list[int] | None = None, sigops: int = 4
) -> Family:
    """Return transactions with scripts of 100 bytes or these sizes; `parents` maps a child to its parents."""
    txs: list[Transaction] = []
    for number in range(len(fees)):
        prevouts = [OutPoint(txs[parent].txid, number) for parent in (parents or {}).get(number, ())]
        first, *others = prevouts or [OutPoint(bytes([number + 1]) * 32, 0)]
        script = bytes(sizes[number] if sizes else 100)
        inputs = (TxIn(first, script), *(TxIn(prevout, b"") for prevout in others))
        txs.append(Transaction(2, inputs, tuple([TxOut(1, b"")] * len(fees))))
    return Family([pooled(tx, number, fee, sigops) for number, (tx, fee) in enumerate(zip(txs, fees, strict=True))])


def sized(number: int, weight: int, fee: int = 1_000, sigops: int = 0) -> PoolRecord:
    """A transaction without family that weighs so much."""

    def made(size: int, items: tuple[bytes, ...] = ()) -> Transaction:
        return Transaction(2, (TxIn(OutPoint(bytes([number]) * 32, 0), bytes(size), 0, items),), (TxOut(1, b""),))

    size = (weight - made(0).weight) // 4 - 20
    tx = made(size)
    while tx.weight < weight:
        spare = weight - made(size, (b"",)).weight
        tx = made(size, (bytes(spare),)) if 0 <= spare < 250 else tx
        size += 1
    assert tx.weight == weight
    return pooled(tx, number, fee, sigops)


def test_the_best_feerate_comes_first() -> None:
    assert family([100, 300, 200]).selected() == [1, 2, 0]


def test_of_equal_feerates_the_first_in_the_pool_comes_first() -> None:
    assert family([100, 100, 100]).selected() == [0, 1, 2]
    assert family([100, 100, 100, 100], {2: [0], 3: [1]}).selected() == [0, 2, 1, 3]


def test_a_child_pays_for_its_parent() -> None:
    assert family([10, 1_000, 300], {1: [0]}).selected() == [0, 1, 2]


def test_a_parent_that_pays_well_does_not_wait_for_a_poor_child() -> None:
    assert family([1_000, 10, 300], {1: [0]}).selected() == [0, 2, 1]


def test_a_second_child_pays_for_itself_alone_once_the_parent_is_in() -> None:
    # Parent 0 and child 1 pay 505 on average; child 2 would bring the chunk down, but alone it beats 3.
    assert family([10, 1_000, 400, 300], {1: [0], 2: [0]}).selected() == [0, 1, 2, 3]


def test_children_pay_for_their_parent_together() -> None:
    # Alone with its parent either child pays 550 on average; all three pay 700, more than 3 does.
    assert family([100, 1_000, 1_000, 650], {1: [0], 2: [0]}).selected() == [0, 1, 2, 3]


def test_a_deep_family_comes_generation_by_generation() -> None:
    # 3 spends 2 and 1, which spend 0: the one that pays is the last.
    assert family([0, 0, 0, 10**6], {1: [0], 2: [0], 3: [1, 2]}).selected() == [0, 1, 2, 3]
    assert family([5, 4, 3, 2, 10**6], {1: [0], 2: [1], 3: [2], 4: [3]}).selected() == [0, 1, 2, 3, 4]


def test_a_descendant_is_judged_without_an_ancestor_that_pays_for_itself() -> None:
    # 0 pays well alone; 2 pays for its poor parent 1 but not as well as 3.
    assert family([10_000, 10, 2_000, 1_100], {1: [0], 2: [1]}).selected() == [0, 3, 1, 2]
    assert family([10_000, 10, 2_000, 900], {1: [0], 2: [1]}).selected() == [0, 1, 2, 3]


def test_signature_operations_count_as_size() -> None:
    found = family([1_000, 900])
    found.change(0, sigop_cost=200)
    assert found.selected() == [1, 0]


def test_what_does_not_fit_is_left_out_with_its_descendants() -> None:
    huge = MAX_BLOCK_WEIGHT // 4 + 1_500
    assert family([10**9, 10, 1_000], {1: [0]}, sizes=[huge, 100, 100]).selected() == [2]


def test_what_follows_from_something_that_does_not_fit_is_left_out_and_the_rest_goes_on() -> None:
    found = family([10**6, 10**5, 500, 400], {1: [0]})
    found.change(0, sigop_cost=MAX_BLOCK_SIGOPS_COST)
    assert found.selected() == [2, 3]


def test_a_block_is_filled_up_with_what_still_fits() -> None:
    half = MAX_BLOCK_WEIGHT // 8
    assert family([10**9, 10**8, 1_000], sizes=[half, half, 100]).selected() == [0, 2]


@pytest.mark.parametrize(("excess", "chosen"), [(0, [0, 1]), (1, [0])])
def test_a_block_is_filled_to_the_last_unit_of_weight(excess: int, chosen: list[int]) -> None:
    room = MAX_BLOCK_WEIGHT - BLOCK_RESERVED_WEIGHT
    assert Family([sized(1, room - 1_000_000, fee=10**8), sized(2, 1_000_000 + excess)]).selected() == chosen


@pytest.mark.parametrize(("excess", "chosen"), [(0, [0, 1]), (1, [0])])
def test_a_block_is_filled_to_the_last_signature_operation(excess: int, chosen: list[int]) -> None:
    room = MAX_BLOCK_SIGOPS_COST - BLOCK_RESERVED_SIGOPS
    found = Family([sized(1, 1_000, fee=10**9, sigops=room - 20), sized(2, 1_000, sigops=20 + excess)])
    assert found.selected() == chosen


def test_both_limits_must_hold_for_the_whole_chunk() -> None:
    found = family([1_000, 100_000], {1: [0]})
    found.change(0, sigop_cost=MAX_BLOCK_SIGOPS_COST - BLOCK_RESERVED_SIGOPS - 3)
    found.change(1, sigop_cost=3)
    assert found.selected() == [0, 1]
    found.change(1, sigop_cost=4)
    assert found.selected() == [0], "the parent fits by itself, and is chosen when its child does not"


def test_a_chunk_that_does_not_fit_gives_what_fits_of_it_at_the_end() -> None:
    # 0 to 2 are one chunk for their child 3, and do not fit with it; 5 spends 3, which is left out; 4 pays less.
    found = family([10, 10, 10, 10**6, 500, 10**3], {3: [0, 1, 2], 5: [3]})
    found.change(3, sigop_cost=MAX_BLOCK_SIGOPS_COST)
    assert found.selected() == [4, 0, 1, 2]
    found.change(1, fee=0)
    assert found.selected() == [4, 0, 2], "nor is anything mined that pays less than the least feerate by itself"


@pytest.mark.parametrize(("fee", "chosen"), [(0, []), (1, [0])])
def test_the_least_feerate_is_a_satoshi_for_a_thousand_vbytes(fee: int, chosen: list[int]) -> None:
    assert BLOCK_MIN_FEERATE == 1
    assert family([fee]).selected() == chosen


def test_what_pays_nothing_is_not_mined_unless_a_child_pays_for_it() -> None:
    assert family([0]).selected() == []
    assert family([0, 1_000], {1: [0]}).selected() == [0, 1]


def test_a_priority_counts_for_the_choice() -> None:
    found = family([1_000, 2_000])
    found.added = {0: 4_000}
    assert found.selected() == [0, 1]
    found.added = {1: -2_000}
    assert found.selected() == [0]


@given(st.data())
def test_parents_come_first_and_limits_hold_for_any_family(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 14))
    parents = {n: data.draw(st.lists(st.integers(0, n - 1), max_size=3, unique=True)) for n in range(1, count)}
    fees = data.draw(st.lists(st.integers(1_000, 100_000), min_size=count, max_size=count))
    sizes = data.draw(st.lists(st.sampled_from([10, 500, 400_000]), min_size=count, max_size=count))
    found = family(fees, parents, sizes)
    chosen = found.selected()
    assert len(set(chosen)) == len(chosen)
    for place, number in enumerate(chosen):
        assert set(parents.get(number, [])) <= set(chosen[:place])
    weights = [item.tx.weight for item in found.items]
    assert BLOCK_RESERVED_WEIGHT + sum(weights[number] for number in chosen) <= MAX_BLOCK_WEIGHT
    if sum(weights) + BLOCK_RESERVED_WEIGHT <= MAX_BLOCK_WEIGHT:
        assert len(chosen) == count, "nothing is left out without need"


def test_the_pool_of_the_writer_is_selected_from_with_its_families_and_priorities() -> None:
    node = MemoryNode()
    parent = pay(node.coin(), ALICE, 1_000_000, fee=700)
    child = spend([output_of(parent, 0, ALICE)], [TxOut(900_000, p2wpkh(BOB))])
    alone = pay(node.coin(), BOB, 1_000_000)
    for tx in (parent, child, alone):
        assert node.send_one(tx).accepted

    def selected() -> list[Transaction]:
        return [item.tx for item in select_txs(node.pool)]

    assert selected() == [parent, child, alone]
    node.prioritise(alone.txid, 10**6)
    assert selected() == [alone, parent, child]
    node.prioritise(child.txid, -100_000)
    assert selected() == [alone, parent], "a child that counts as paying nothing is left out"


def test_a_choice_names_transactions_of_the_pool_or_gives_their_bytes() -> None:
    node = MemoryNode()
    pooled, raw = pay(node.coin(), ALICE, 1_000_000), pay(node.coin(), BOB, 1_000_000)
    assert node.send_one(pooled).accepted
    assert chosen_txs(node, [pooled.txid_hex.upper(), raw.serialize().hex()]) == [pooled, raw]
    for name, error in (
        ("AB" * 32, f"Transaction {'ab' * 32} not in mempool."),
        ("ab" * 31, f"Transaction decode failed for {'ab' * 31}. Make sure the tx has at least one input."),
        ("", "Transaction decode failed for . Make sure the tx has at least one input."),
    ):
        with pytest.raises(DecodeError) as caught:
            chosen_txs(node, [name])
        assert str(caught.value) == error
