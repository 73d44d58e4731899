"""Turns a template into headers to search, and a nonce into the claim of a block. Pure.

A miner fills the template's extranonce bytes with `/name/`, six bytes of its own and a counter: so no two miners ever
search the same headers, and the block shows who found it. Within a miner no `Attempt` is made twice: it goes through
the nonces of a header, then through the version bits that are there to be rolled (BIP320), then the extranonce's
counter moves. The time follows the clock.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from shared.bus.events import BlockMined, BlockTemplate, NextBlock, SolvedBlock
from shared.consensus.pow import bits_to_target
from shared.crypto.hashes import sha256d
from shared.errors import DecodeError
from shared.primitives.block import MAX_TIME, BlockHeader
from shared.primitives.hex import display_hash, parse_display_hash, parse_hex
from shared.primitives.merkle import root_from_branch
from shared.primitives.serialize import pack_u32

OWN_BYTES = 6
_COUNTER_BYTES = 2

NONCE_BITS = 32
_ROLL_BITS = 16
_ROLL_SHIFT = 13
"""The bits of a version that mean nothing (BIP320) are the sixteen from this one on."""
_ATTEMPTS = 1 << (NONCE_BITS + _ROLL_BITS + 8 * _COUNTER_BYTES)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a miner to solve a block: the parts of the header that are its own."""

    counter: int
    """In the extranonce."""
    roll: int
    """In the version."""
    nonce: int

    @classmethod
    def at(cls, number: int) -> Self:
        """Return the attempt of this number, from 0 on: no two below 2^64 are the same."""
        rest, nonce = divmod(number % _ATTEMPTS, 1 << NONCE_BITS)
        counter, roll = divmod(rest, 1 << _ROLL_BITS)
        return cls(counter, roll, nonce)


def extranonce(name: str, own: bytes, counter: int, size: int) -> bytes:
    """Return the `size` bytes that make this miner's coinbase its own.

    `/name/`, then the process's `own` six random bytes, then a 16-bit counter, then NULs. A name that does not fit is
    cut. Raises `DecodeError` if there is no room for the random bytes and the counter.
    """
    room = size - OWN_BYTES - _COUNTER_BYTES
    if room < 0:
        raise DecodeError(f"a template has room for {size} extranonce bytes, and 8 are needed")
    tag = f"/{name[: max(0, room - 2)]}/".encode("ascii")[:room]
    return (tag + own + counter.to_bytes(_COUNTER_BYTES, "little")).ljust(size, b"\0")


@dataclass(frozen=True, slots=True)
class Work:
    """One header to search: everything but the nonce."""

    template_id: str
    height: int
    header_76: bytes
    """Serialised, wire order."""
    coinbase: bytes
    """Serialised without witness."""
    target: int
    extranonce: bytes
    delay: int
    """Seconds from the template's time to the header's."""

    def claim(self, nonce: int, miner: str, next_blocks: Sequence[SolvedBlock] = ()) -> BlockMined:
        """Return the claim that `nonce` solves this header, with the solutions of blocks on top of it."""
        own = self.solved(nonce)
        return BlockMined(
            template_id=self.template_id,
            header=own.header,
            coinbase=own.coinbase,
            miner=miner,
            next_blocks=tuple(next_blocks),
        )

    def solved(self, nonce: int) -> SolvedBlock:
        """Return the solution with this nonce."""
        return SolvedBlock(header=(self.header_76 + pack_u32(nonce)).hex(), coinbase=self.coinbase.hex())

    def hash_hex(self, nonce: int) -> str:
        """Return the block's hash in display order."""
        return display_hash(sha256d(self.header_76 + pack_u32(nonce)))


@dataclass(frozen=True, slots=True)
class NextJob:
    """A decoded `NextBlock` of a template."""

    time: int
    coinbase_prefix: bytes
    coinbase_suffix: bytes


@dataclass(frozen=True, slots=True)
class Job:
    """A decoded template."""

    template_id: str
    height: int
    version: int
    previous_hash: bytes
    bits: int
    target: int
    time: int
    min_time: int
    coinbase_prefix: bytes
    coinbase_suffix: bytes
    extranonce_size: int
    merkle_branch: tuple[bytes, ...]
    turn: tuple[str, ...]
    """Names of the miners that begin at once; empty: all."""
    next_jobs: tuple[NextJob, ...]
    """Blocks to find on top of it."""
    traceparent: str
    """Of the request that wants the block."""

    @classmethod
    def from_template(cls, template: BlockTemplate, traceparent: str = "") -> Self:
        """Return the job of a template; raises `DecodeError` for a malformed one."""
        target = bits_to_target(template.bits)
        if target == 0:
            raise DecodeError(f"no hash can meet the bits {template.bits:08x}")
        branch = tuple(parse_hex(item, "merkle branch") for item in template.merkle_branch)
        if any(len(item) != 32 for item in branch):
            raise DecodeError("a merkle branch has items of 32 bytes")
        job = cls(
            template_id=template.id,
            height=template.height,
            version=template.version,
            previous_hash=parse_display_hash(template.previous_hash),
            bits=template.bits,
            target=target,
            time=template.time,
            min_time=template.min_time,
            coinbase_prefix=parse_hex(template.coinbase_prefix, "coinbase prefix"),
            coinbase_suffix=parse_hex(template.coinbase_suffix, "coinbase suffix"),
            extranonce_size=template.extranonce_size,
            merkle_branch=branch,
            turn=template.turn,
            next_jobs=tuple([_next_job(block) for block in template.next_blocks]),
            traceparent=traceparent,
        )
        job.work(extranonce("", bytes(OWN_BYTES), 0, job.extranonce_size), 0, 0)
        return job

    @property
    def hashes(self) -> float:
        """The number of hashes that a solution takes on average."""
        return (1 << 256) / (self.target + 1)

    def work(self, extranonce: bytes, roll: int, seconds: int) -> Work:
        """Return the header with this extranonce, these rolled version bits, and a time `seconds` after the template's.

        The time is never below `min_time`.
        """
        coinbase = self.coinbase_prefix + extranonce + self.coinbase_suffix
        merkle_root = root_from_branch(sha256d(coinbase), self.merkle_branch, 0)
        time = min(max(self.time + seconds, self.min_time), MAX_TIME)
        version = self.version ^ roll << _ROLL_SHIFT
        header_76 = self._header_76(version, self.previous_hash, merkle_root, time)
        delay = time - self.time
        return Work(self.template_id, self.height, header_76, coinbase, self.target, extranonce, delay)

    def next_work(self, below: Work, nonce: int) -> Work | None:
        """Return the header of the block on top of `below`, which `nonce` solves; None if the template has no more.

        The block has no payments, so its merkle root is its coinbase's txid. Its time is as late as that of the block
        below: the times of a chain may not fall behind.
        """
        number = below.height - self.height
        if number == len(self.next_jobs):
            return None
        following = self.next_jobs[number]
        coinbase = following.coinbase_prefix + below.extranonce + following.coinbase_suffix
        time = min(following.time + below.delay, MAX_TIME)
        previous_hash = sha256d(below.header_76 + pack_u32(nonce))
        header_76 = self._header_76(self.version, previous_hash, sha256d(coinbase), time)
        return Work(self.template_id, below.height + 1, header_76, coinbase, self.target, below.extranonce, below.delay)

    def _header_76(self, version: int, previous_hash: bytes, merkle_root: bytes, time: int) -> bytes:
        try:
            return BlockHeader(version, previous_hash, merkle_root, time, self.bits, nonce=0).serialize()[:-4]
        except struct.error as error:
            raise DecodeError(f"a header cannot hold the template's numbers: {error}") from None


def _next_job(block: NextBlock) -> NextJob:
    return NextJob(
        time=block.time,
        coinbase_prefix=parse_hex(block.coinbase_prefix, "coinbase prefix"),
        coinbase_suffix=parse_hex(block.coinbase_suffix, "coinbase suffix"),
    )
