"""The opcodes: functions that change the machine, bound by the table at the end.

Each function opens with its effect on the stack. The order of its checks decides the reason that a bad script gets, so
it follows EvalScript in Core's interpreter.cpp.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from shared.crypto.hashes import hash160, ripemd160, sha256, sha256d
from shared.errors import ScriptError
from shared.primitives.transaction import (
    LOCKTIME_THRESHOLD,
    SEQUENCE_FINAL,
    SEQUENCE_LOCKTIME_DISABLE_FLAG,
    SEQUENCE_LOCKTIME_MASK,
    SEQUENCE_LOCKTIME_TYPE_FLAG,
)
from shared.reasons import Reason
from shared.script import opcodes as op
from shared.script.flags import Flags
from shared.script.machine import FALSE, TRUE, Machine, SigVersion, is_true
from shared.script.script import MAX_PUBKEYS_PER_MULTISIG, encode_number

if TYPE_CHECKING:
    from collections.abc import Callable

_COMPARED_BITS = SEQUENCE_LOCKTIME_TYPE_FLAG | SEQUENCE_LOCKTIME_MASK

# Plain integers: an IntFlag takes ten times as long to test.
_NULLFAIL = int(Flags.NULLFAIL)
_NULLDUMMY = int(Flags.NULLDUMMY)
_MINIMALIF = int(Flags.MINIMALIF)
_DISCOURAGE_UPGRADABLE_NOPS = int(Flags.DISCOURAGE_UPGRADABLE_NOPS)
_CHECKLOCKTIMEVERIFY = int(Flags.CHECKLOCKTIMEVERIFY)
_CHECKSEQUENCEVERIFY = int(Flags.CHECKSEQUENCEVERIFY)


def _boolean(value: bool) -> bytes:
    return TRUE if value else FALSE


# Control.


def _on_nop(_: Machine) -> None:
    # ( -- )
    pass


def _on_upgradable_nop(m: Machine) -> None:
    # ( -- )
    if m.flags & _DISCOURAGE_UPGRADABLE_NOPS:
        raise ScriptError(Reason.DISCOURAGE_UPGRADABLE_NOPS)


def _on_if(m: Machine) -> None:
    # (condition -- )
    _enter_condition(m, wanted=True)


def _on_notif(m: Machine) -> None:
    # (condition -- )
    _enter_condition(m, wanted=False)


def _enter_condition(m: Machine, *, wanted: bool) -> None:
    if not m.is_executing:
        m.enter(False)
        return
    condition = m.need(1)[-1]
    if condition not in (FALSE, TRUE):
        if m.version is SigVersion.TAPSCRIPT:
            raise ScriptError(Reason.TAPSCRIPT_MINIMALIF)
        if m.version is SigVersion.WITNESS_V0 and m.flags & _MINIMALIF:
            raise ScriptError(Reason.MINIMALIF)
    m.stack.pop()
    m.enter(is_true(condition) is wanted)


def _on_verify(m: Machine) -> None:
    # (true -- )
    m.need(1)
    m.verify(Reason.VERIFY)


def _on_return(_: Machine) -> None:
    # ( -- ) and fail
    raise ScriptError(Reason.OP_RETURN)


def _on_checklocktimeverify(m: Machine) -> None:
    # (lock_time -- lock_time)   BIP65
    if not m.flags & _CHECKLOCKTIMEVERIFY:
        return
    lock_time = m.number(m.need(1)[-1], max_size=5)
    if lock_time < 0:
        raise ScriptError(Reason.NEGATIVE_LOCKTIME)
    tx = m.cache.tx
    is_same_kind = (tx.lock_time < LOCKTIME_THRESHOLD) == (lock_time < LOCKTIME_THRESHOLD)
    is_final = tx.inputs[m.index].sequence == SEQUENCE_FINAL
    if not is_same_kind or lock_time > tx.lock_time or is_final:
        raise ScriptError(Reason.UNSATISFIED_LOCKTIME)


def _on_checksequenceverify(m: Machine) -> None:
    # (sequence -- sequence)   BIP112
    if not m.flags & _CHECKSEQUENCEVERIFY:
        return
    needed = m.number(m.need(1)[-1], max_size=5)
    if needed < 0:
        raise ScriptError(Reason.NEGATIVE_LOCKTIME)
    if needed & SEQUENCE_LOCKTIME_DISABLE_FLAG:
        return
    tx = m.cache.tx
    sequence = tx.inputs[m.index].sequence
    if tx.version < 2 or sequence & SEQUENCE_LOCKTIME_DISABLE_FLAG:
        raise ScriptError(Reason.UNSATISFIED_LOCKTIME)
    if (sequence ^ needed) & SEQUENCE_LOCKTIME_TYPE_FLAG or needed & _COMPARED_BITS > sequence & _COMPARED_BITS:
        raise ScriptError(Reason.UNSATISFIED_LOCKTIME)


# Stack.


def _on_toaltstack(m: Machine) -> None:
    # (x1 -- ), alt ( -- x1)
    m.altstack.append(m.need(1).pop())


def _on_fromaltstack(m: Machine) -> None:
    # ( -- x1), alt (x1 -- )
    if not m.altstack:
        raise ScriptError(Reason.INVALID_ALTSTACK_OPERATION)
    m.stack.append(m.altstack.pop())


def _on_2drop(m: Machine) -> None:
    # (x1 x2 -- )
    del m.need(2)[-2:]


def _on_2dup(m: Machine) -> None:
    # (x1 x2 -- x1 x2 x1 x2)
    m.stack.extend(m.need(2)[-2:])


def _on_3dup(m: Machine) -> None:
    # (x1 x2 x3 -- x1 x2 x3 x1 x2 x3)
    m.stack.extend(m.need(3)[-3:])


def _on_2over(m: Machine) -> None:
    # (x1 x2 x3 x4 -- x1 x2 x3 x4 x1 x2)
    m.stack.extend(m.need(4)[-4:-2])


def _on_2rot(m: Machine) -> None:
    # (x1 x2 x3 x4 x5 x6 -- x3 x4 x5 x6 x1 x2)
    stack = m.need(6)
    stack[-6:] = stack[-4:] + stack[-6:-4]


def _on_2swap(m: Machine) -> None:
    # (x1 x2 x3 x4 -- x3 x4 x1 x2)
    stack = m.need(4)
    stack[-4:] = stack[-2:] + stack[-4:-2]


def _on_ifdup(m: Machine) -> None:
    # (x -- x x) if x is true, else (x -- x)
    stack = m.need(1)
    if is_true(stack[-1]):
        stack.append(stack[-1])


def _on_depth(m: Machine) -> None:
    # ( -- size of the stack)
    m.stack.append(encode_number(len(m.stack)))


def _on_drop(m: Machine) -> None:
    # (x -- )
    m.need(1).pop()


def _on_dup(m: Machine) -> None:
    # (x -- x x)
    stack = m.need(1)
    stack.append(stack[-1])


def _on_nip(m: Machine) -> None:
    # (x1 x2 -- x2)
    del m.need(2)[-2]


def _on_over(m: Machine) -> None:
    # (x1 x2 -- x1 x2 x1)
    stack = m.need(2)
    stack.append(stack[-2])


def _on_pick(m: Machine) -> None:
    # (xn … x1 x0 n -- xn … x1 x0 xn)
    m.stack.append(m.stack[_depth_of_pick(m)])


def _on_roll(m: Machine) -> None:
    # (xn … x1 x0 n -- … x1 x0 xn)
    m.stack.append(m.stack.pop(_depth_of_pick(m)))


def _depth_of_pick(m: Machine) -> int:
    stack = m.need(2)
    depth = m.number(stack[-1])
    stack.pop()
    if not 0 <= depth < len(stack):
        raise ScriptError(Reason.INVALID_STACK_OPERATION)
    return -depth - 1


def _on_rot(m: Machine) -> None:
    # (x1 x2 x3 -- x2 x3 x1)
    stack = m.need(3)
    stack.append(stack.pop(-3))


def _on_swap(m: Machine) -> None:
    # (x1 x2 -- x2 x1)
    stack = m.need(2)
    stack.append(stack.pop(-2))


def _on_tuck(m: Machine) -> None:
    # (x1 x2 -- x2 x1 x2)
    stack = m.need(2)
    stack.insert(-2, stack[-1])


def _on_size(m: Machine) -> None:
    # (x -- x size)
    stack = m.need(1)
    stack.append(encode_number(len(stack[-1])))


def _on_equal(m: Machine) -> None:
    # (x1 x2 -- bool)
    stack = m.need(2)
    stack.append(_boolean(stack.pop() == stack.pop()))


def _on_equalverify(m: Machine) -> None:
    # (x x -- )
    _on_equal(m)
    m.verify(Reason.EQUALVERIFY)


# Numbers and hashes.


def _unary(function: Callable[[int], int]) -> Callable[[Machine], None]:
    def on_number(m: Machine) -> None:
        # (number -- number)
        stack = m.need(1)
        stack[-1] = encode_number(function(m.number(stack[-1])))

    return on_number


def _binary(function: Callable[[int, int], int]) -> Callable[[Machine], None]:
    def on_numbers(m: Machine) -> None:
        # (number number -- number)
        stack = m.need(2)
        result = function(m.number(stack[-2]), m.number(stack[-1]))
        stack[-2:] = [encode_number(result)]

    return on_numbers


_on_numequal = _binary(lambda a, b: a == b)


def _on_numequalverify(m: Machine) -> None:
    # (number number -- )
    _on_numequal(m)
    m.verify(Reason.NUMEQUALVERIFY)


def _on_within(m: Machine) -> None:
    # (number least limit -- bool)
    stack = m.need(3)
    number, least, limit = (m.number(item) for item in stack[-3:])
    stack[-3:] = [_boolean(least <= number < limit)]


def _hash(function: Callable[[bytes], bytes]) -> Callable[[Machine], None]:
    def on_data(m: Machine) -> None:
        # (data -- hash)
        stack = m.need(1)
        stack[-1] = function(stack[-1])

    return on_data


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


# Signatures.


def _on_codeseparator(m: Machine) -> None:
    # ( -- )
    m.code_start = m.position
    m.codeseparator_position = m.op_position


def _on_checksig(m: Machine) -> None:
    # (signature key -- bool)
    stack = m.need(2)
    stack[-2:] = [_boolean(m.check_signature(stack[-2], stack[-1]))]


def _on_checksigverify(m: Machine) -> None:
    # (signature key -- )
    _on_checksig(m)
    m.verify(Reason.CHECKSIGVERIFY)


def _on_checksigadd(m: Machine) -> None:
    # (signature number key -- number)   BIP342
    if m.version is not SigVersion.TAPSCRIPT:
        raise ScriptError(Reason.BAD_OPCODE, "OP_CHECKSIGADD")
    signature, counter, public_key = m.need(3)[-3:]
    number = m.number(counter)
    is_valid = m.check_signature(signature, public_key)
    m.stack[-3:] = [encode_number(number + is_valid)]


def _on_checkmultisig(m: Machine) -> None:
    # (dummy signature… count key… count -- bool)
    if m.version is SigVersion.TAPSCRIPT:
        raise ScriptError(Reason.TAPSCRIPT_CHECKMULTISIG)
    keys_end = len(m.need(1)) - 1
    key_count = m.number(m.stack[-1])
    if not 0 <= key_count <= MAX_PUBKEYS_PER_MULTISIG:
        raise ScriptError(Reason.PUBKEY_COUNT)
    m.count_ops(key_count)
    m.need(key_count + 2)
    keys_start = keys_end - key_count
    signature_count = m.number(m.stack[keys_start - 1])
    if not 0 <= signature_count <= key_count:
        raise ScriptError(Reason.SIG_COUNT)
    m.need(key_count + signature_count + 2)
    signatures_start = keys_start - 1 - signature_count
    signatures = m.stack[signatures_start : keys_start - 1]
    is_valid = _match_signatures(m, signatures, m.stack[keys_start:keys_end])
    if not is_valid and m.flags & _NULLFAIL and any(signatures):
        raise ScriptError(Reason.NULLFAIL)
    # Pops one item more than the arguments: a bug of the first client, now part of consensus (BIP147).
    m.need(key_count + signature_count + 3)
    if m.stack[signatures_start - 1] and m.flags & _NULLDUMMY:
        raise ScriptError(Reason.SIG_NULLDUMMY)
    m.stack[signatures_start - 1 :] = [_boolean(is_valid)]


def _match_signatures(m: Machine, signatures: list[bytes], keys: list[bytes]) -> bool:
    """Tell whether each signature is valid for a key, in the order of the keys; tries from the last to the first."""
    code = m.script_code(signatures[::-1])
    wanted, available = list(signatures), list(keys)
    while wanted:
        if len(wanted) > len(available):
            return False
        if m.check_ecdsa(wanted[-1], available.pop(), code):
            wanted.pop()
    return True


def _on_checkmultisigverify(m: Machine) -> None:
    # (dummy signature… count key… count -- )
    _on_checkmultisig(m)
    m.verify(Reason.CHECKMULTISIGVERIFY)


HANDLERS: Final[dict[int, Callable[[Machine], None]]] = {
    op.OP_NOP: _on_nop,
    op.OP_IF: _on_if,
    op.OP_NOTIF: _on_notif,
    op.OP_ELSE: Machine.toggle,
    op.OP_ENDIF: Machine.leave,
    op.OP_VERIFY: _on_verify,
    op.OP_RETURN: _on_return,
    op.OP_CHECKLOCKTIMEVERIFY: _on_checklocktimeverify,
    op.OP_CHECKSEQUENCEVERIFY: _on_checksequenceverify,
    op.OP_TOALTSTACK: _on_toaltstack,
    op.OP_FROMALTSTACK: _on_fromaltstack,
    op.OP_2DROP: _on_2drop,
    op.OP_2DUP: _on_2dup,
    op.OP_3DUP: _on_3dup,
    op.OP_2OVER: _on_2over,
    op.OP_2ROT: _on_2rot,
    op.OP_2SWAP: _on_2swap,
    op.OP_IFDUP: _on_ifdup,
    op.OP_DEPTH: _on_depth,
    op.OP_DROP: _on_drop,
    op.OP_DUP: _on_dup,
    op.OP_NIP: _on_nip,
    op.OP_OVER: _on_over,
    op.OP_PICK: _on_pick,
    op.OP_ROLL: _on_roll,
    op.OP_ROT: _on_rot,
    op.OP_SWAP: _on_swap,
    op.OP_TUCK: _on_tuck,
    op.OP_SIZE: _on_size,
    op.OP_EQUAL: _on_equal,
    op.OP_EQUALVERIFY: _on_equalverify,
    op.OP_1ADD: _unary(lambda a: a + 1),
    op.OP_1SUB: _unary(lambda a: a - 1),
    op.OP_NEGATE: _unary(lambda a: -a),
    op.OP_ABS: _unary(abs),
    op.OP_NOT: _unary(lambda a: a == 0),
    op.OP_0NOTEQUAL: _unary(lambda a: a != 0),
    op.OP_ADD: _binary(lambda a, b: a + b),
    op.OP_SUB: _binary(lambda a, b: a - b),
    op.OP_BOOLAND: _binary(lambda a, b: a != 0 and b != 0),
    op.OP_BOOLOR: _binary(lambda a, b: a != 0 or b != 0),
    op.OP_NUMEQUAL: _on_numequal,
    op.OP_NUMEQUALVERIFY: _on_numequalverify,
    op.OP_NUMNOTEQUAL: _binary(lambda a, b: a != b),
    op.OP_LESSTHAN: _binary(lambda a, b: a < b),
    op.OP_GREATERTHAN: _binary(lambda a, b: a > b),
    op.OP_LESSTHANOREQUAL: _binary(lambda a, b: a <= b),
    op.OP_GREATERTHANOREQUAL: _binary(lambda a, b: a >= b),
    op.OP_MIN: _binary(min),
    op.OP_MAX: _binary(max),
    op.OP_WITHIN: _on_within,
    op.OP_RIPEMD160: _hash(ripemd160),
    op.OP_SHA1: _hash(_sha1),
    op.OP_SHA256: _hash(sha256),
    op.OP_HASH160: _hash(hash160),
    op.OP_HASH256: _hash(sha256d),
    op.OP_CODESEPARATOR: _on_codeseparator,
    op.OP_CHECKSIG: _on_checksig,
    op.OP_CHECKSIGVERIFY: _on_checksigverify,
    op.OP_CHECKMULTISIG: _on_checkmultisig,
    op.OP_CHECKMULTISIGVERIFY: _on_checkmultisigverify,
    op.OP_CHECKSIGADD: _on_checksigadd,
    op.OP_NOP1: _on_upgradable_nop,
    **dict.fromkeys(range(op.OP_NOP4, op.OP_NOP10 + 1), _on_upgradable_nop),
}
