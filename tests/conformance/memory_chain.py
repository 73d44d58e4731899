"""A best chain in memory, fed block by block through every rule of ours: for blocks of the real networks."""

from shared.chain.connect_block import connect_block
from shared.chain.overlay import Overlay
from shared.consensus.block_check import (
    BlockContext,
    check_block,
    check_block_context,
    check_header_context,
    median_time_past,
)
from shared.consensus.pow import next_bits
from shared.script.interpreter import verify_input


class MemoryChain:
    """A chain without forks. It is a HeaderSource, a CoinSource, and the verifier of its own scripts."""

    def __init__(self, params):
        self.params = params
        self.headers = [params.genesis.header]
        self.unspent = {}
        self.inputs_verified = 0

    @property
    def height(self):
        return len(self.headers) - 1

    def header_at(self, height):
        return self.headers[height]

    def coins(self, outpoints):
        return [self.unspent.get(outpoint) for outpoint in outpoints]

    def mtp_at(self, height):
        return median_time_past([header.time for header in self.headers[max(0, height - 10) : height + 1]])

    def next_bits(self, time):
        return next_bits(self, self.height + 1, time, self.params)

    def verify(self, tx, spent, flags, reason):
        for index in range(len(tx.inputs)):
            verify_input(tx, index, spent, flags)
            self.inputs_verified += 1

    def check(self, block, *, now=None):
        """Raise ValidationError unless the block may follow as far as rules without coins go."""
        tip = self.headers[-1]
        context = BlockContext(
            height=self.height + 1,
            prev_hash=tip.hash,
            prev_time=tip.time,
            median_time_past=self.mtp_at(self.height),
            expected_bits=self.next_bits(block.header.time),
        )
        check_block(block, self.params)
        check_header_context(block.header, context, self.params, now or block.header.time)
        check_block_context(block, context, self.params)

    def accept(self, block, *, now=None):
        """Add the block to the chain; ValidationError if it breaks a rule."""
        self.check(block, now=now)
        overlay = Overlay(self)
        connect_block(
            overlay,
            block,
            self.height + 1,
            self.params,
            median_time_past=self.mtp_at(self.height),
            mtp_at=self.mtp_at,
            verifier=self,
        )
        self.unspent.update(overlay.coin_changes())
        self.headers.append(block.header)
