"""Scripts as bytes: reads operations, writes pushes and numbers, and prints scripts as text.

`shared.script.interpreter` executes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from shared.crypto.signatures import is_strict_der
from shared.errors import DecodeError
from shared.script import opcodes
from shared.script.opcodes import OP_0, OP_1, OP_1NEGATE, OP_16, OP_PUSHDATA1, OP_PUSHDATA2, OP_PUSHDATA4

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_SCRIPT_SIZE = 10_000
MAX_SCRIPT_ELEMENT_SIZE = 520
MAX_PUBKEYS_PER_MULTISIG = 20


class ScriptOp(NamedTuple):
    """One operation: its opcode, the data that it pushes (None if it is no push), and the position of the next one."""

    opcode: int
    data: bytes | None
    end: int


def read_op(script: bytes, position: int) -> ScriptOp:
    """Return the operation at `position`, which must lie in the script; DecodeError if its data is cut off.

    Source: Core's GetScriptOp.
    """
    opcode = script[position]
    position += 1
    if opcode > OP_PUSHDATA4:
        return ScriptOp(opcode, None, position)
    if opcode < OP_PUSHDATA1:
        size = opcode
    else:
        width = 1 << (opcode - OP_PUSHDATA1)
        if position + width > len(script):
            raise DecodeError("script ends inside the length of a push")
        size = int.from_bytes(script[position : position + width], "little")
        position += width
    end = position + size
    if end > len(script):
        raise DecodeError(f"script ends inside a push of {size} bytes")
    return ScriptOp(opcode, script[position:end], end)


def iterate(script: bytes) -> Iterator[ScriptOp]:
    """Yield the operations in order; DecodeError at a push whose data is cut off."""
    position = 0
    while position < len(script):
        op = read_op(script, position)
        yield op
        position = op.end


def push_data(data: bytes) -> bytes:
    """Return the shortest push for the length of `data` (Core's `CScript << vector`).

    The empty string is OP_0; single bytes are pushed as data, never as OP_1 … OP_16.
    """
    size = len(data)
    if size < OP_PUSHDATA1:
        return bytes([size]) + data
    if size <= 0xFF:
        return bytes([OP_PUSHDATA1, size]) + data
    if size <= 0xFFFF:
        return bytes([OP_PUSHDATA2]) + size.to_bytes(2, "little") + data
    return bytes([OP_PUSHDATA4]) + size.to_bytes(4, "little") + data


def push_number(number: int) -> bytes:
    """Return the shortest push of a number: OP_0, OP_1NEGATE, OP_1 … OP_16 or data (Core's push_int64)."""
    if number == 0:
        return bytes([OP_0])
    if number == -1 or 1 <= number <= 16:
        return bytes([number + OP_1 - 1])
    return push_data(encode_number(number))


def is_minimal_push(opcode: int, data: bytes) -> bool:
    """Tell whether `opcode` is the shortest way to push `data` (BIP62, CheckMinimalPush)."""
    size = len(data)
    if size == 0:
        return opcode == OP_0
    if size == 1 and (1 <= data[0] <= 16 or data[0] == 0x81):
        return False
    if size <= 75:
        return opcode == size
    if size <= 0xFF:
        return opcode == OP_PUSHDATA1
    return size > 0xFFFF or opcode == OP_PUSHDATA2


def encode_number(number: int) -> bytes:
    """Return a script number in its shortest form: little-endian, the sign in the top bit of the last byte."""
    if number == 0:
        return b""
    size = (abs(number).bit_length() + 8) // 8
    magnitude = abs(number) | (1 << (8 * size - 1) if number < 0 else 0)
    return magnitude.to_bytes(size, "little")


def decode_number(data: bytes, *, max_size: int = 4, minimal: bool = False) -> int:
    """Return the script number in `data` (Core's CScriptNum).

    Raises DecodeError if `data` has more than `max_size` bytes or, with `minimal`, is not in its shortest form.
    """
    if len(data) > max_size:
        raise DecodeError(f"a script number here has at most {max_size} bytes, not {len(data)}")
    if not data:
        return 0
    if minimal and not data[-1] & 0x7F and (len(data) == 1 or not data[-2] & 0x80):
        raise DecodeError("script number is not minimally encoded")
    number = int.from_bytes(data, "little")
    sign = 1 << (8 * len(data) - 1)
    return -(number ^ sign) if number & sign else number


def is_push_only(script: bytes) -> bool:
    """Tell whether a script consists of pushes; OP_RESERVED counts as a push (Core's IsPushOnly)."""
    try:
        return all(op.opcode <= OP_16 for op in iterate(script))
    except DecodeError:
        return False


_CHECKSIGS = frozenset((opcodes.OP_CHECKSIG, opcodes.OP_CHECKSIGVERIFY))
_CHECKMULTISIGS = frozenset((opcodes.OP_CHECKMULTISIG, opcodes.OP_CHECKMULTISIGVERIFY))


def count_sigops(script: bytes, *, accurate: bool) -> int:
    """Return the number of signature checks that a script may need (Core's GetSigOpCount).

    With `accurate`, a multisig after OP_1 … OP_16 counts that many public keys; any other multisig counts 20.
    """
    # A new block has many scripts that are not counted yet, so this avoids the objects that `iterate` makes.
    count = position = 0
    previous = opcodes.OP_INVALIDOPCODE
    size = len(script)
    while position < size:
        opcode = script[position]
        if opcode < OP_PUSHDATA1:
            position += opcode + 1
        elif opcode <= OP_PUSHDATA4:
            try:
                position = read_op(script, position).end
            except DecodeError:  # the checks before the broken push still count
                break
        else:
            position += 1
            if opcode in _CHECKSIGS:
                count += 1
            elif opcode in _CHECKMULTISIGS:
                known = accurate and OP_1 <= previous <= OP_16
                count += previous - OP_1 + 1 if known else MAX_PUBKEYS_PER_MULTISIG
        previous = opcode
    return count


SIGHASH_NAMES = {1: "ALL", 2: "NONE", 3: "SINGLE", 0x81: "ALL|ANYONECANPAY"} | {
    0x82: "NONE|ANYONECANPAY",
    0x83: "SINGLE|ANYONECANPAY",
}


def to_asm(script: bytes, *, decode_sighash: bool = False) -> str:
    """Return the script as bitcoind prints it (ScriptToAsmStr).

    Data of up to four bytes is printed as a decimal number, a push that is cut off as `[error]`. With `decode_sighash`
    the hash type of a signature is printed as `[ALL]`, as RPC does for a scriptSig.
    """
    words = []
    try:
        for opcode, data, _ in iterate(script):
            words.append(_core_name(opcode) if data is None else _core_data(data, decode_sighash))
    except DecodeError:
        words.append("[error]")
    return " ".join(words)


def _core_name(opcode: int) -> str:
    if opcode == OP_1NEGATE:
        return "-1"
    if OP_1 <= opcode <= OP_16:
        return str(opcode - OP_1 + 1)
    return opcodes.NAMES.get(opcode, "OP_UNKNOWN")


def _core_data(data: bytes, decode_sighash: bool) -> str:
    if len(data) <= 4:
        return str(decode_number(data))
    if decode_sighash and is_strict_der(data) and (name := SIGHASH_NAMES.get(data[-1])):
        return f"{data[:-1].hex()}[{name}]"
    return data.hex()


_RUST_NAMES = {OP_0: "OP_0", OP_1NEGATE: "OP_PUSHNUM_NEG1", opcodes.OP_CHECKLOCKTIMEVERIFY: "OP_CLTV"} | {
    opcodes.OP_CHECKSEQUENCEVERIFY: "OP_CSV",
    opcodes.OP_INVALIDOPCODE: "OP_INVALIDOPCODE",
    **{OP_1 - 1 + number: f"OP_PUSHNUM_{number}" for number in range(1, 17)},
}


def to_rust_asm(script: bytes) -> str:
    """Return the script as rust-bitcoin and Esplora print it: `OP_0 OP_PUSHBYTES_20 751e76…`."""
    words = []
    position = 0
    try:
        while position < len(script):
            opcode, data, end = read_op(script, position)
            words.append(_rust_name(opcode))
            if data:
                words.append(data.hex())
            position = end
    except DecodeError:
        words += _rust_broken_push(script, position)
    return " ".join(words)


def _rust_name(opcode: int) -> str:
    if opcode in _RUST_NAMES:
        return _RUST_NAMES[opcode]
    if opcode < OP_PUSHDATA1:
        return f"OP_PUSHBYTES_{opcode}"
    return opcodes.NAMES.get(opcode, f"OP_RETURN_{opcode}")


def _rust_broken_push(script: bytes, position: int) -> list[str]:
    """Return the words that rust-bitcoin prints for a push that is cut off in its length or its data."""
    opcode = script[position]
    width = 1 << (opcode - OP_PUSHDATA1) if opcode >= OP_PUSHDATA1 else 0
    if position + 1 + width > len(script):
        return ["<unexpected end>"]
    return [_rust_name(opcode), "<push past end>"]
