"""The kept order chooses what sorting the whole pool anew would choose, whatever has happened to the pool."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mempool.blocks.operator import control
from services.mempool.mining import select_txs as module
from services.mempool.mining.select_txs import select_txs
from services.mempool.pool.pool import Pool
from services.mempool.state import NodeState
from shared.bus.events import ChainControl, ControlAction
from shared.chain.codec import PoolEntry
from shared.chain.commit import PoolRecord
from shared.chain.records import StoredTx
from shared.policy import BLOCK_RESERVED_WEIGHT
from shared.pool import chunk_order
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from tests.builders import output_of, p2wpkh, spend
from tests.properties import with_shared_fixtures
from tests.unit.mempool import plain_choice as plain_module
from tests.unit.mempool.memory import ALICE, MemoryNode, links
from tests.unit.mempool.plain_choice import plain_choice

OUTPUTS = 4
FEW = 8
ROOM = 3_000
"""Weight units of a block here: some transactions do not fit."""


@pytest.fixture
def small_blocks() -> Iterator[None]:
    with (
        patch.object(module, "MAX_BLOCK_WEIGHT", BLOCK_RESERVED_WEIGHT + ROOM),
        patch.object(plain_module, "MAX_BLOCK_WEIGHT", BLOCK_RESERVED_WEIGHT + ROOM),
    ):
        yield


@pytest.fixture
def often_tidied() -> Iterator[None]:
    with patch.object(chunk_order, "_MANY", FEW):
        yield


def chosen_anew(pool: Pool, prioritised: dict[bytes, int]) -> list[bytes]:
    in_order = sorted(pool, key=lambda record: record.entry.sequence)
    return [record.tx.txid for record in plain_choice(in_order, pool.graph, prioritised)]


def chosen(pool: Pool) -> list[bytes]:
    return [record.tx.txid for record in select_txs(pool)]


class Play:
    """A pool and random changes of it."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        self.prioritised: dict[bytes, int] = {}
        self.pool = Pool(prioritised=self.prioritised)
        self.left: list[PoolRecord] = []
        self.next = 0

    def add(self) -> None:
        """A transaction enters, with up to three parents in the pool."""
        unspent = [
            OutPoint(record.tx.txid, vout)
            for record in self.pool
            for vout in range(OUTPUTS)
            if self.pool.spender(OutPoint(record.tx.txid, vout)) is None
        ]
        parents = self.data.draw(st.lists(st.sampled_from(unspent), max_size=3, unique=True)) if unspent else []
        self.next += 1
        own = [] if parents and self.data.draw(st.booleans()) else [OutPoint(self.next.to_bytes(32), 0)]
        script = bytes(self.data.draw(st.sampled_from([0, 10, 200])))
        inputs = tuple(TxIn(prevout, script) for prevout in [*parents, *own])
        tx = Transaction(2, inputs, (TxOut(1, b""),) * OUTPUTS)
        fee, cost = self.data.draw(st.integers(0, 50)) ** 2, self.data.draw(st.sampled_from([0, 4, 90]))
        entry = PoolEntry(tx.wtxid, fee, tx.vsize, tx.weight, cost, 0, self.next)
        self.pool.add(PoolRecord(tx, entry, ()))

    def any(self) -> bytes | None:
        txids = [record.tx.txid for record in self.pool]
        return self.data.draw(st.sampled_from(txids)) if txids else None

    def remove(self) -> None:
        """A transaction leaves, its children stay: it is mined."""
        txid = self.any()
        if txid is not None:
            self.left.append(self.pool.remove(txid))

    def evict(self) -> None:
        """A transaction leaves with all that descends from it: it is replaced."""
        txid = self.any()
        if txid is not None:
            for descendant in self.pool.descendants([txid]):
                self.pool.remove(descendant)

    def return_one(self) -> None:
        """A mined transaction comes back before its children, newer than they are."""
        if self.left:
            self.pool.add(self.left.pop())

    def prioritise(self) -> None:
        """A fee counts as another one; also of transactions that are not here."""
        txid = self.any() or bytes(32)
        delta = self.data.draw(st.integers(-500, 2_500))
        if delta:
            self.prioritised[txid] = delta
        else:
            self.prioritised.pop(txid, None)
        self.pool.reprioritise(txid)


@pytest.mark.usefixtures("small_blocks", "often_tidied")
@with_shared_fixtures(100)
@given(st.data())
def test_the_choice_is_the_same_after_any_changes(data: st.DataObject) -> None:
    play = Play(data)
    changes = [play.add, play.add, play.add, play.remove, play.evict, play.return_one, play.prioritise]
    for number in data.draw(st.lists(st.integers(0, len(changes) - 1), min_size=1, max_size=25)):
        changes[number]()
        if data.draw(st.booleans()):
            assert chosen(play.pool) == chosen_anew(play.pool, play.prioritised)
    assert chosen(play.pool) == chosen_anew(play.pool, play.prioritised)
    stored = [StoredTx(record.txid, record.raw, record.entry, ()) for record in play.pool]
    spends = {txin.prevout: record.txid for record in play.pool for txin in record.tx.inputs}
    loaded = Pool.stored(map(PoolRecord.stored, stored), spends, play.prioritised)
    with patch.object(Transaction, "parse", side_effect=AssertionError("nothing is parsed")):
        assert [record.txid for record in select_txs(loaded)] == chosen(play.pool), "loaded from the store"
    assert links(loaded) == links(play.pool)
    assert (loaded.vsize, loaded.least_weight()) == (play.pool.vsize, play.pool.least_weight())
    for record in list(play.pool):
        assert loaded.remove(record.txid).tx == record.tx
    assert all(loaded.spender(outpoint) is None for outpoint in spends)


def family_of(node: MemoryNode, data: st.DataObject, coins: list) -> Transaction:
    """A transaction that spends one or two of these coins, whose outputs replace them."""
    spent = [coins.pop(data.draw(st.integers(0, len(coins) - 1))) for _ in range(min(len(coins), 2))]
    fee = data.draw(st.integers(200, 5_000))
    share = (sum(coin.output.value for coin in spent) - fee) // 2
    tx = spend(spent, [TxOut(share, p2wpkh(ALICE))] * 2)
    coins += [output_of(tx, vout, ALICE) for vout in range(2)]
    return tx


@pytest.mark.usefixtures("small_blocks", "often_tidied")
@with_shared_fixtures(25)
@given(st.data())
def test_the_choice_is_the_same_through_blocks_reorganisations_and_priorities(data: st.DataObject) -> None:
    node = MemoryNode()
    coins = [node.coin(owner=ALICE) for _ in range(4)]

    def check(node: NodeState) -> None:
        assert chosen(node.pool) == chosen_anew(node.pool, node.prioritised)

    for _ in range(data.draw(st.integers(1, 4))):
        for _ in range(data.draw(st.integers(1, 4))):
            assert node.send_one(family_of(node, data, coins)).accepted
        check(node)
        txid = data.draw(st.sampled_from([record.tx.txid_hex for record in node.pool] or ["ab" * 32]))
        order = ChainControl(
            action=ControlAction.PRIORITISE, txid=txid, fee_delta=data.draw(st.integers(-3_000, 9_000))
        )
        assert control(node, order).done
        check(node)
        match data.draw(st.sampled_from(["block", "reorganisation", "nothing"])):
            case "block":
                txs = [record.tx for record in select_txs(node.pool)]
                node.mine(txs, fees=sum(record.entry.fee for record in select_txs(node.pool)))
            case "reorganisation" if node.tree.tip.height:
                parent = node.tree.tip.header.prev_hash
                height = node.tree.tip.height
                below = None if height == 1 else node.view.raw_blocks[parent]
                for block in node.branch(below, 2, tag=bytes([height])):
                    node.accept_block(block)
                assert node.tree.tip.height == height + 1
        check(node)


def one_family(count: int, fee: int, own: bytes, rise: int = 1) -> list[PoolRecord]:
    """A chain of transactions: one chunk if the fees rise, each its own if they fall."""
    records: list[PoolRecord] = []
    prevout = OutPoint(own * 32, 0)
    for number in range(count):
        tx = Transaction(2, (TxIn(prevout, bytes(2)),), (TxOut(1, own),))
        entry = PoolEntry(tx.wtxid, fee + number * rise, tx.vsize, tx.weight, 0, 0, own[0] * 100 + number)
        records.append(PoolRecord(tx, entry, ()))
        prevout = OutPoint(tx.txid, 0)
    return records


@pytest.fixture
def linearized() -> Iterator[list[int]]:
    """Sizes of the clusters that are linearized, as it happens."""
    sizes: list[int] = []
    work = chunk_order.linearize_cluster

    def count(members, graph):
        sizes.append(len(members))
        return work(members, graph)

    with patch.object(chunk_order, "linearize_cluster", count):
        yield sizes


def test_a_cluster_is_linearized_once_and_again_only_after_a_change_of_it(linearized: list[int]) -> None:
    rich, poor = one_family(5, 9_000, b"\x01"), one_family(7, 1_000, b"\x02", rise=-1)
    pool = Pool([*rich, *poor])
    assert linearized == [], "nobody has asked yet"
    assert chosen(pool) == [record.tx.txid for record in [*rich, *poor]]
    assert chosen(pool) == [record.tx.txid for record in [*rich, *poor]]
    assert linearized == [5, 7]
    pool.reprioritise(poor[0].tx.txid)
    assert len(chosen(pool)) == 12
    assert linearized == [5, 7, 7]
    pool.remove(rich[2].tx.txid)
    assert len(chosen(pool)) == 11
    assert linearized[3:] == [2, 2]


@pytest.mark.usefixtures("small_blocks")
def test_what_a_full_block_has_no_room_for_is_not_linearized(linearized: list[int]) -> None:
    families = [one_family(10, 1_000 * fee, bytes([fee]), rise=-1) for fee in range(1, 10)]
    pool = Pool(record for family in families for record in family)
    assert len(chosen(pool)) == ROOM // families[0][0].entry.weight
    assert len(linearized) == 2


@pytest.mark.usefixtures("small_blocks")
def test_a_small_transaction_at_the_end_still_fills_a_block() -> None:
    records = one_family(12, 1_000, b"\x01", rise=-1)
    weight = records[0].entry.weight
    small = Transaction(2, (TxIn(OutPoint(bytes(32), 7), b""),), ())
    last = PoolRecord(small, PoolEntry(small.wtxid, 1, small.vsize, small.weight, 0, 0, 9_999), ())
    assert small.weight <= ROOM % weight < weight
    pool = Pool([*records, last])
    assert pool.least_weight() == small.weight
    assert chosen(pool)[-1] == small.txid
    pool.remove(small.txid)
    assert pool.least_weight() == weight


@pytest.mark.usefixtures("often_tidied")
def test_outdated_ranks_do_not_pile_up() -> None:
    records = one_family(20, 1_000, b"\x01")
    pool = Pool(records)
    order = pool._order
    for _ in range(10):
        pool.reprioritise(records[0].tx.txid)
        assert len(chosen(pool)) == 20
    assert len(order._ranked) + len(order._recent) < 40
    for record in records:
        pool.remove(record.tx.txid)
    assert len(order._ranked) + len(order._recent) <= 2 * FEW + FEW // 8
