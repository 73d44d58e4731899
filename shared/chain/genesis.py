"""The first commit of a chain: its genesis block."""

from __future__ import annotations

from shared.chain.codec import BlockEntry, BlockStatus, store_block
from shared.chain.commit import Delta
from shared.chain.overlay import CoinSource, Overlay
from shared.consensus.params import ChainParams
from shared.consensus.pow import block_work


def genesis_delta(params: ChainParams, coins: CoinSource) -> Delta:
    """Return the change that makes a chain of nothing: the genesis block, whose coins count if the chain says so."""
    genesis = params.genesis
    entry = BlockEntry(
        header=genesis.header,
        height=0,
        chain_work=block_work(genesis.header.bits),
        status=BlockStatus.HAVE_DATA | BlockStatus.CONNECTED,
        tx_count=len(genesis.transactions),
        size=genesis.size,
        weight=genesis.weight,
        chain_tx_count=len(genesis.transactions),
        arrival=0,
    )
    overlay = Overlay(coins)
    if params.genesis_spendable:
        for position, tx in enumerate(genesis.transactions):
            overlay.apply(tx, 0, position)
    stored = store_block(genesis, [()] * (len(genesis.transactions) - 1))
    overlay.locate(genesis, stored.locations)
    return Delta(
        overlay=overlay,
        new_tip=entry,
        best_chain=[genesis.hash],
        entries=[entry],
        blocks={genesis.hash: genesis.serialize()},
        layouts={genesis.hash: stored.layout},
    )
