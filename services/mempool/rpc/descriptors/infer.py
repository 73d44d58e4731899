"""Output descriptors as `desc` fields show them (BIP380 to BIP386): inferred from a script alone, with checksum."""

from __future__ import annotations

from embit.descriptor.checksum import add_checksum

from shared.crypto.keys import PublicKey
from shared.errors import DecodeError
from shared.script.standard import ScriptType, classify


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
    described: str = add_checksum(text)
    return described


def _is_plain_key(key: bytes) -> bool:
    """Whether a key has no hybrid encoding, which descriptors do not know (CPubKey::IsValidNonHybrid)."""
    return key[0] in (2, 3, 4)


def _is_on_curve(x_only: bytes) -> bool:
    try:
        PublicKey.parse(b"\x02" + x_only)
    except DecodeError:
        return False
    return True
