"""The loop that runs a script on the machine, operation by operation (Core's EvalScript)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import DecodeError, ScriptError
from shared.reasons import Reason
from shared.script import opcodes as op
from shared.script.flags import Flags
from shared.script.machine import MAX_STACK_SIZE, SigVersion
from shared.script.operations import HANDLERS
from shared.script.script import (
    MAX_SCRIPT_ELEMENT_SIZE,
    MAX_SCRIPT_SIZE,
    encode_number,
    is_minimal_push,
    read_op,
)

if TYPE_CHECKING:
    from shared.script.machine import Machine

_CONST_SCRIPTCODE = int(Flags.CONST_SCRIPTCODE)
_SMALL_NUMBERS = {
    opcode: encode_number(opcode - op.OP_1 + 1) for opcode in (op.OP_1NEGATE, *range(op.OP_1, op.OP_16 + 1))
}
_CHECKED_UNEXECUTED = op.DISABLED | {op.OP_CODESEPARATOR}


def evaluate(machine: Machine) -> None:
    """Run the machine's script to its end and leave the result on the stack; ScriptError if an operation fails."""
    script = machine.script
    stack, altstack = machine.stack, machine.altstack
    size = len(script)
    counts_ops = machine.version is not SigVersion.TAPSCRIPT
    if counts_ops and size > MAX_SCRIPT_SIZE:
        raise ScriptError(Reason.SCRIPT_SIZE)
    while machine.position < size:
        opcode = script[machine.position]
        if opcode > op.OP_PUSHDATA4:
            machine.position += 1
            if counts_ops and opcode > op.OP_16:
                machine.count_ops(1)
            _operate(machine, opcode)
        else:
            _push(machine)
        if len(stack) + len(altstack) > MAX_STACK_SIZE:
            raise ScriptError(Reason.STACK_SIZE)
        machine.op_position += 1
    if machine.is_nested:
        raise ScriptError(Reason.UNBALANCED_CONDITIONAL)


def _push(machine: Machine) -> None:
    try:
        opcode, data, machine.position = read_op(machine.script, machine.position)
    except DecodeError as error:
        raise ScriptError(Reason.BAD_OPCODE, str(error)) from None
    if data is None:
        raise ValueError(f"opcode {opcode:#04x} is no push")
    if len(data) > MAX_SCRIPT_ELEMENT_SIZE:
        raise ScriptError(Reason.PUSH_SIZE)
    if machine.is_executing:
        if machine.minimal and not is_minimal_push(opcode, data):
            raise ScriptError(Reason.MINIMALDATA)
        machine.stack.append(data)


def _operate(machine: Machine, opcode: int) -> None:
    if opcode in _CHECKED_UNEXECUTED:
        _check_unexecuted(machine, opcode)
    if not machine.is_executing and not op.OP_IF <= opcode <= op.OP_ENDIF:
        return
    number = _SMALL_NUMBERS.get(opcode)
    if number is not None:
        machine.stack.append(number)
        return
    handler = HANDLERS.get(opcode)
    if handler is None:
        raise ScriptError(Reason.BAD_OPCODE, op.NAMES.get(opcode, f"opcode {opcode:#04x}"))
    handler(machine)


def _check_unexecuted(machine: Machine, opcode: int) -> None:
    """Raise ScriptError for an opcode that fails a script even in a branch that is not executed."""
    if opcode in op.DISABLED:
        raise ScriptError(Reason.DISABLED_OPCODE, op.NAMES[opcode])
    if opcode == op.OP_CODESEPARATOR and machine.version is SigVersion.BASE and machine.flags & _CONST_SCRIPTCODE:
        raise ScriptError(Reason.OP_CODESEPARATOR)
