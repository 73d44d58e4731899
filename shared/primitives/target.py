"""Compact targets: packs the 256-bit number that a block's hash must not exceed into the 32 bits of `bits`."""

from __future__ import annotations


def bits_to_target(bits: int) -> int:
    """Return the target of compact `bits`, 0 (which no hash meets) if it is negative, zero or over 256 bits.

    Source: Core's arith_uint256::SetCompact and DeriveTarget.
    """
    exponent, mantissa = bits >> 24, bits & 0x007FFFFF
    target = mantissa >> 8 * (3 - exponent) if exponent <= 3 else mantissa << 8 * (exponent - 3)
    is_negative = bits & 0x00800000
    return 0 if is_negative or target >= 1 << 256 else target


def target_to_bits(target: int) -> int:
    """Return the compact form of a target, rounded down to 23 bits (arith_uint256::GetCompact)."""
    size = (target.bit_length() + 7) // 8
    mantissa = target << 8 * (3 - size) if size <= 3 else target >> 8 * (size - 3)
    if mantissa & 0x00800000:  # the top bit is the sign
        mantissa >>= 8
        size += 1
    return size << 24 | mantissa
