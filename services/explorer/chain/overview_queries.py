"""What pages show of the chain's head and of the pool: the last blocks, those that come next, what it takes to pay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from services.explorer.chain.fee_estimates import FeeBand, ProjectedBlock, fee_bands, projected_blocks, recommended_fees
from services.explorer.chain.miner_names import HEAD_SIZE, coinbase_script, miner_name
from services.explorer.chain.pool_fee_cache import PoolFee
from services.explorer.chain.queries import ChainQueries
from services.explorer.errors import block_not_found
from shared.chain.codec import BlockEntry, BlockFees
from shared.chain.view import ChainView, Tip
from shared.consensus.limits import MAX_BLOCK_WEIGHT
from shared.errors import StoreUnavailable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MinedBlock:
    """A block of the best chain as lists show it."""

    entry: BlockEntry
    miner: str
    """Empty where its coinbase names none, and for the genesis block, whose text is no name."""
    fees: BlockFees | None
    """None where it has no payments."""

    @property
    def total_fees(self) -> int:
        """Satoshis that its transactions paid."""
        return self.fees.total if self.fees else 0

    @property
    def rates(self) -> tuple[float, ...]:
        """Feerates from the lowest to the highest; empty where no one paid."""
        return self.fees.feerates if self.fees else ()

    @property
    def median(self) -> float | None:
        """Feerate in the middle of the block, None where no one paid."""
        return self.rates[len(self.rates) // 2] if self.rates else None

    @property
    def fullness(self) -> float:
        """Part of the weight that it may have."""
        return self.entry.weight / MAX_BLOCK_WEIGHT


@dataclass(frozen=True, slots=True)
class PoolOverview:
    """The pool as a whole."""

    count: int
    vsize: int
    """Virtual bytes."""
    fees: int
    """Satoshis."""
    projected: tuple[ProjectedBlock, ...]
    """The next block first."""
    bands: tuple[FeeBand, ...]
    recommended: dict[str, int]
    """mempool.space's five feerates in satoshis per virtual byte."""


class OverviewQueries:
    """Reads them."""

    def __init__(self, view: ChainView, reads: ChainQueries) -> None:
        self._view = view
        self._reads = reads

    def pool(self) -> PoolOverview:
        """Return the pool as it is now."""
        return self._reads.of_pool(_outlook)

    def blocks(self, start: int | None, count: int) -> list[MinedBlock]:
        """Return up to `count` blocks from height `start` (None: the tip) downwards; 404 above the tip."""
        return self._view.at_tip(lambda tip: self._blocks(tip, start, count))

    def _blocks(self, tip: Tip, start: int | None, count: int) -> list[MinedBlock]:
        top = tip.height if start is None else start
        if top > tip.height:
            raise block_not_found()
        lowest = max(0, top - count + 1)
        hashes = self._view.block_hashes(lowest, top - lowest + 1)[::-1]
        entries = self.entries(hashes)
        heads = self._view.blocks.slices([(block_hash, 0, HEAD_SIZE) for block_hash in hashes])
        fees = self._view.blocks.fees(hashes)
        return [
            MinedBlock(entry, miner_name(coinbase_script(head)) if entry.height else "", paid)
            for entry, head, paid in zip(entries, heads, fees, strict=True)
        ]

    def entries(self, hashes: list[bytes]) -> list[BlockEntry]:
        """Return the index entry of each block; `StoreUnavailable` where one is missing."""
        found = [entry for entry in self._view.blocks.entries(hashes) if entry is not None]
        if len(found) != len(hashes):
            raise StoreUnavailable("the chain has moved, or a block's index entry is missing")
        return found


def _outlook(pool: Sequence[PoolFee]) -> PoolOverview:
    return PoolOverview(
        len(pool),
        sum(item.vsize for item in pool),
        sum(item.fee for item in pool),
        tuple(projected_blocks(pool)),
        tuple(fee_bands(pool)),
        recommended_fees(pool),
    )
