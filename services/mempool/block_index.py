"""The tree of all known blocks, in the writer's memory: the best chain, side branches, and blocks that break a rule."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from shared.chain.codec import BlockEntry, BlockStatus
from shared.consensus.block_check import median_time_past
from shared.consensus.limits import MEDIAN_TIME_SPAN
from shared.primitives.block import BlockHeader


class BlockIndex:
    """Every known block by hash, and the best chain by height."""

    def __init__(self, entries: Iterable[BlockEntry], tip_hash: bytes) -> None:
        self._entries = {entry.hash: entry for entry in entries}
        self._children: dict[bytes, list[bytes]] = {}
        for known in self._entries.values():
            self._children.setdefault(known.header.prev_hash, []).append(known.hash)
        self.next_arrival = 1 + max(entry.arrival for entry in self._entries.values())
        tip = self._entries[tip_hash]
        self._best = [b""] * (tip.height + 1)
        entry: BlockEntry | None = tip
        while entry is not None:
            self._best[entry.height] = entry.hash
            entry = self._entries.get(entry.header.prev_hash)

    @property
    def tip(self) -> BlockEntry:
        """The last block of the best chain."""
        return self._entries[self._best[-1]]

    def get(self, block_hash: bytes) -> BlockEntry | None:
        """Return a block's entry."""
        return self._entries.get(block_hash)

    def add(self, entry: BlockEntry) -> None:
        """Add a new block, or replace the entry of a known one."""
        if entry.hash not in self._entries:
            self._children.setdefault(entry.header.prev_hash, []).append(entry.hash)
            self.next_arrival = max(self.next_arrival, entry.arrival + 1)
        self._entries[entry.hash] = entry

    def set_best_chain(self, first_height: int, hashes: Iterable[bytes]) -> None:
        """Make these blocks the best chain from `first_height` on."""
        self._best[first_height:] = hashes

    def is_best(self, entry: BlockEntry) -> bool:
        """Whether a block is on the best chain."""
        return entry.height < len(self._best) and self._best[entry.height] == entry.hash

    def best_at(self, height: int) -> BlockEntry | None:
        """Return the best chain's block at a height."""
        return self._entries[self._best[height]] if 0 <= height < len(self._best) else None

    def parent(self, entry: BlockEntry) -> BlockEntry | None:
        """Return the block before this one; None for the genesis block."""
        return self._entries.get(entry.header.prev_hash)

    def branch(self, entry: BlockEntry) -> list[BlockEntry]:
        """Return the blocks from the best chain (exclusive) up to this one (inclusive), lowest first."""
        blocks = []
        block: BlockEntry | None = entry
        while block is not None and not self.is_best(block):
            blocks.append(block)
            block = self.parent(block)
        return blocks[::-1]

    def ancestor(self, entry: BlockEntry, height: int) -> BlockEntry:
        """Return the block at `height` on the branch that ends with `entry`."""
        block = entry
        while block.height > height:
            if self.is_best(block):
                return self._entries[self._best[height]]
            block = self._entries[block.header.prev_hash]
        return block

    def median_time_past(self, entry: BlockEntry) -> int:
        """Return the median time in seconds of a block and the ten before it (BIP113)."""
        times: list[int] = []
        block: BlockEntry | None = entry
        while block is not None and len(times) < MEDIAN_TIME_SPAN:
            times.append(block.header.time)
            block = self.parent(block)
        return median_time_past(times)

    def descendants(self, entry: BlockEntry) -> Iterator[BlockEntry]:
        """Return every block above this one, parents before children."""
        pending = [entry.hash]
        while pending:
            for child in self._children.get(pending.pop(), ()):
                pending.append(child)
                yield self._entries[child]

    def best_candidate(self) -> BlockEntry:
        """Return the block with the most work that may still be valid; the one seen first, of several."""
        usable = (e for e in self._entries.values() if not e.failed and e.status & BlockStatus.HAVE_DATA)
        return max(usable, key=lambda entry: (entry.chain_work, -entry.arrival))

    def mark_failed(self, entry: BlockEntry) -> list[BlockEntry]:
        """Mark a block as breaking a rule, and all above it as descending from it; return the changed entries."""
        changed = [_with_status(entry, entry.status | BlockStatus.FAILED)]
        changed += [
            _with_status(above, above.status | BlockStatus.FAILED_PARENT) for above in list(self.descendants(entry))
        ]
        for item in changed:
            self.add(item)
        return changed


class Branch:
    """The chain that ends with one block, by height: what retargeting and BIP68 look back on."""

    def __init__(self, index: BlockIndex, tip: BlockEntry) -> None:
        self._index = index
        self._tip = tip

    def header_at(self, height: int) -> BlockHeader:
        """Return the header at a height."""
        return self._index.ancestor(self._tip, height).header

    def median_time_at(self, height: int) -> int:
        """Return the median time past of the block at a height."""
        return self._index.median_time_past(self._index.ancestor(self._tip, height))


def _with_status(entry: BlockEntry, status: BlockStatus) -> BlockEntry:
    return dataclasses.replace(entry, status=status)
