"""Proof of work: targets, work, and the difficulty of the next block (Core's pow.cpp, chain.cpp)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from shared.errors import ValidationError
from shared.primitives.target import bits_to_target, target_to_bits
from shared.reasons import Reason

if TYPE_CHECKING:
    from shared.consensus.params import ChainParams
    from shared.primitives.block import BlockHeader

__all__ = [
    "HeaderSource",
    "bits_to_target",
    "block_work",
    "check_proof_of_work",
    "difficulty",
    "has_constant_bits",
    "hash_rate",
    "next_bits",
    "target_to_bits",
]

HASH_RATE_BLOCKS = 120
"""Blocks over which the hash rate is estimated (Core's getnetworkhashps)."""
_DIFFICULTY_ONE_EXPONENT = 29
_DIFFICULTY_ONE_MANTISSA = 0xFFFF
"""Difficulty 1 is the target of `bits` 0x1d00ffff, the easiest target of Bitcoin's main network."""


class HeaderSource(Protocol):
    """The headers of the branch that a block extends, as far as the difficulty rules look back."""

    def header_at(self, height: int) -> BlockHeader:
        """Return the branch's header at `height`, which must exist."""
        ...


def block_work(bits: int) -> int:
    """Return the number of hashes that a block with these `bits` takes on average; 0 for no target (GetBlockProof)."""
    target = bits_to_target(bits)
    return (1 << 256) // (target + 1) if target else 0


def difficulty(bits: int) -> float:
    """Return the difficulty of a compact target, in multiples of difficulty 1 (Core's GetDifficulty)."""
    mantissa = bits & 0x00FFFFFF
    if not mantissa:
        return 0.0
    return _DIFFICULTY_ONE_MANTISSA / mantissa * 256.0 ** (_DIFFICULTY_ONE_EXPONENT - (bits >> 24))


def hash_rate(work: int, times: Iterable[int]) -> float:
    """Return hashes per second from the work of some blocks, and the times in seconds of these and the block before.

    Return 0 if all times are equal. Source: Core's GetNetworkHashPS.
    """
    seen = list(times)
    seconds = max(seen) - min(seen)
    return work / seconds if seconds else 0.0


def check_proof_of_work(header: BlockHeader, params: ChainParams) -> None:
    """Raise high-hash unless the hash meets the header's target and the target the chain's limit (CheckProofOfWork)."""
    target = bits_to_target(header.bits)
    if not 0 < target <= params.pow_limit:
        raise ValidationError(Reason.HIGH_HASH, f"bits {header.bits:08x} are no target of this chain")
    if int.from_bytes(header.hash, "little") > target:
        raise ValidationError(Reason.HIGH_HASH, "proof of work failed")


def next_bits(source: HeaderSource, height: int, time: int, params: ChainParams) -> int:
    """Return the `bits` required of the block at `height` (1 or more) with the header time `time` (seconds).

    The time matters on chains that allow minimum difficulty after a pause. Source: Core's GetNextWorkRequired.
    """
    if has_constant_bits(params):  # saves looking for an earlier block of another difficulty: there is none
        return params.genesis.header.bits
    last = source.header_at(height - 1)
    if height % params.retarget_interval == 0:
        return _retarget(source, height, last, params)
    if not params.pow_allow_min_difficulty:
        return last.bits
    limit = target_to_bits(params.pow_limit)
    if time > last.time + 2 * params.pow_spacing:
        return limit
    # Skip the blocks that have minimum difficulty because of a pause.
    at = height - 1
    while at % params.retarget_interval and last.bits == limit:
        at -= 1
        last = source.header_at(at)
    return last.bits


def has_constant_bits(params: ChainParams) -> bool:
    """Tell whether every block of a chain has the bits of its genesis block, because no rule can change them."""
    bits = params.genesis.header.bits
    return params.pow_no_retargeting and (
        not params.pow_allow_min_difficulty or bits == target_to_bits(params.pow_limit)
    )


def _retarget(source: HeaderSource, height: int, last: BlockHeader, params: ChainParams) -> int:
    """Return the bits of a period's first block (Core's CalculateNextWorkRequired)."""
    if params.pow_no_retargeting:
        return last.bits
    first = source.header_at(height - params.retarget_interval)
    timespan = last.time - first.time
    timespan = min(max(timespan, params.pow_timespan // 4), params.pow_timespan * 4)
    # BIP94: a pause may have given the period's last block minimum difficulty, but never its first.
    target = bits_to_target(first.bits if params.enforce_bip94 else last.bits)
    return target_to_bits(min(target * timespan // params.pow_timespan, params.pow_limit))
