"""Templates: work for Warren's miners and for others. Requests to have blocks mined."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from shared.bus.events.message import Message, Request
from shared.bus.topics import Topic


class NextBlock(msgspec.Struct, frozen=True, kw_only=True):
    """A block without payments on top of another one of the same bits, which its miner finds right after that."""

    time: int
    """Seconds; moved as far as that of the template's own block."""
    coinbase_prefix: str
    """As in `BlockTemplate`, with the same extranonce."""
    coinbase_suffix: str


class BlockTemplate(Message, frozen=True, kw_only=True):
    """Everything a miner needs to search for a block, and nothing else: it never sees the transactions."""

    topic: ClassVar[Topic] = Topic.BLOCK_TEMPLATE
    id: str
    height: int
    version: int
    previous_hash: str
    bits: int
    time: int
    """Seconds; the miner may move it forward, never below `min_time`."""
    min_time: int
    coinbase_prefix: str
    """Coinbase = prefix + extranonce + suffix, in hex, serialised without witness."""
    coinbase_suffix: str
    extranonce_size: int
    """Bytes that the miner fills in."""
    merkle_branch: tuple[str, ...]
    """Wire-order hex: hashes that join the coinbase's txid on the way to the merkle root."""
    turn: tuple[str, ...] = ()
    """Names of the miners that search at once, of a block that few find soon: the others begin if no other template
    comes within a second. Empty: all."""
    next_blocks: tuple[NextBlock, ...] = ()
    """Blocks to find on top of it, one after another, before the solution goes out: where a block takes next to no
    hashes, and many are wanted, messages would take most of the time. A miner may leave them out."""


class WorkEnded(Message, frozen=True, kw_only=True):
    """Nobody wants a block now: miners stop until the next template."""

    topic: ClassVar[Topic] = Topic.WORK_ENDED


class MinerReport(Message, frozen=True, kw_only=True):
    """What a miner can do and does: sent every few seconds, at its start and at its end."""

    topic: ClassVar[Topic] = Topic.MINER_REPORT
    name: str
    worker: str
    """Tells apart miners of one name: random hex."""
    kernel: str
    """How it searches: `hashlib`, `llvm`."""
    hash_rate: float
    """Hashes per second while it searches."""
    blocks: int
    """Blocks that it has found since its start."""
    state: str
    """`mining`, `waiting` (it has no work, or it is the turn of another), `stopped`."""
    template_id: str = ""
    """The newest template that it has heard."""


class MineResult(Message, frozen=True, kw_only=True):
    """Reply to `MineRequested`: hashes of the blocks mined for it; `error` says why there are fewer than asked for."""

    hashes: tuple[str, ...]
    error: str = ""


class MineRequested(Request[MineResult], frozen=True, kw_only=True):
    """Mine `count` blocks that pay `script_pubkey`. The reply comes when they are on the chain."""

    topic: ClassVar[Topic] = Topic.MINE_REQUESTED
    expires: ClassVar[bool] = True
    needs_message_id: ClassVar[bool] = True
    count: int
    script_pubkey: str
    """In hex."""
    txs: tuple[str, ...] | None = None
    """For one block with exactly these transactions: txids of the pool, or raw transactions in hex."""

    def is_answered_by(self, reply: MineResult) -> bool:
        """Tell whether all blocks were mined, or the reply says why not."""
        return bool(reply.error) or len(reply.hashes) == self.count


class TemplateTx(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction of a `WorkTemplate`."""

    data: str
    """In hex."""
    txid: str
    hash: str
    """Its wtxid."""
    depends: tuple[int, ...]
    """Places in the template, counted from 1, of the transactions that it spends from."""
    fee: int
    sigops: int
    """Signature operation cost."""
    weight: int


class WorkTemplate(Message, frozen=True, kw_only=True):
    """Reply to `TemplateRequested`: the fields of `getblocktemplate` (BIP22, BIP23, BIP145)."""

    capabilities: tuple[str, ...]
    version: int
    rules: tuple[str, ...]
    vbavailable: dict[str, int]
    vbrequired: int
    previousblockhash: str
    transactions: tuple[TemplateTx, ...]
    coinbaseaux: dict[str, str]
    coinbasevalue: int
    longpollid: str
    target: str
    mintime: int
    mutable: tuple[str, ...]
    noncerange: str
    sigoplimit: int
    sizelimit: int
    weightlimit: int
    curtime: int
    bits: str
    """In hex."""
    height: int
    signet_challenge: str = ""
    default_witness_commitment: str
    """The scriptPubKey of the coinbase output that commits to the witnesses, in hex."""


class TemplateRequested(Request[WorkTemplate], frozen=True, kw_only=True):
    """Show the template of the next block; nothing changes."""

    topic: ClassVar[Topic] = Topic.TEMPLATE_REQUESTED
    expires: ClassVar[bool] = True
