"""Blocks found by miners or submitted, the verdict on each, and the chain's facts."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from shared.bus.events.message import Message, Request
from shared.bus.topics import Topic


class BlockVerdict(Message, frozen=True, kw_only=True):
    """Reply to `BlockMined`. A valid block that is not on the best chain is accepted with reason `inconclusive`."""

    hash: str
    accepted: bool
    reason: str = ""
    detail: str = ""


class SolvedBlock(msgspec.Struct, frozen=True, kw_only=True):
    """A solution of one of a template's `next_blocks`, on top of the block before."""

    header: str
    """80 bytes in hex."""
    coinbase: str
    """The coinbase transaction in hex, without its witness."""


class BlockMined(Request[BlockVerdict], frozen=True, kw_only=True):
    """A template's solution (`template_id`, `header`, `coinbase`), or a whole `block`."""

    topic: ClassVar[Topic] = Topic.BLOCK_MINED
    template_id: str | None = None
    header: str | None = None
    """80 bytes in hex."""
    coinbase: str | None = None
    """The coinbase transaction in hex, without its witness."""
    block: str | None = None
    miner: str = ""
    """Name of the worker that found it."""
    next_blocks: tuple[SolvedBlock, ...] = ()
    """Solutions of the first of the template's `next_blocks`, in order. The verdict is on the block before them; they
    join the chain as long as each is valid."""
    test_only: bool = False
    """Check a whole block on the tip, its proof of work apart; it does not join the chain (BIP23's proposals)."""

    def __post_init__(self) -> None:
        """Refuse a message that is neither form, or both."""
        solution = (self.template_id, self.header, self.coinbase)
        if self.block is None and None in solution:
            raise ValueError("a solution needs template_id, header and coinbase")
        if self.block is not None and solution != (None, None, None):
            raise ValueError("either a solution or a whole block, not both")


class BlockConnected(Message, frozen=True, kw_only=True):
    """A block joined the best chain."""

    topic: ClassVar[Topic] = Topic.BLOCK_CONNECTED
    seq: int = 0
    hash: str
    height: int
    time: int
    tx_count: int


class BlockDisconnected(Message, frozen=True, kw_only=True):
    """A block left the best chain in a reorganisation."""

    topic: ClassVar[Topic] = Topic.BLOCK_DISCONNECTED
    seq: int = 0
    hash: str
    height: int
    time: int
    tx_count: int
