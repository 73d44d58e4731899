"""Replacements in the pool as trees, as mempool.space shows them: below each transaction the ones that it replaced.

The root of a tree is the transaction that is left, in the pool or in a block. A transaction that left the pool because
it depended on a replaced one is in no tree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from services.explorer.chain.models import TxInfo
from shared.chain.view import ChainView, Replaced, TxRecord
from shared.policy import signals_replacement
from shared.primitives.transaction import OutPoint, Transaction, TxOut

MAX_TREES = 25
MAX_DEPTH = 100
"""Depth to which a tree is read; older replacements are left out."""
MAX_SCANNED = 1_000
"""Replacements, and steps up to a root, that are read at most for an answer."""
_SLICE = 100


@dataclass(frozen=True, slots=True)
class Version:
    """A transaction, and the ones that it directly replaced."""

    tx: Transaction
    fee: int
    """Satoshis."""
    vsize: int
    time: int
    """Seconds since 1970 at which it entered the pool."""
    replaces: tuple[Version, ...]
    lasted: int | None = None
    """Seconds until it was replaced; None for the root."""
    is_mined: bool = False

    @property
    def signals(self) -> bool:
        """Whether it signals that it may be replaced (BIP125)."""
        return signals_replacement(self.tx)

    @property
    def is_full_rbf(self) -> bool:
        """Whether it replaced a transaction that did not signal."""
        return any(not version.signals for version in self.replaces)

    @property
    def has_full_rbf(self) -> bool:
        """Whether any transaction of the tree was replaced without having signalled."""
        return any(version.has_full_rbf or not version.signals for version in self.replaces)


class RbfTrees:
    """Reads replaced transactions, and the trees that they form with their replacements."""

    def __init__(self, view: ChainView) -> None:
        self._view = view

    def replaced(self, txid: bytes) -> Replaced | None:
        """Return the record of a transaction that another replaced in the pool, None for any other."""
        return self._view.replacements.replaced([txid])[0]

    def replaced_by(self, txids: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return, for each of these transactions that was replaced in the pool, the transaction that replaced it."""
        found = self._view.replacements.replaced(txids)
        return {txid: record.replaced_by for txid, record in zip(txids, found, strict=True) if record is not None}

    def replaces(self, txid: bytes) -> list[bytes]:
        """Return the transactions that this one directly replaced."""
        return self._view.replacements.replaces(txid)

    def tree(self, txid: bytes) -> Version | None:
        """Return the tree that a transaction is in; None if it neither replaced another nor was replaced.

        None also if the last replacement has left the pool without being mined.
        """
        return next(iter(self._trees([txid])), None)

    def latest(self, *, full_rbf_only: bool = False) -> list[Version]:
        """Return up to 25 trees, last grown first; or only trees in which a replaced transaction did not signal."""
        trees: dict[bytes, Version] = {}
        for start in range(0, MAX_SCANNED, _SLICE):
            txids = self._view.replacements.latest(_SLICE, start)
            for tree in self._trees(txids):
                if tree.has_full_rbf or not full_rbf_only:
                    trees.setdefault(tree.tx.txid, tree)
            if len(txids) < _SLICE or len(trees) >= MAX_TREES:
                break
        return list(trees.values())[:MAX_TREES]

    def _trees(self, txids: Sequence[bytes]) -> list[Version]:
        return self._view.at_tip(lambda _: self._read_trees(txids))

    def _read_trees(self, txids: Sequence[bytes]) -> list[Version]:
        last = self._last(txids)
        levels = self._levels(last)
        found = self._view.txs.get_many([txid for txid in last if txid in levels])
        roots = [record for record in found if record is not None]
        prevouts = self._view.txs.prevouts(record.tx for record in roots if record.block is not None)
        return [_tree(record, prevouts, levels) for record in roots]

    def _last(self, txids: Sequence[bytes]) -> list[bytes]:
        """Return the last replacement of each transaction, in order, without repetition."""
        last: list[bytes] = []
        pending = list(dict.fromkeys(txids))
        seen = set(pending)
        for _ in range(MAX_SCANNED):
            records = self._view.replacements.replaced(pending)
            last += [txid for txid, record in zip(pending, records, strict=True) if record is None]
            above = dict.fromkeys(record.replaced_by for record in records if record is not None)
            pending = [txid for txid in above if txid not in seen]
            if not pending:
                break
            seen.update(pending)
        return last

    def _levels(self, roots: Sequence[bytes]) -> dict[bytes, list[Replaced]]:
        """Return the records that each transaction directly replaced, for these roots and everything below them."""
        found: dict[bytes, list[Replaced]] = {}
        level = list(roots)
        for _ in range(MAX_DEPTH):
            replaced = self._view.replacements.all_replaces(level)
            records = iter(self._view.replacements.replaced(list(chain.from_iterable(replaced))))
            for txid, below in zip(level, replaced, strict=True):
                known = [record for record in islice(records, len(below)) if record is not None]
                if known:
                    found[txid] = known
            level = [txid for below in replaced for txid in below]
            if not level:
                break
        return found


def _tree(root: TxRecord, prevouts: Mapping[OutPoint, TxOut], levels: Mapping[bytes, list[Replaced]]) -> Version:
    tx = root.tx
    below = levels[tx.txid]
    replaces = tuple(_below(record, levels) for record in below)
    if root.pool is not None:
        return Version(tx, root.pool.fee, root.pool.vsize, root.pool.time, replaces)
    fee = TxInfo(tx, prevouts).fee
    return Version(tx, fee, tx.vsize, max(record.time for record in below), replaces, is_mined=True)


def _below(record: Replaced, levels: Mapping[bytes, list[Replaced]]) -> Version:
    entry = record.entry
    replaces = tuple(_below(earlier, levels) for earlier in levels.get(record.tx.txid, ()))
    return Version(record.tx, entry.fee, entry.vsize, entry.time, replaces, lasted=record.time - entry.time)
