"""The stored parts of a confirmed transaction: its location, its coins, and the inputs that spend its outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgpack

from shared.chain.codec.coins import Spend, TxLocation, decode_location
from shared.primitives.serialize import pack_u32
from shared.primitives.transaction import OutPoint

PART_OUTPUTS = 8
"""Outputs in a part: a transaction may have many thousands, and a commit that spends one writes its part anew."""

StoredOutput = bytes | tuple[bytes, int] | None
"""An encoded coin; the txid and the index of the input that spends the output; None for one that nobody can spend."""


class TxPart(NamedTuple):
    """A part of what is stored of a transaction."""

    location: bytes | None
    """Encoded; only the first part has it."""
    outputs: Sequence[StoredOutput]

    def output(self, vout: int) -> StoredOutput:
        """Return one of the transaction's outputs, which must belong to this part."""
        place = vout % PART_OUTPUTS
        return self.outputs[place] if place < len(self.outputs) else None

    def coin(self, vout: int) -> bytes | None:
        """Return the encoded coin of an output, None if it is spent."""
        output = self.output(vout)
        return output if isinstance(output, bytes) else None

    def spend(self, vout: int) -> Spend | None:
        """Return the input that spends an output, None if none does."""
        output = self.output(vout)
        return Spend(*output) if isinstance(output, tuple) else None

    def decoded_location(self) -> TxLocation | None:
        """Return the location of the transaction; None if this is a later part."""
        return None if self.location is None else decode_location(self.location)


def part_field(outpoint: OutPoint) -> bytes:
    """Return the field of the part that has this output: the txid, in later parts followed by their number."""
    number = outpoint.vout // PART_OUTPUTS
    return outpoint.txid + pack_u32(number) if number else outpoint.txid


def part_outpoints(field: bytes, part: TxPart) -> list[OutPoint]:
    """Return the outpoint of each output of a part."""
    first = int.from_bytes(field[32:], "little") * PART_OUTPUTS
    return [OutPoint(field[:32], first + place) for place in range(len(part.outputs))]


def encode_tx_part(location: bytes | None, outputs: Sequence[StoredOutput]) -> bytes:
    """Return a MessagePack array: location or nil, then for each output its coin, (txid, input) of its spend, or nil.

    Nils at the end are left out.
    """
    count = len(outputs)
    while count and outputs[count - 1] is None:
        count -= 1
    encoded: bytes = msgpack.packb((location, *outputs[:count]))
    return encoded


def decode_tx_part(data: bytes) -> TxPart:
    """Inverse of `encode_tx_part`."""
    found: Any = msgpack.unpackb(data, use_list=False)
    return TxPart(found[0], found[1:])
