"""Partially signed transactions, version 0 (BIP174, BIP371): bytes to maps and back, without losing a field. Pure.

A PSBT is one map for the transaction and one for each input and output. Unknown keys are kept as they are, so that the
fields of other programs survive.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from enum import IntEnum

from shared.errors import DecodeError
from shared.primitives.serialize import Reader, pack_compact_size, pack_var_bytes
from shared.primitives.transaction import Transaction, TxIn, TxOut

_MAGIC = b"psbt\xff"
_SEPARATOR = b"\x00"

Fields = dict[bytes, bytes]
"""A map of a PSBT: type byte and key data → value."""


class In(IntEnum):
    """Types of an input's fields."""

    NON_WITNESS_UTXO = 0x00
    WITNESS_UTXO = 0x01
    PARTIAL_SIG = 0x02
    SIGHASH_TYPE = 0x03
    REDEEM_SCRIPT = 0x04
    WITNESS_SCRIPT = 0x05
    BIP32_DERIVATION = 0x06
    FINAL_SCRIPTSIG = 0x07
    FINAL_SCRIPTWITNESS = 0x08
    TAP_KEY_SIG = 0x13
    TAP_SCRIPT_SIG = 0x14
    TAP_LEAF_SCRIPT = 0x15
    TAP_BIP32_DERIVATION = 0x16
    TAP_INTERNAL_KEY = 0x17
    TAP_MERKLE_ROOT = 0x18


class Out(IntEnum):
    """Types of an output's fields."""

    REDEEM_SCRIPT = 0x00
    WITNESS_SCRIPT = 0x01
    BIP32_DERIVATION = 0x02
    TAP_INTERNAL_KEY = 0x05
    TAP_TREE = 0x06
    TAP_BIP32_DERIVATION = 0x07


_GLOBAL_TX = b"\x00"
GLOBAL_XPUB = 0x01
_GLOBAL_VERSION = b"\xfb"
_BARE_IN = frozenset(
    bytes([kind])
    for kind in In
    if kind not in (In.PARTIAL_SIG, In.BIP32_DERIVATION, In.TAP_SCRIPT_SIG, In.TAP_LEAF_SCRIPT, In.TAP_BIP32_DERIVATION)
)
_AFTER_FINAL = (In.PARTIAL_SIG, In.SIGHASH_TYPE, In.REDEEM_SCRIPT, In.WITNESS_SCRIPT, In.BIP32_DERIVATION)


@dataclass(slots=True)
class Psbt:
    """An unsigned transaction with the data that its signers exchange."""

    tx: Transaction
    globals: Fields = field(default_factory=dict)
    """All but the transaction."""
    inputs: list[Fields] = field(default_factory=list)
    outputs: list[Fields] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Give each input and output a map."""
        self.inputs = self.inputs or [{} for _ in self.tx.inputs]
        self.outputs = self.outputs or [{} for _ in self.tx.outputs]

    @classmethod
    def decode(cls, text: str) -> Psbt:
        """Return the PSBT of a base64 text. Raises `DecodeError`, with Core's message where it has one."""
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise DecodeError("invalid base64") from None
        return cls.parse(data)

    @classmethod
    def parse(cls, data: bytes) -> Psbt:
        """Return the PSBT of exactly these bytes. Raises `DecodeError`, with Core's message where it has one."""
        reader = Reader(data)
        if reader.take(len(_MAGIC), "PSBT magic") != _MAGIC:
            raise DecodeError("Invalid PSBT magic bytes")
        fields = _read_map(reader)
        raw = fields.pop(_GLOBAL_TX, None)
        if raw is None:
            raise DecodeError("No unsigned transaction was provided")
        if int.from_bytes(fields.get(_GLOBAL_VERSION, b""), "little"):
            raise DecodeError("Unsupported version number")
        tx = Transaction.parse(raw)
        if tx.has_witness or any(txin.script_sig for txin in tx.inputs):
            raise DecodeError("Unsigned tx does not have empty scriptSigs and scriptWitnesses.")
        inputs = [_read_map(reader) for _ in tx.inputs]
        outputs = [_read_map(reader) for _ in tx.outputs]
        reader.finish("PSBT")
        psbt = cls(tx, fields, inputs, outputs)
        for index, known in enumerate(psbt.inputs):
            _check_input(psbt, index, known)
        return psbt

    def serialize(self) -> bytes:
        """Return the bytes, fields in the order of their keys."""
        maps = [{_GLOBAL_TX: self.tx.serialize(), **self.globals}, *self.inputs, *self.outputs]
        return _MAGIC + b"".join(map(_pack_map, maps))

    def encode(self) -> str:
        """Return the PSBT in base64."""
        return base64.b64encode(self.serialize()).decode()

    def spent_output(self, index: int) -> TxOut | None:
        """Return the output that an input spends, if the PSBT has it."""
        fields = self.inputs[index]
        if (raw := fields.get(bytes([In.WITNESS_UTXO]))) is not None:
            return _parse_output(raw)
        if (raw := fields.get(bytes([In.NON_WITNESS_UTXO]))) is not None:
            return Transaction.parse(raw).outputs[self.tx.inputs[index].prevout.vout]
        return None

    def merge(self, other: Psbt) -> None:
        """Add the fields of another PSBT of this transaction; fields that are here already stay."""
        for mine, theirs in zip(
            (self.globals, *self.inputs, *self.outputs), (other.globals, *other.inputs, *other.outputs), strict=True
        ):
            for key, value in theirs.items():
                mine.setdefault(key, value)

    def is_final(self, index: int) -> bool:
        """Tell whether an input has its final scriptSig or witness."""
        fields = self.inputs[index]
        return bytes([In.FINAL_SCRIPTSIG]) in fields or bytes([In.FINAL_SCRIPTWITNESS]) in fields

    def finalize(self, index: int, script_sig: bytes, witness: tuple[bytes, ...]) -> None:
        """Store the scriptSig and witness that unlock an input, in place of the fields they were made from."""
        fields = self.inputs[index]
        for key in [key for key in fields if key[0] in _AFTER_FINAL]:
            del fields[key]
        if script_sig:
            fields[bytes([In.FINAL_SCRIPTSIG])] = script_sig
        if witness:
            fields[bytes([In.FINAL_SCRIPTWITNESS])] = pack_witness(witness)

    def extract(self) -> Transaction:
        """Return the transaction with the final scriptSigs and witnesses of its inputs."""
        inputs = []
        for txin, fields in zip(self.tx.inputs, self.inputs, strict=True):
            witness = parse_witness(fields.get(bytes([In.FINAL_SCRIPTWITNESS]), b"\x00"))
            inputs.append(TxIn(txin.prevout, fields.get(bytes([In.FINAL_SCRIPTSIG]), b""), txin.sequence, witness))
        return Transaction(self.tx.version, tuple(inputs), self.tx.outputs, self.tx.lock_time)


def pack_witness(witness: tuple[bytes, ...]) -> bytes:
    """Return a witness stack as it stands in a transaction."""
    return pack_compact_size(len(witness)) + b"".join(map(pack_var_bytes, witness))


def parse_witness(data: bytes) -> tuple[bytes, ...]:
    """Return the stack that `pack_witness` packed; `DecodeError` for missing or trailing bytes."""
    reader = Reader(data)
    witness = tuple(reader.var_bytes("witness item") for _ in range(reader.count("witness items", 1)))
    reader.finish("witness")
    return witness


def _parse_output(data: bytes) -> TxOut:
    reader = Reader(data)
    output = TxOut.read(reader)
    reader.finish("witness UTXO")
    return output


def _check_input(psbt: Psbt, index: int, fields: Fields) -> None:
    for key in fields:
        if key[:1] in _BARE_IN and len(key) > 1:
            raise DecodeError(f"the key of an input's field {key[0]:#04x} has data")
        if key[0] == In.PARTIAL_SIG and len(key) not in (34, 66):
            raise DecodeError("Size of key was not the expected size for the type partial signature pubkey")
    raw = fields.get(bytes([In.NON_WITNESS_UTXO]))
    if raw is not None:
        previous, place = Transaction.parse(raw), psbt.tx.inputs[index].prevout
        if previous.txid != place.txid:
            raise DecodeError("Non-witness UTXO does not match outpoint hash")
        if place.vout >= len(previous.outputs):
            raise DecodeError("Input specifies output index that does not exist")
    psbt.spent_output(index)
    parse_witness(fields.get(bytes([In.FINAL_SCRIPTWITNESS]), b"\x00"))


def _read_map(reader: Reader) -> Fields:
    fields: Fields = {}
    while key := reader.var_bytes("PSBT key"):
        if key in fields:
            raise DecodeError("Duplicate Key, key is already provided")
        fields[key] = reader.var_bytes("PSBT value")
    return fields


def _pack_map(fields: Fields) -> bytes:
    return b"".join(pack_var_bytes(key) + pack_var_bytes(fields[key]) for key in sorted(fields)) + _SEPARATOR
