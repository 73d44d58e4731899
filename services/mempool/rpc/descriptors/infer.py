"""Output descriptors as `desc` fields show them (BIP380 to BIP386): inferred from a script alone, with checksum."""

from __future__ import annotations

from functools import reduce
from operator import xor

from shared.crypto.keys import PublicKey
from shared.errors import DecodeError
from shared.script.standard import ScriptType, classify

_INPUT = "0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~ijklmnopqrstuvwxyzABCDEFGH`#\"\\ "  # BIP380
_POSITIONS = {character: position for position, character in enumerate(_INPUT)}
_CHECKSUM = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0xF5DEE51989, 0xA9FDCA3312, 0x1BAB10E32D, 0x3706B1677A, 0x644D626FFD)
_STEPS = [reduce(xor, (g for bit, g in enumerate(_GENERATOR) if top >> bit & 1), 0) for top in range(32)]
"""What the five bits that leave the state at the top come back as."""


def infer(script: bytes, address: str | None) -> str:
    """Return the descriptor of a scriptPubKey of which only its address is known (Core's InferDescriptor)."""
    kind, parts = classify(script)
    if kind is ScriptType.PUBKEY and _is_plain_key(parts[0]):
        text = f"pk({parts[0].hex()})"
    elif kind is ScriptType.MULTISIG and all(map(_is_plain_key, parts[1:-1])):
        text = f"multi({parts[0][0]},{','.join(key.hex() for key in parts[1:-1])})"
    elif kind is ScriptType.WITNESS_V1_TAPROOT and _is_on_curve(parts[0]):
        text = f"rawtr({parts[0].hex()})"
    elif address is not None:
        text = f"addr({address})"
    else:
        text = f"raw({script.hex()})"
    return f"{text}#{checksum(text)}"


def checksum(text: str) -> str:
    """Return the 8 characters that follow `#` (BIP380); `KeyError` for a character that no descriptor has."""
    positions = [_POSITIONS[character] for character in text]
    state = 1
    for start in range(0, len(positions), 3):
        group = 0
        for position in positions[start : start + 3]:
            state = _polymod(state, position & 31)
            group = group * 3 + (position >> 5)
        state = _polymod(state, group)
    for _ in range(8):
        state = _polymod(state, 0)
    state ^= 1
    return "".join(_CHECKSUM[(state >> (5 * (7 - place))) & 31] for place in range(8))


def _polymod(state: int, value: int) -> int:
    return (state & 0x7FFFFFFFF) << 5 ^ value ^ _STEPS[state >> 35]


def _is_plain_key(key: bytes) -> bool:
    """Whether a key has no hybrid encoding, which descriptors do not know (CPubKey::IsValidNonHybrid)."""
    return key[0] in (2, 3, 4)


def _is_on_curve(x_only: bytes) -> bool:
    try:
        PublicKey.parse(b"\x02" + x_only)
    except DecodeError:
        return False
    return True
