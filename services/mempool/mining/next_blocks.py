"""The blocks that a miner finds on top of a template's before it answers, where a block takes next to no hashes.

On a test chain a block takes two hashes, and a template and a solution for each would take most of the time of a
request for a hundred. So the template of such a request has the blocks after it as well: without payments, as nobody
can pay in between, and with times and bits that are known beforehand. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.mempool.mining.template import coinbase_parts, complete
from shared.bus.events import NextBlock, SolvedBlock
from shared.consensus.block_check import median_time_past
from shared.consensus.params import ChainParams
from shared.consensus.pow import block_work, has_constant_bits
from shared.consensus.subsidy import block_subsidy
from shared.errors import DecodeError
from shared.primitives.block import Block
from shared.primitives.hex import parse_hex

MAX_NEXT = 63
"""The most blocks beside the template's own: all are checked before the next message is."""
EASY = 1_024
"""A block is easy if it takes at most so many hashes on average: a millisecond of any miner."""


def has_easy_blocks(params: ChainParams) -> bool:
    """Tell whether all blocks of a chain have the same bits, and are easy."""
    is_easy = block_work(params.genesis.header.bits) <= EASY
    return is_easy and has_constant_bits(params) and not params.signet_challenge


def next_blocks(
    count: int, height: int, times: Sequence[int], script_pubkey: bytes, now: int, params: ChainParams
) -> tuple[NextBlock, ...]:
    """Return the `count` blocks after the one at `height`, at most `MAX_NEXT`.

    `times` are those of that block and the ten before it, oldest first; a block's own is `now`, or the first second
    that may follow these.
    """
    found = []
    seen = list(times)
    for at in range(height + 1, height + 1 + min(count, MAX_NEXT)):
        time = max(now, median_time_past(seen) + 1)
        seen.append(time)
        prefix, suffix = coinbase_parts(at, block_subsidy(at, params), script_pubkey)
        found.append(NextBlock(time=time, coinbase_prefix=prefix.hex(), coinbase_suffix=suffix.hex()))
    return tuple(found)


def next_solved(below: Block, solved: Sequence[SolvedBlock]) -> list[Block]:
    """Return the blocks of a miner's solutions, each on top of the one before, up to the first that is not."""
    blocks: list[Block] = []
    for item in solved:
        try:
            block = complete(parse_hex(item.header, "header"), parse_hex(item.coinbase, "coinbase"))
        except DecodeError:
            break
        if block.header.prev_hash != below.hash:
            break
        blocks.append(block)
        below = block
    return blocks
