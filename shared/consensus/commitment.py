"""The coinbase output that commits a block to its witnesses and holds signet's solution (BIP141, BIP325)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shared.crypto.hashes import sha256d

if TYPE_CHECKING:
    from shared.primitives.block import Block

COMMITMENT_HEADER: Final = bytes.fromhex("6a24aa21a9ed")
"""The first bytes of the script with a witness commitment; the 32 bytes of the commitment follow."""

WITNESS_RESERVED_VALUE: Final = bytes(32)
"""The one witness item of the coinbases that Warren makes; BIP141 allows any 32 bytes."""

_COMMITMENT_SIZE = len(COMMITMENT_HEADER) + 32


def commitment_index(block: Block) -> int | None:
    """Return the index of the coinbase's last output with a commitment, None without (GetWitnessCommitmentIndex)."""
    outputs = block.transactions[0].outputs if block.transactions else ()
    for index in reversed(range(len(outputs))):
        script = outputs[index].script_pubkey
        if len(script) >= _COMMITMENT_SIZE and script.startswith(COMMITMENT_HEADER):
            return index
    return None


def witness_commitment(block: Block) -> bytes | None:
    """Return the 32-byte commitment in the coinbase, None without one."""
    index = commitment_index(block)
    if index is None:
        return None
    return block.transactions[0].outputs[index].script_pubkey[len(COMMITMENT_HEADER) : _COMMITMENT_SIZE]


def commitment_script(witness_root: bytes, reserved_value: bytes = WITNESS_RESERVED_VALUE) -> bytes:
    """Return the script of the output that commits a block to its witnesses (BIP141).

    `witness_root` comes from `witness_merkle_root`; the coinbase's witness must be `reserved_value` alone.
    """
    return COMMITMENT_HEADER + sha256d(witness_root + reserved_value)
