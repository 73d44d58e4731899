"""The pool's relations after any additions and removals, compared with relations computed anew."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.mempool.pool.pool import Pool
from shared.chain.codec import PoolEntry
from shared.chain.commit import PoolRecord
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from tests.unit.mempool.memory import links

OUTPUTS = 3


def record(tx: Transaction, sequence: int) -> PoolRecord:
    return PoolRecord(tx, PoolEntry(tx.wtxid, 100, tx.vsize, tx.weight, 0, 0, sequence), ())


@st.composite
def families(draw: st.DrawFn) -> list[Transaction]:
    """Return transactions that each spend a coin of their own and unspent outputs of earlier ones."""
    txs: list[Transaction] = []
    free: list[OutPoint] = []
    for number in range(draw(st.integers(1, 9))):
        spent = [free.pop(draw(st.integers(0, len(free) - 1))) for _ in range(draw(st.integers(0, min(3, len(free)))))]
        inputs = (OutPoint(bytes([number + 1]) * 32, 7), *spent)
        outputs = tuple(TxOut(number, bytes(vout)) for vout in range(OUTPUTS))
        txs.append(Transaction(2, tuple(TxIn(outpoint, b"") for outpoint in inputs), outputs))
        free += [OutPoint(txs[-1].txid, vout) for vout in range(OUTPUTS)]
    return txs


def parents_of(tx: Transaction, present: list[Transaction]) -> set[bytes]:
    return {txin.prevout.txid for txin in tx.inputs} & {other.txid for other in present}


def reach(start: bytes, step: dict[bytes, set[bytes]]) -> set[bytes]:
    found, pending = set(), {start}
    while pending:
        found |= pending
        pending = {other for txid in pending for other in step[txid]} - found
    return found


def check(pool: Pool, present: list[Transaction]) -> None:
    parents = {tx.txid: parents_of(tx, present) for tx in present}
    children = {txid: {other for other in parents if txid in parents[other]} for txid in parents}
    both = {txid: parents[txid] | children[txid] for txid in parents}
    assert links(pool) == {txid: (parents[txid], children[txid]) for txid in parents}
    assert all(pool.graph.is_alone(txid) == (not both[txid]) for txid in both)
    assert (len(pool), pool.vsize) == (len(present), sum(tx.vsize for tx in present))
    spends = {txin.prevout: tx.txid for tx in present for txin in tx.inputs}
    assert {outpoint: pool.spender(outpoint) for outpoint in spends} == spends
    for tx in present:
        assert pool.ancestors([tx.txid]).keys() == reach(tx.txid, parents)
        assert pool.descendants([tx.txid]).keys() == reach(tx.txid, children)
        assert [cluster.keys() for cluster in pool.clusters([tx.txid])] == [reach(tx.txid, both)]
    clusters = [frozenset(cluster) for cluster in pool.clusters(parents)]
    assert len(set(clusters)) == len(clusters)
    assert set(clusters) == {frozenset(reach(txid, both)) for txid in parents}


@given(families(), st.data())
def test_families_are_right_whatever_comes_goes_and_comes_back(txs: list[Transaction], data: st.DataObject) -> None:
    pool = Pool()
    present: list[Transaction] = []
    for sequence, tx in enumerate(txs):
        pool.add(record(tx, sequence))
        present.append(tx)
    check(pool, present)
    gone = data.draw(st.lists(st.sampled_from(txs), unique_by=lambda tx: tx.txid))
    for tx in gone:
        assert pool.remove(tx.txid).tx == tx
        present.remove(tx)
        check(pool, present)
    for tx in data.draw(st.permutations(gone)):
        pool.add(record(tx, 0))
        present.append(tx)
        check(pool, present)


@given(families(), st.randoms())
def test_a_pool_is_loaded_in_the_order_of_entry(txs: list[Transaction], random) -> None:
    records = [record(tx, sequence) for sequence, tx in enumerate(txs)]
    random.shuffle(records)
    pool = Pool(records)
    assert [item.tx for item in pool] == txs
    check(pool, txs)


def test_an_output_is_found_whether_spent_or_not_and_only_if_it_is_there() -> None:
    parent = Transaction(2, (TxIn(OutPoint(bytes(32), 0), b""),), (TxOut(1, b"a"), TxOut(2, b"b")))
    child = Transaction(2, (TxIn(OutPoint(parent.txid, 1), b""),), (TxOut(1, b""),))
    pool = Pool([record(parent, 1), record(child, 2)])
    assert [pool.output(OutPoint(parent.txid, vout)) for vout in range(3)] == [TxOut(1, b"a"), TxOut(2, b"b"), None]
    assert pool.output(OutPoint(bytes(32), 0)) is None
    pool.remove(child.txid)
    assert pool.spender(OutPoint(parent.txid, 1)) is None
    assert child.txid not in pool
    assert pool.get(child.txid) is None
