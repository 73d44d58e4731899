"""Bech32 (BIP173) and Bech32m (BIP350): the text form of segwit addresses."""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache, reduce
from operator import xor
from typing import TYPE_CHECKING

from shared.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {character: value for value, character in enumerate(_CHARSET)}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_STEPS = [reduce(xor, (g for bit, g in enumerate(_GENERATOR) if top >> bit & 1), 0) for top in range(32)]
"""For each value of the five top bits that shift out of the checksum: the number to XOR into it."""
_CHECKSUM = 6
_MAX_TEXT = 90


class Encoding(IntEnum):
    """The kind of checksum; the value is the constant of BIP173 or BIP350."""

    BECH32 = 1
    BECH32M = 0x2BC830A3


def _polymod(values: Iterable[int], checksum: int = 1) -> int:
    for value in values:
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value ^ _STEPS[checksum >> 25]
    return checksum


@lru_cache(maxsize=16)
def _begin(hrp: str) -> int:
    """Return the checksum's state after the human-readable part; cached, as all addresses of a chain share it."""
    return _polymod([ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp])


def encode(encoding: Encoding, hrp: str, values: Sequence[int]) -> str:
    """Return the text of 5-bit `values` under the human-readable part `hrp` (lower case)."""
    polymod = _polymod([*values, *[0] * _CHECKSUM], _begin(hrp)) ^ encoding
    checksum = [polymod >> 5 * (_CHECKSUM - 1 - i) & 31 for i in range(_CHECKSUM)]
    return hrp + "1" + "".join([_CHARSET[value] for value in [*values, *checksum]])


def decode(text: str) -> tuple[Encoding, str, list[int]]:
    """Return encoding, human-readable part (lower case) and 5-bit values, without the checksum.

    Raises DecodeError for mixed case, characters outside the alphabet, a wrong length or a checksum of neither kind.
    """
    if any(not 33 <= ord(c) <= 126 for c in text):
        raise DecodeError("Bech32 text has a character that is not printable ASCII")
    if text.lower() != text and text.upper() != text:
        raise DecodeError("Bech32 text mixes upper and lower case")
    if len(text) > _MAX_TEXT:
        raise DecodeError(f"Bech32 text of {len(text)} characters is longer than {_MAX_TEXT}")
    text = text.lower()
    hrp, separator, data = text.rpartition("1")
    if not separator or not hrp:
        raise DecodeError("Bech32 text has no prefix before its separator 1")
    if len(data) < _CHECKSUM:
        raise DecodeError("Bech32 text is too short for its checksum")
    values = values_of(data)
    try:
        encoding = Encoding(_polymod(values, _begin(hrp)))
    except ValueError:
        raise DecodeError("Bech32 checksum does not match: the text was mistyped or cut") from None
    return encoding, hrp, values[:-_CHECKSUM]


def values_of(text: str) -> list[int]:
    """Return the 5-bit value of each character; DecodeError for one outside the (lower case) alphabet."""
    values = []
    for character in text:
        value = _VALUES.get(character)
        if value is None:
            raise DecodeError(f"{character!r} is not a Bech32 character")
        values.append(value)
    return values


def encode_segwit(hrp: str, version: int, program: bytes) -> str:
    """Return the address of a witness program: Bech32 for version 0, Bech32m for 1 to 16 (BIP350)."""
    count = -(-8 * len(program) // 5)
    number = int.from_bytes(program, "big") << 5 * count - 8 * len(program)
    groups = [number >> 5 * place & 31 for place in range(count - 1, -1, -1)]
    return encode(Encoding.BECH32 if version == 0 else Encoding.BECH32M, hrp, [version, *groups])


def decode_segwit(text: str) -> tuple[str, int, bytes]:
    """Return human-readable part, witness version and program of a segwit address; DecodeError for other text."""
    encoding, hrp, values = decode(text)
    if not values:
        raise DecodeError("Bech32 address is empty")
    version = values[0]
    if version > 16:
        raise DecodeError(f"witness version {version} does not exist")
    if (version == 0) != (encoding is Encoding.BECH32):
        needed = "Bech32" if version == 0 else "Bech32m"
        raise DecodeError(f"an address of witness version {version} must have a {needed} checksum")
    number = 0
    for value in values[1:]:
        number = number << 5 | value
    size, spare = divmod(5 * (len(values) - 1), 8)
    if spare >= 5 or number & ((1 << spare) - 1):
        raise DecodeError("Bech32 address has wrong padding")
    program = (number >> spare).to_bytes(size, "big")
    if not 2 <= len(program) <= 40:
        raise DecodeError(f"a witness program has 2 to 40 bytes, not {len(program)}")
    if version == 0 and len(program) not in (20, 32):
        raise DecodeError(f"a witness program of version 0 has 20 or 32 bytes, not {len(program)}")
    return hrp, version, program
