"""The changes since the last messages of the websockets: gathered from facts, then read from the chain once for all.

A transaction that is gone by the time of reading is in the lists of txids, but not among the whole transactions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.explorer.api.esplora.answers import EsploraTransaction
from services.explorer.api.esplora.build import transaction_of
from services.explorer.api.mempool_space import BLOCKS_PER_PAGE, MempoolSpace
from services.explorer.api.mempool_space_answers import BlockWithExtras
from services.explorer.chain.fee_estimates import feerate, fill_blocks
from services.explorer.chain.models import TxInfo
from services.explorer.chain.queries import ChainQueries
from shared.bus.events import BlockConnected, BlockDisconnected, Fact, Removal, TxAccepted, TxRemoved
from shared.primitives.hex import parse_display_hash


@dataclass(frozen=True, slots=True)
class Gathered:
    """Facts by their kind; txids in the order of the facts."""

    connected: tuple[BlockConnected, ...]
    is_reorg: bool
    added: tuple[bytes, ...]
    removed: tuple[bytes, ...]
    """Without the transactions that left for a block."""
    replaced: Mapping[bytes, bytes]
    """Replaced transaction → its replacement."""


def gather(facts: Iterable[Fact], is_gap: bool = False) -> Gathered:
    """Return facts as one change; a block that was disconnected again is not among the connected ones.

    If facts are missing (`is_gap`) clients are sent the blocks again, as after a reorganisation.
    """
    connected: dict[str, BlockConnected] = {}
    is_reorg = is_gap
    added: dict[bytes, None] = {}
    removed: dict[bytes, None] = {}
    replaced: dict[bytes, bytes] = {}
    for fact in facts:
        match fact:
            case BlockConnected():
                connected[fact.hash] = fact
            case BlockDisconnected():
                connected.pop(fact.hash, None)
                is_reorg = True
            case TxAccepted():
                added[parse_display_hash(fact.txid)] = None
            case TxRemoved():
                txid = parse_display_hash(fact.txid)
                if fact.why != Removal.MINED:
                    removed[txid] = None
                if fact.replaced_by:
                    replaced[txid] = parse_display_hash(fact.replaced_by)
    return Gathered(tuple(connected.values()), is_reorg, tuple(added), tuple(removed), replaced)


@dataclass(frozen=True, slots=True)
class ShownTx:
    """A transaction as it is sent, with the scripts and outpoints by which clients may track it."""

    txid: bytes
    answer: EsploraTransaction
    scripts: frozenset[bytes]
    """scriptPubKeys that it pays to or spends from."""
    spends: tuple[tuple[bytes, int], ...]
    """The outpoints (txid and index) that its inputs spend, in order."""


@dataclass(frozen=True, slots=True)
class NewBlock:
    """A block of the best chain."""

    answer: BlockWithExtras
    txids: frozenset[bytes]
    txs: Sequence[ShownTx]
    """Empty where no client asks for whole transactions."""


@dataclass(frozen=True, slots=True)
class Needs:
    """The reads that the present clients' subscriptions need."""

    blocks: bool = False
    block_txids: bool = False
    txs: bool = False
    """Whole transactions, of pool and blocks."""
    pool: bool = False
    """The order of the pool, for positions in projected blocks."""
    projected: Collection[int] = ()
    """Indexes of the projected blocks whose transactions are followed."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Everything that the clients' messages are made of."""

    gathered: Gathered
    blocks: Sequence[NewBlock]
    added: Sequence[ShownTx]
    positions: Mapping[bytes, tuple[int, float]]
    """Txid → index of its projected block, and the virtual bytes above the transaction's middle in that block."""
    projected: Mapping[int, Mapping[bytes, list[Any]]]
    """Index of a projected block → its transactions in mempool.space's short form, by txid."""


class ChangeReader:
    """Reads changes; blocks its thread."""

    def __init__(self, chain: ChainQueries, api: MempoolSpace) -> None:
        self._chain = chain
        self._api = api
        self._prefix = chain.params.address

    def read(self, gathered: Gathered, needs: Needs) -> Changes:
        """Return the part of a change that is needed."""
        positions, projected = self.pool(needs)
        return Changes(
            gathered,
            self._blocks(gathered.connected, needs) if gathered.connected else (),
            self.txs(gathered.added) if needs.txs else (),
            positions,
            projected,
        )

    def txs(self, txids: Sequence[bytes]) -> list[ShownTx]:
        """Return the transactions among these that are in the pool or on the best chain."""
        return [self._tx(info) for info in self._chain.txs.find_many(txids)]

    def replaced(self, txids: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the transactions among these that were replaced, each with its replacement."""
        return self._chain.replacements.replaced_by(txids)

    def pool(self, needs: Needs) -> tuple[dict[bytes, tuple[int, float]], dict[int, dict[bytes, list[Any]]]]:
        """Return the positions of the pool's transactions, and the projected blocks that are followed."""
        if not needs.pool:
            return {}, {}
        blocks = fill_blocks(self._chain.pool.entries().items())
        positions: dict[bytes, tuple[int, float]] = {}
        for index, block in enumerate(blocks):
            above = 0
            for txid, entry in block:
                positions[txid] = (index, above + entry.vsize / 2)
                above += entry.vsize
        projected = {}
        for index in needs.projected:
            entries = dict(blocks[index]) if index < len(blocks) else {}
            infos = self._chain.txs.find_many(list(entries))
            projected[index] = {
                info.tx.txid: [
                    info.tx.txid_hex,
                    entry.fee,
                    entry.vsize,
                    sum(output.value for output in info.tx.outputs),
                    round(feerate(entry), 2),
                    0,  # flags: none are worked out
                    entry.time,
                ]
                for info in infos
                for entry in [entries[info.tx.txid]]
            }
        return positions, projected

    def _blocks(self, connected: Sequence[BlockConnected], needs: Needs) -> list[NewBlock]:
        if not (needs.blocks or needs.block_txids or needs.txs):
            return []
        shown = self._shown({fact.height: fact.hash for fact in connected})
        blocks = []
        for fact in connected:
            if fact.hash not in shown:
                continue  # no longer on the best chain: the fact that says so follows
            block_hash = parse_display_hash(fact.hash)
            txids = self._chain.blocks.txids(block_hash) if needs.block_txids or needs.txs else ()
            txs = self._block_txs(block_hash, len(txids)) if needs.txs else []
            blocks.append(NewBlock(shown[fact.hash], frozenset(txids), txs))
        return blocks

    def _shown(self, hashes: Mapping[int, str]) -> dict[str, BlockWithExtras]:
        """Return hash → block as in `/api/v1/blocks`, without blocks that are off the best chain."""
        found: dict[str, BlockWithExtras] = {}
        heights = sorted(hashes)
        tip = self._chain.tip().height
        while heights and heights[-1] > tip:
            heights.pop()
        while heights:
            found |= {block.id: block for block in self._api.blocks(str(heights[-1]))}
            lowest = heights[-1] - BLOCKS_PER_PAGE
            heights = [height for height in heights if height <= lowest]
        return {block_hash: found[block_hash] for block_hash in hashes.values() if block_hash in found}

    def _block_txs(self, block_hash: bytes, count: int) -> list[ShownTx]:
        return [self._tx(info) for info in self._chain.blocks.txs(block_hash, 0, count)]

    def _tx(self, info: TxInfo) -> ShownTx:
        spent = [info.prevouts[txin.prevout] for txin in info.tx.inputs if txin.prevout in info.prevouts]
        return ShownTx(
            info.tx.txid,
            transaction_of(info, self._prefix),
            frozenset(output.script_pubkey for output in (*info.tx.outputs, *spent)),
            tuple((txin.prevout.txid, txin.prevout.vout) for txin in info.tx.inputs),
        )
