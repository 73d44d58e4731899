"""Transactions that wait for their parents."""

from __future__ import annotations

from services.mempool.pool.orphanage import KEEP_SECONDS, MAX_ORPHANS, Orphanage
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut


def child_of(*parents: bytes, salt: int = 0) -> Transaction:
    return Transaction(2, tuple(TxIn(OutPoint(p, 0), b"") for p in parents), (TxOut(salt, b"\x51"),), 0)


A, B = b"\xaa" * 32, b"\xbb" * 32


def test_an_orphan_is_handed_out_once_for_any_of_its_parents() -> None:
    orphans = Orphanage()
    tx = child_of(A, B)
    orphans.add(tx, now=0)
    orphans.add(tx, now=1)
    assert len(orphans) == 1
    assert orphans.take_children([B, A]) == [tx]
    assert orphans.take_children([A, B]) == []
    assert len(orphans) == 0


def test_an_orphan_of_others_stays() -> None:
    orphans = Orphanage()
    orphans.add(child_of(A), now=0)
    assert orphans.take_children([B]) == []
    assert len(orphans) == 1


def test_the_oldest_gives_way_when_there_are_too_many() -> None:
    orphans = Orphanage()
    for n in range(MAX_ORPHANS + 1):
        orphans.add(child_of(A, salt=n), now=n)
    assert len(orphans) == MAX_ORPHANS
    assert child_of(A, salt=0) not in orphans.take_children([A])


def test_orphans_are_kept_for_a_while_only() -> None:
    orphans = Orphanage()
    orphans.add(child_of(A, salt=1), now=0)
    orphans.add(child_of(A, salt=2), now=KEEP_SECONDS + 1)
    assert orphans.take_children([A]) == [child_of(A, salt=2)]


def test_what_an_orphan_waited_for_is_forgotten_with_it_and_not_before() -> None:
    orphans = Orphanage()
    both, one = child_of(A, B), child_of(B)
    orphans.add(both, now=0)
    orphans.add(one, now=0)
    assert orphans.take_children([A]) == [both]
    assert orphans._waiting == {B: {one.wtxid}}
    assert orphans.take_children([B]) == [one]
    assert orphans._waiting == {}
    for n in range(MAX_ORPHANS + 1):
        orphans.add(child_of(bytes([n]) * 32), now=n)
    assert len(orphans._waiting) == MAX_ORPHANS
    orphans.add(child_of(A), now=10 * KEEP_SECONDS)
    assert orphans._waiting.keys() == {A}
