"""Writes a computed and validated change of chain state as a whole or not at all.

The change travels as one packed argument to `lua/commit.lua`, which checks the writer's epoch, the tip and `seq`
before its first write, and appends the outgoing events to the outbox in the same step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgpack
import redis

from shared import metrics, trace
from shared.bus import events
from shared.bus.events import Fact
from shared.chain import codec
from shared.chain.codec import BlockEntry, BlockFees, PoolEntry, Replaced, Spend
from shared.chain.lua import source
from shared.chain.overlay import Overlay
from shared.chain.records import StoredTx
from shared.chain.redis_keys import Keys
from shared.chain.script_index import change_groups, change_scripts
from shared.chain.store import StoreClient
from shared.chain.tx_index import change_txs
from shared.chain.view import ChainView
from shared.errors import CommitConflict, StaleWriter
from shared.mining_mode import MiningSetting
from shared.primitives.transaction import Transaction

KEPT_REPLACEMENTS = 10_000
"""Number of replacements kept in the history, with the transactions that they replaced."""


class PoolRecord:
    """An unconfirmed transaction as it is stored.

    One that is read from the store is parsed when its transaction is first needed: a pool of any size is loaded soon,
    and takes little memory.
    """

    __slots__ = ("_tx", "entry", "raw", "script_hashes", "txid")

    def __init__(self, tx: Transaction, entry: PoolEntry, script_hashes: tuple[bytes, ...]) -> None:
        """Take the hashes of all scripts that the transaction pays or spends from, each once."""
        self._tx: Transaction | None = tx
        self.txid = tx.txid
        self.raw = tx.serialize()
        self.entry = entry
        self.script_hashes = script_hashes

    @classmethod
    def stored(cls, tx: StoredTx) -> PoolRecord:
        """Return the record of a transaction that is in the store."""
        record = cls.__new__(cls)
        record._tx = None
        record.txid, record.raw, record.entry, record.script_hashes = tx
        return record

    @property
    def tx(self) -> Transaction:
        """The transaction."""
        if self._tx is None:
            self._tx = Transaction.parse(self.raw)
        return self._tx


@dataclass(frozen=True, slots=True)
class PoolReplacement:
    """A transaction that replaced others in the pool."""

    txid: bytes
    time: int
    """Seconds since 1970."""
    direct: tuple[PoolRecord, ...]
    """The replaced transactions that spend a coin that this one spends."""
    descendants: tuple[PoolRecord, ...]
    """The replaced transactions that descend from those in `direct`."""

    @property
    def removed(self) -> tuple[PoolRecord, ...]:
        """All transactions that it replaced."""
        return (*self.direct, *self.descendants)


@dataclass(slots=True)
class Delta:
    """One change of chain state; every part is optional."""

    overlay: Overlay | None = None
    new_tip: BlockEntry | None = None
    first_height: int = 0
    """Height of the first of `best_chain`."""
    best_chain: Sequence[bytes] = ()
    """Hashes of the best chain's blocks from `first_height` on; the last is the new tip."""
    entries: Sequence[BlockEntry] = ()
    """Block index entries to write."""
    blocks: dict[bytes, bytes] = field(default_factory=dict)
    """Block hash → raw block to store."""
    undo: dict[bytes, bytes] = field(default_factory=dict)
    """Block hash → undo data to store."""
    layouts: dict[bytes, bytes] = field(default_factory=dict)
    """Block hash → layout to store."""
    fees: dict[bytes, BlockFees] = field(default_factory=dict)
    """Block hash → the fees that its transactions paid."""
    pool_added: Sequence[PoolRecord] = ()
    pool_removed: Sequence[PoolRecord] = ()
    replacements: Sequence[PoolReplacement] = ()
    """New entries of the history of replacements, oldest first."""
    jobs: dict[str, bytes | None] = field(default_factory=dict)
    """Mining requests in progress: id → state, None for a finished one."""
    prioritised: dict[bytes, int] = field(default_factory=dict)
    """Txid → satoshis that the transaction counts as paying beyond its fee; 0 to forget them."""
    clock: int | None = None
    """Seconds at which to stop the node's clock, 0 to let it run; None leaves it unchanged."""
    mining: MiningSetting | None = None
    """The mode of mining to set; None leaves it unchanged."""
    time: int | None = None
    """Seconds since 1970 by the node's clock, for the minute's sample of the pool's totals; None takes no sample."""
    events: Sequence[Fact] = ()
    traceparents: Sequence[str] = ()
    """Of the request that caused each event; without, all have that of the present work."""


class Committer:
    """Applies deltas for the writer of one epoch, each on top of the one before."""

    def __init__(
        self, client: StoreClient, keys: Keys, epoch: int, tip_hash: bytes, seq: int, stored_format: int = codec.FORMAT
    ) -> None:
        """Write on top of this tip and `seq`; `stored_format` marks the chain, so that only its readers read it."""
        self._keys = keys
        self._format = stored_format
        self._view = ChainView(client, keys)
        self._epoch = epoch
        self._tip_hash = tip_hash
        self._seq = seq
        self._redis = client
        self._script: Any = client.register_script(source("commit"))

    def commit(self, delta: Delta) -> int:
        """Apply the delta and return the new `seq`.

        Raises `StaleWriter` or `CommitConflict` (nothing was written) or `StoreUnavailable` (the outcome is unknown, or
        too few replicas have it).
        After any of them this committer no longer knows the state of the chain and must be replaced.
        """
        causes = delta.traceparents or [trace.current()] * max(1, len(delta.events))
        try:
            with trace.spans("commit", trace.SpanKind.INTERNAL, causes) as traceparents:
                packed = self._pack(delta, traceparents[: len(delta.events)])
                with metrics.COMMIT_SECONDS.time():
                    self._seq = int(self._run(packed))
        except redis.ResponseError as error:
            message = str(error)
            if "STALEWRITER" in message:
                raise StaleWriter("another writer has taken over") from None
            if "CONFLICT" in message:
                raise CommitConflict("the chain is not the one that the change was computed on") from None
            raise
        if delta.new_tip is not None:
            self._tip_hash = delta.new_tip.hash
        return self._seq

    def confirm(self) -> None:
        """Make sure that enough replicas have everything that this committer was made on; raises what `commit` raises.

        An empty commit does: it finds the same epoch, tip and seq on the server that it waits with.
        """
        if self._redis.replicas:
            self.commit(Delta())

    def _run(self, packed: bytes) -> Any:
        if not self._redis.replicas:
            return self._script(keys=[self._keys.tip], args=[packed])
        pipe = self._redis.change()
        self._script(keys=[self._keys.tip], args=[packed], client=pipe)
        (seq,) = pipe.execute()
        return seq

    def _pack(self, delta: Delta, traceparents: Sequence[str]) -> bytes:
        fields: dict[str, Any] = {"epoch": self._epoch, "tip": self._tip_hash, "seq": self._seq}
        if delta.new_tip is not None:
            tip = delta.new_tip
            fields["new_tip"] = [tip.hash, tip.height, tip.chain_work.to_bytes(32, "big"), self._format]
            fields["heights"] = [delta.first_height * 32, b"".join(delta.best_chain)]
        if delta.entries:
            fields["blocks"] = _flat((entry.hash, codec.encode_block_entry(entry)) for entry in delta.entries)
        prefix = len(self._keys.prefix)
        fields["block_fees"] = _flat((key, codec.encode_block_fees(fees)) for key, fees in delta.fees.items())
        fields["raw"] = _flat((self._keys.block(key)[prefix:], raw) for key, raw in delta.blocks.items())
        fields["raw"] += _flat((self._keys.undo(key)[prefix:], undo) for key, undo in delta.undo.items())
        fields["raw"] += _flat((self._keys.layout(key)[prefix:], layout) for key, layout in delta.layouts.items())
        if delta.overlay is not None:
            fields.update(_pack_overlay(delta.overlay, self._view))
        fields.update(_pack_pool(delta.pool_added, delta.pool_removed))
        if delta.replacements:
            fields["replacements"] = [_pack_replacement(replacement) for replacement in delta.replacements]
            fields["kept_replacements"] = KEPT_REPLACEMENTS
        fields.update(_changes("jobs", delta.jobs.items()))
        fields.update(
            _changes("prioritised", ((t, str(d).encode() if d else None) for t, d in delta.prioritised.items()))
        )
        if delta.clock is not None:
            fields["clock"] = delta.clock
        if delta.mining is not None:
            fields["mode"] = codec.encode_mining(delta.mining)
        if delta.time is not None:
            fields["minute"] = delta.time - delta.time % 60
        fields["events"] = [
            item
            for event, traceparent in zip(delta.events, traceparents, strict=True)
            for item in (str(event.topic), events.encode(event), traceparent)
        ]
        packed: bytes = msgpack.packb(fields, use_bin_type=False)  # Redis' cmsgpack knows no bin type
        return packed


def _pack_overlay(overlay: Overlay, view: ChainView) -> dict[str, Any]:
    """Return the changes of chain and scripts. Records are read here; if they move before the commit, it conflicts."""
    fields: dict[str, Any] = {}
    fields.update(_changes("txs", change_txs(overlay, view.txs.parts)))
    scripts = overlay.script_changes(overlay.coin_changes())
    changed = change_scripts(scripts, view.scripts.records, view.scripts.sorted_sets)
    fields.update(_changes("script_records", changed.records))
    fields["script_sets"] = [
        [
            sets.script_hash.hex(),
            _flat(sets.added.coins),
            sets.coins_removed,
            _flat(sets.added.history),
            sets.history_removed,
        ]
        for sets in changed.sets
    ]
    fields["script_sets_gone"] = [script_hash.hex() for script_hash in changed.sets_gone]
    fields.update(_changes("scripts", change_groups(changed.known, changed.forgotten, view.scripts.groups)))
    return fields


def _pack_pool(added: Sequence[PoolRecord], removed: Sequence[PoolRecord]) -> dict[str, Any]:
    totals = dict.fromkeys(("count", "vsize", "fees", "size"), 0)
    for sign, records in ((1, added), (-1, removed)):
        for record in records:
            totals["count"] += sign
            totals["vsize"] += sign * record.entry.vsize
            totals["fees"] += sign * record.entry.fee
            totals["size"] += sign * len(record.raw)
    return {
        "pool_txs": _flat((record.txid, record.raw) for record in added),
        "pool_entries": _flat((record.txid, codec.encode_pool_entry(record.entry)) for record in added),
        "pool_order": _flat((record.entry.sequence, record.txid) for record in added),
        "pool_scripts": _flat(("0", member) for record in added for member in _script_members(record)),
        "pool_spends": _flat(
            (txin.prevout.serialize(), codec.encode_spend(Spend(record.txid, vin)))
            for record in added
            for vin, txin in enumerate(record.tx.inputs)
        ),
        "pool_del": [record.txid for record in removed],
        "pool_spends_del": [txin.prevout.serialize() for record in removed for txin in record.tx.inputs],
        "pool_scripts_del": [member for record in removed for member in _script_members(record)],
        "pool_stats": _flat((name, change) for name, change in totals.items() if change),
    }


def _script_members(record: PoolRecord) -> list[bytes]:
    sequence, txid = record.entry.sequence, record.txid
    return [codec.encode_pool_script(script_hash, sequence, txid) for script_hash in record.script_hashes]


def _pack_replacement(replacement: PoolReplacement) -> list[Any]:
    direct, descendants = (
        [record.tx.txid for record in records] for records in (replacement.direct, replacement.descendants)
    )
    replaced = _flat(
        (
            record.tx.txid,
            codec.encode_replaced(Replaced(record.tx, record.entry, replacement.txid, replacement.time)),
        )
        for record in replacement.removed
    )
    return [replacement.txid, codec.encode_replaces(direct, descendants), replaced]


def _changes(name: str, items: Iterable[tuple[Any, bytes | None]]) -> dict[str, list[Any]]:
    """Split into fields to set and fields to delete."""
    sets: list[Any] = []
    deletes: list[Any] = []
    for key, value in items:
        if value is None:
            deletes.append(key)
        else:
            sets += (key, value)
    return {name: sets, f"{name}_del": deletes}


def _flat(pairs: Iterable[tuple[Any, Any]]) -> list[Any]:
    return [item for pair in pairs for item in pair]
