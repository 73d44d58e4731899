"""The inputs of a relayed transaction: ValidateInputsStandardness and IsWitnessStandard."""

from __future__ import annotations

import pytest

from services.mempool.pool.input_policy import check_inputs_standard
from shared.crypto.hashes import sha256
from shared.errors import ValidationError
from shared.policy import MAX_P2SH_SIGOPS, MAX_P2WSH_SCRIPT_SIZE, MAX_P2WSH_STACK_ITEM_SIZE, MAX_P2WSH_STACK_ITEMS
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from shared.reasons import Reason
from shared.script.opcodes import OP_CHECKSIG
from shared.script.script import push_data
from shared.script.standard import P2A_SCRIPT, p2pkh_script, p2sh_script, p2tr_script, p2wpkh_script, p2wsh_script

P2SH = p2sh_script(bytes(20))
P2WSH = p2wsh_script(sha256(b"\x51"))
P2TR = p2tr_script(bytes(32))
CONTROL = bytes([0xC0]) + bytes(32)
NONSTANDARD, WITNESS = Reason.BAD_TXNS_NONSTANDARD_INPUTS, Reason.BAD_WITNESS_NONSTANDARD


def check(script: bytes, script_sig: bytes = b"", witness: tuple[bytes, ...] = (), inputs: int = 1) -> str:
    """The reason, empty if it is standard."""
    tx = Transaction(2, (TxIn(OutPoint(bytes([1]) * 32, 0), script_sig, 0, witness),) * inputs, (TxOut(1, b"\x51"),))
    try:
        check_inputs_standard(tx, [TxOut(1, script)] * inputs)
    except ValidationError as error:
        return error.reason
    return ""


@pytest.mark.parametrize(
    ("script", "script_sig", "witness", "reason"),
    [
        (b"\x51\x51\x51", b"", (), NONSTANDARD),
        (b"\x60\x02ab", b"", (), NONSTANDARD),
        (p2wpkh_script(bytes(20)), b"", (b"sig", b"key"), ""),
        (p2pkh_script(bytes(20)), push_data(bytes(71)), (), ""),
        (p2pkh_script(bytes(20)), push_data(bytes(71)), (b"x",), WITNESS),
        (P2SH, b"", (), NONSTANDARD),
        (P2SH, push_data(bytes([OP_CHECKSIG]) * MAX_P2SH_SIGOPS), (), ""),
        (P2SH, push_data(bytes([OP_CHECKSIG]) * (MAX_P2SH_SIGOPS + 1)), (), NONSTANDARD),
        (P2SH, push_data(bytes(521)), (), NONSTANDARD),
        (P2SH, b"\x05abc", (), NONSTANDARD),
        (P2SH, push_data(b"\x51"), (b"x",), WITNESS),
        (P2SH, push_data(P2WSH), (bytes(81), b"\x51"), WITNESS),
        (P2SH, push_data(P2TR), (b"x", b"\x50"), ""),
        (P2WSH, b"", (bytes(MAX_P2WSH_SCRIPT_SIZE),), ""),
        (P2WSH, b"", (bytes(MAX_P2WSH_SCRIPT_SIZE + 1),), WITNESS),
        (P2WSH, b"", (*[b""] * MAX_P2WSH_STACK_ITEMS, b"\x51"), ""),
        (P2WSH, b"", (*[b""] * (MAX_P2WSH_STACK_ITEMS + 1), b"\x51"), WITNESS),
        (P2WSH, b"", (bytes(MAX_P2WSH_STACK_ITEM_SIZE), b"\x51"), ""),
        (P2WSH, b"", (bytes(MAX_P2WSH_STACK_ITEM_SIZE + 1), b"\x51"), WITNESS),
        (P2TR, b"", (bytes(64),), ""),
        (P2TR, b"", (bytes(64), b"\x50annex"), WITNESS),
        (P2TR, b"", (bytes(80), b"\x51", CONTROL), ""),
        (P2TR, b"", (bytes(81), b"\x51", CONTROL), WITNESS),
        (P2TR, b"", (bytes(81), b"\x51", bytes([0xC2]) + bytes(32)), ""),
        (P2TR, b"", (b"\x51", b""), WITNESS),
        (P2A_SCRIPT, b"", (), ""),
        (P2A_SCRIPT, b"", (b"x",), WITNESS),
    ],
)
def test_spends_are_standard_or_refused_for_cores_reason(
    script: bytes, script_sig: bytes, witness: tuple[bytes, ...], reason: str
) -> None:
    assert check(script, script_sig, witness) == reason


def test_many_inputs_together_may_ask_for_too_many_signatures() -> None:
    script_sig = push_data(bytes([OP_CHECKSIG]) * MAX_P2SH_SIGOPS)
    assert check(P2SH, script_sig, inputs=166) == ""
    assert check(P2SH, script_sig, inputs=167) == NONSTANDARD
