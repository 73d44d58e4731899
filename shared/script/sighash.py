"""The digests that signatures sign: for legacy, segwit v0 (BIP143) and taproot (BIP341, BIP342) inputs.

One `SighashCache` serves all inputs of a transaction and hashes their common parts once.
"""

from __future__ import annotations

import hashlib
from struct import Struct
from typing import TYPE_CHECKING

from shared.crypto.hashes import sha256, sha256d, tagged_hash
from shared.errors import DecodeError
from shared.primitives.serialize import pack_compact_size, pack_i64, pack_u32, pack_var_bytes
from shared.primitives.transaction import MIN_INPUT_SIZE, TxOut
from shared.script.opcodes import OP_CODESEPARATOR
from shared.script.script import iterate, read_op

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from shared.primitives.transaction import Transaction

    _Parts = Callable[[], Iterable[bytes | memoryview]]
    _MidstateKey = tuple[str, int, int, bytes]

SIGHASH_DEFAULT = 0
SIGHASH_ALL = 1
SIGHASH_NONE = 2
SIGHASH_SINGLE = 3
SIGHASH_ANYONECANPAY = 0x80

_ZERO = bytes(32)
# The digest of SIGHASH_SINGLE for an input without an output of its index: a bug of the first client, now consensus.
_ONE = b"\x01" + bytes(31)
_BLANK_OUTPUT = TxOut(-1, b"").serialize()
_TAPROOT_HASH_TYPES = frozenset((0, 1, 2, 3, 0x81, 0x82, 0x83))
_HASH_TYPE_AND_TX = Struct("<BBII")
NO_CODESEPARATOR = 0xFFFFFFFF
_BLANK = Struct("<xI").pack  # an empty script and the sequence
# A longer script is worth a midstate: an input may have many signatures that cover it.
_SHORT = 252
_PACKED_ALL = pack_u32(SIGHASH_ALL)


def _mode(hash_type: int) -> int:
    """Return ALL, NONE or SINGLE, maybe with ANYONECANPAY; before taproot every other hash type means ALL."""
    output_type = hash_type & 0x1F
    if output_type not in (SIGHASH_NONE, SIGHASH_SINGLE):
        output_type = SIGHASH_ALL
    return output_type | hash_type & SIGHASH_ANYONECANPAY


class SighashCache:
    """Digests for the inputs of one transaction; `spent_outputs` are the outputs that they spend, in order."""

    __slots__ = ("_midstates", "_midstates_of", "_shared", "spent_outputs", "tx")

    def __init__(self, tx: Transaction, spent_outputs: Sequence[TxOut]) -> None:
        self.tx = tx
        self.spent_outputs = spent_outputs
        self._shared: dict[str, bytes] = {}
        # Hash states before the hash type is added: one input may have many signatures (Core's SigHashCache).
        self._midstates: dict[_MidstateKey, hashlib._Hash] = {}
        self._midstates_of = -1

    def _once(self, name: str, make: Callable[[], bytes]) -> bytes:
        known = self._shared.get(name)
        if known is None:
            known = self._shared[name] = make()
        return known

    def _prevouts(self) -> bytes:
        return self._once("prevouts", lambda: sha256(b"".join([tx_in.prevout.serialize() for tx_in in self.tx.inputs])))

    def _sequences(self) -> bytes:
        return self._once("sequences", lambda: sha256(b"".join([pack_u32(tx_in.sequence) for tx_in in self.tx.inputs])))

    def _outputs(self) -> bytes:
        return self._once("outputs", lambda: sha256(b"".join([tx_out.serialize() for tx_out in self.tx.outputs])))

    def _spent_amounts(self) -> bytes:
        return self._once("amounts", lambda: sha256(b"".join([pack_i64(spent.value) for spent in self.spent_outputs])))

    def _spent_scripts(self) -> bytes:
        return self._once(
            "scripts",
            lambda: sha256(b"".join([pack_var_bytes(spent.script_pubkey) for spent in self.spent_outputs])),
        )

    def _digest(self, index: int, hash_type: int, key: _MidstateKey, parts: _Parts) -> bytes:
        """Return the double SHA-256 of `parts` and the hash type; `key` identifies the parts within one input."""
        if index != self._midstates_of:
            self._midstates.clear()
            self._midstates_of = index
        midstate = self._midstates.get(key)
        if midstate is None:
            midstate = self._midstates[key] = hashlib.sha256()
            for part in parts():
                midstate.update(part)
        whole = midstate.copy()
        whole.update(pack_u32(hash_type & 0xFFFFFFFF))
        return sha256(whole.digest())

    def legacy(self, index: int, script_code: bytes, hash_type: int) -> bytes:
        """Return the digest of a pre-segwit input; `hash_type` may be any signed or unsigned 32-bit integer.

        Leaves out every OP_CODESEPARATOR; the interpreter has removed the signature itself (FindAndDelete).
        """
        mode = _mode(hash_type)
        if mode & 3 == SIGHASH_SINGLE and index >= len(self.tx.outputs):
            return _ONE
        key = ("legacy", mode, 0, script_code)
        return self._digest(index, hash_type, key, lambda: self._legacy_parts(index, script_code, mode))

    def _legacy_parts(self, index: int, script_code: bytes, mode: int) -> Iterator[bytes | memoryview]:
        tx = self.tx
        tx_in = tx.inputs[index]
        signed = pack_var_bytes(_without_codeseparators(script_code))
        yield pack_u32(tx.version)
        if mode & SIGHASH_ANYONECANPAY:
            yield from (b"\x01", tx_in.prevout.serialize(), signed, pack_u32(tx_in.sequence))
        else:
            blank = memoryview(self._blank_inputs(keeps_sequences=mode & 3 == SIGHASH_ALL))
            at = index * MIN_INPUT_SIZE
            yield pack_compact_size(len(tx.inputs))
            yield from (blank[:at], tx_in.prevout.serialize(), signed, pack_u32(tx_in.sequence))
            yield blank[at + MIN_INPUT_SIZE :]
        match mode & 3:
            case 2:  # none
                yield b"\x00"
            case 3:  # single
                yield pack_compact_size(index + 1) + _BLANK_OUTPUT * index + tx.outputs[index].serialize()
            case _:
                yield self._all_outputs()
        yield pack_u32(tx.lock_time)

    def _blank_inputs(self, *, keeps_sequences: bool) -> bytes:
        """Return all inputs with empty scripts, 41 bytes each, as another input's signature covers them."""
        inputs = self.tx.inputs
        if keeps_sequences:
            return self._once("blank", lambda: b"".join([i.prevout.serialize() + _BLANK(i.sequence) for i in inputs]))
        return self._once("blank, free", lambda: b"".join([i.prevout.serialize() + _BLANK(0) for i in inputs]))

    def _all_outputs(self) -> bytes:
        outputs = self.tx.outputs
        return self._once(
            "all outputs", lambda: pack_compact_size(len(outputs)) + b"".join([out.serialize() for out in outputs])
        )

    def segwit_v0(self, index: int, script_code: bytes, amount: int, hash_type: int) -> bytes:
        """Return the BIP143 digest of an input that spends `amount` satoshis."""
        if hash_type == SIGHASH_ALL and len(script_code) <= _SHORT:
            return self._segwit_v0_all(index, script_code, amount)
        mode = _mode(hash_type)
        key = ("v0", mode, amount, script_code)
        return self._digest(index, hash_type, key, lambda: self._segwit_v0_parts(index, script_code, amount, mode))

    def _segwit_v0_all(self, index: int, script_code: bytes, amount: int) -> bytes:
        """Return the digest of nearly every input: its parts that depend on the input are hashed in one piece."""
        tx = self.tx
        head = self._shared.get("head")
        tail = self._shared.get("tail")
        if head is None or tail is None:
            head = pack_u32(tx.version) + sha256(self._prevouts()) + sha256(self._sequences())
            tail = sha256(self._outputs()) + pack_u32(tx.lock_time) + _PACKED_ALL
            self._shared["head"], self._shared["tail"] = head, tail
        tx_in = tx.inputs[index]
        prevout = tx_in.prevout.serialize()
        code = pack_var_bytes(script_code)
        return sha256d(head + prevout + code + pack_i64(amount) + pack_u32(tx_in.sequence) + tail)

    def _segwit_v0_parts(self, index: int, script_code: bytes, amount: int, mode: int) -> Iterable[bytes]:
        tx = self.tx
        tx_in = tx.inputs[index]
        keeps_all = mode & 3 == SIGHASH_ALL
        prevouts = sequences = outputs = _ZERO
        if not mode & SIGHASH_ANYONECANPAY:
            prevouts = self._once("prevouts twice", lambda: sha256(self._prevouts()))
            if keeps_all:
                sequences = self._once("sequences twice", lambda: sha256(self._sequences()))
        if keeps_all:
            outputs = self._once("outputs twice", lambda: sha256(self._outputs()))
        elif mode & 3 == SIGHASH_SINGLE and index < len(tx.outputs):
            outputs = sha256d(tx.outputs[index].serialize())
        return (
            pack_u32(tx.version),
            prevouts,
            sequences,
            tx_in.prevout.serialize(),
            pack_var_bytes(script_code),
            pack_i64(amount),
            pack_u32(tx_in.sequence),
            outputs,
            pack_u32(tx.lock_time),
        )

    def taproot(
        self,
        index: int,
        hash_type: int,
        *,
        annex: bytes | None = None,
        leaf_hash: bytes | None = None,
        codeseparator_position: int = NO_CODESEPARATOR,
    ) -> bytes | None:
        """Return the BIP341 digest of an input, None if the hash type is unknown or is SINGLE without an output.

        With the 32-byte `leaf_hash` of a script it is BIP342's digest, for signatures in tapscript; `annex` is the
        whole witness item that begins with 0x50.
        """
        if hash_type not in _TAPROOT_HASH_TYPES:
            return None
        tx = self.tx
        output_type = hash_type & 3 or SIGHASH_ALL
        parts = [_HASH_TYPE_AND_TX.pack(0, hash_type, tx.version, tx.lock_time)]
        if not hash_type & SIGHASH_ANYONECANPAY:
            parts += [self._prevouts(), self._spent_amounts(), self._spent_scripts(), self._sequences()]
        if output_type == SIGHASH_ALL:
            parts.append(self._outputs())
        spend_type = (2 if leaf_hash is not None else 0) + (1 if annex is not None else 0)
        parts.append(bytes([spend_type]))
        if hash_type & SIGHASH_ANYONECANPAY:
            tx_in = tx.inputs[index]
            spent = self.spent_outputs[index].serialize()
            parts += [tx_in.prevout.serialize(), spent, pack_u32(tx_in.sequence)]
        else:
            parts.append(pack_u32(index))
        if annex is not None:
            parts.append(sha256(pack_var_bytes(annex)))
        if output_type == SIGHASH_SINGLE:
            if index >= len(tx.outputs):
                return None
            parts.append(sha256(tx.outputs[index].serialize()))
        if leaf_hash is not None:
            parts += [leaf_hash, b"\x00", pack_u32(codeseparator_position)]
        return tagged_hash("TapSighash", b"".join(parts))


def _without_codeseparators(script: bytes) -> bytes:
    if OP_CODESEPARATOR not in script:
        return script
    kept = []
    start = position = 0
    try:
        for opcode, _, end in iterate(script):
            if opcode == OP_CODESEPARATOR:
                kept.append(script[start:position])
                start = end
            position = end
    except DecodeError:  # as in Core, the rest of a script after a broken push stays unchanged
        pass
    kept.append(script[start:])
    return b"".join(kept)


def find_and_delete(script: bytes, pattern: bytes) -> tuple[bytes, int]:
    """Remove `pattern` wherever an operation begins; return the script and the number removed (FindAndDelete)."""
    if not pattern or pattern not in script:
        return script, 0
    kept = []
    count = 0
    start = position = 0
    size = len(pattern)
    try:
        while True:
            kept.append(script[start:position])
            while script.startswith(pattern, position):
                position += size
                count += 1
            start = position
            if position >= len(script):
                break
            position = read_op(script, position).end
    except DecodeError:  # the rest of a script after a broken push stays unchanged
        pass
    kept.append(script[start:])
    return (b"".join(kept), count) if count else (script, 0)
