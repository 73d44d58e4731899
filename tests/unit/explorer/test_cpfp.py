from services.explorer.chain.cpfp import cpfp
from shared.chain.codec import PoolEntry
from shared.pool.snapshot import PooledTx, PoolSnapshot
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut


class Family:
    """Transactions of 100 vB by name, each with its parents and fee."""

    def __init__(self) -> None:
        self.txs = {}
        self.txids = {}
        self.prioritised = {}

    def add(self, name, fee, *parents):
        prevouts = [OutPoint(self.txids[parent], len(self.txs)) for parent in parents] or [
            OutPoint(name.encode().ljust(32), 0)
        ]
        tx = Transaction(2, tuple(TxIn(prevout, b"", 0) for prevout in prevouts), (TxOut(1, b"\x51"),), 0)
        entry = PoolEntry(wtxid=tx.wtxid, fee=fee, vsize=100, weight=400, sigop_cost=0, time=0, sequence=len(self.txs))
        self.txids[name] = tx.txid
        self.txs[tx.txid] = PooledTx(tx, entry)

    def of(self, name):
        return cpfp(PoolSnapshot(self.txs, self.prioritised), self.txids[name])

    def names(self, relatives):
        by_txid = {txid: name for name, txid in self.txids.items()}
        return [by_txid[pooled.tx.txid] for pooled in relatives]

    def ancestors(self, name):
        return self.names(self.of(name).ancestors)

    def descendants(self, name):
        return self.names(self.of(name).descendants)

    def rate(self, name):
        return self.of(name).feerate


def diamond(*fees):
    family = Family()
    for name, fee, parents in zip("abcd", fees, ((), "a", "a", "bc"), strict=True):
        family.add(name, fee, *parents)
    return family


def test_relatives_are_found_over_several_generations_in_the_order_of_entry():
    family = diamond(1, 1, 1, 1)
    assert family.ancestors("d") == ["a", "b", "c"]
    assert family.ancestors("b") == ["a"]
    assert family.ancestors("a") == []
    assert family.descendants("a") == ["b", "c", "d"]
    assert family.descendants("b") == ["d"]
    assert family.descendants("d") == []


def test_a_transaction_that_is_not_in_the_pool_has_none():
    assert cpfp(PoolSnapshot({}), bytes(32)) is None


def test_one_alone_is_judged_by_its_own_feerate():
    family = Family()
    family.add("a", 250)
    assert family.rate("a") == 2.5


def test_a_child_lifts_its_parent():
    family = Family()
    family.add("parent", 0)
    family.add("child", 1_000, "parent")
    assert family.rate("parent") == family.rate("child") == 5.0


def test_a_poor_child_does_not_pull_its_parent_down():
    family = Family()
    family.add("parent", 1_000)
    family.add("child", 100, "parent")
    assert (family.rate("parent"), family.rate("child")) == (10.0, 1.0)


def test_two_children_lift_their_parent_together():
    family = Family()
    family.add("parent", 100)
    family.add("one", 1_000, "parent")
    family.add("other", 1_000, "parent")
    assert {family.rate(name) for name in family.txids} == {7.0}


def test_once_a_parent_is_paid_for_by_one_child_another_pays_for_itself():
    family = diamond(0, 1_000, 300, 100)
    assert (family.rate("a"), family.rate("b")) == (5.0, 5.0)
    assert (family.rate("c"), family.rate("d")) == (3.0, 1.0)


def test_a_grandchild_lifts_all_above_it():
    assert diamond(100, 100, 100, 3_700).rate("a") == 10.0


def test_what_the_operator_added_counts_as_it_does_for_the_miner():
    family = Family()
    family.add("parent", 100)
    family.add("child", 1_000, "parent")
    family.prioritised = {family.txids["parent"]: 4_900}
    assert (family.rate("parent"), family.rate("child")) == (50.0, 10.0)
