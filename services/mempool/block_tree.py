"""The tree of all known blocks, in the writer's memory: the best chain, side branches, and blocks that break a rule.

The next tip is chosen among a few candidates, the blocks that are no worse than the tip (Core's
setBlockIndexCandidates), so that a new block costs as much on a long chain as on a short one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from shared.chain.codec import BlockEntry, BlockStatus
from shared.consensus.block_check import median_time_past
from shared.consensus.limits import MEDIAN_TIME_SPAN
from shared.primitives.block import BlockHeader


class BlockTree:
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
        # The best chain of the last stop wins ties (Core's SEQ_ID_BEST_CHAIN_FROM_DISK).
        self._sequences = dict.fromkeys(self._best, 0)
        self._next_precious = -1
        self._candidates: set[bytes] = set()
        self.find_candidates()

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
        least = self._rank(self.tip)
        self._candidates = {known for known in self._candidates if self._rank(self._entries[known]) >= least}
        self._candidates.add(self.tip.hash)

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
        return median_time_past(self.last_times(entry))

    def last_times(self, entry: BlockEntry) -> list[int]:
        """Return the times in seconds of a block and the ten before it, oldest first; near the genesis fewer."""
        times: list[int] = []
        block: BlockEntry | None = entry
        while block is not None and len(times) < MEDIAN_TIME_SPAN:
            times.append(block.header.time)
            block = self.parent(block)
        return times[::-1]

    def descendants(self, entry: BlockEntry) -> Iterator[BlockEntry]:
        """Return every block above this one, parents before children."""
        pending = [entry.hash]
        while pending:
            for child in self._children.get(pending.pop(), ()):
                pending.append(child)
                yield self._entries[child]

    # ── which block should be the tip ───────────────────────────────────────────────────────────────────────────

    def best_candidate(self) -> BlockEntry:
        """Return the block with the most work that may be valid; of equal blocks, the one seen first."""
        return max((self._entries[known] for known in self._candidates), key=self._rank)

    def find_candidates(self) -> None:
        """Search all blocks for candidates, after the status of the tip or a block below it has changed."""
        floor = self.tip
        while floor.failed:
            floor = self._entries[floor.header.prev_hash]
        least = self._rank(floor)
        self._candidates = {
            entry.hash for entry in self._entries.values() if is_usable(entry) and self._rank(entry) >= least
        }

    def link(self, entry: BlockEntry) -> list[BlockEntry]:
        """Make a block whose data arrived, and blocks above that waited for it, candidates; return changed entries.

        A block waits, without a `chain_tx_count`, while a block of its branch is not stored. Source: Core's
        ReceivedBlockTransactions.
        """
        self.add(entry)
        parent = self.parent(entry)
        linked: list[BlockEntry] = []
        pending = [entry] if parent is not None and parent.chain_tx_count else []
        while pending:
            block = pending.pop(0)
            below = self._entries[block.header.prev_hash]
            block = dataclasses.replace(
                block, chain_tx_count=below.chain_tx_count + block.tx_count, arrival=self.next_arrival
            )
            self.next_arrival += 1
            self.add(block)
            linked.append(block)
            self.consider(block)
            children = [self._entries[child] for child in self._children.get(block.hash, ())]
            pending += [child for child in children if child.status & BlockStatus.HAVE_DATA]
        return linked or [entry]

    def consider(self, entry: BlockEntry) -> None:
        """Make a block a candidate if it may be valid and is no worse than the tip."""
        if is_usable(entry) and self._rank(entry) >= self._rank(self.tip):
            self._candidates.add(entry.hash)

    def prefer(self, entry: BlockEntry) -> None:
        """Let a block win ties with blocks of equal work until the process stops (Core's PreciousBlock)."""
        if entry.chain_work < self.tip.chain_work:
            return
        self._sequences[entry.hash] = self._next_precious
        self._next_precious -= 1
        self.consider(entry)

    def mark_failed(self, entry: BlockEntry) -> list[BlockEntry]:
        """Mark a block as breaking a rule, and all above it as descending from it; return the changed entries."""
        changed = [_with_status(entry, entry.status | BlockStatus.FAILED)]
        changed += [
            _with_status(above, above.status | BlockStatus.FAILED_PARENT) for above in list(self.descendants(entry))
        ]
        for item in changed:
            self.add(item)
            self._candidates.discard(item.hash)
        return changed

    def forgive(self, entry: BlockEntry) -> list[BlockEntry]:
        """Remove marks of failure from a block, all below it and all above it; return the changed entries.

        Source: Core's ResetBlockFailureFlags.
        """
        family = [entry, *self.descendants(entry)]
        below = self.parent(entry)
        while below is not None:
            family.append(below)
            below = self.parent(below)
        marks = BlockStatus.FAILED | BlockStatus.FAILED_PARENT
        changed = [_with_status(item, item.status & ~marks) for item in family if item.failed]
        for item in changed:
            self.add(item)
        for item in changed:
            self.consider(item)
        return changed

    def _rank(self, entry: BlockEntry) -> tuple[int, int]:
        return entry.chain_work, -self._sequences.get(entry.hash, entry.arrival)


def is_usable(entry: BlockEntry) -> bool:
    """Tell whether a block could be the tip: it and all blocks below are stored, and none is marked as failed."""
    return not entry.failed and bool(entry.status & BlockStatus.HAVE_DATA) and entry.chain_tx_count > 0


class Branch:
    """The chain that ends with one block, by height, for the rules that look back: retargeting and BIP68."""

    def __init__(self, index: BlockTree, tip: BlockEntry) -> None:
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
