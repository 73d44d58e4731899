"""The commitments of a signature in tapscript: its leaf, the separator before it, the annex, the outputs."""

import pytest

from shared.errors import ScriptError
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from shared.reasons import Reason
from shared.script import opcodes as op
from shared.script.flags import MANDATORY, STANDARD
from shared.script.interpreter import tapleaf_hash, verify_input
from shared.script.script import push_data
from shared.script.sighash import SighashCache
from tests.unit.script.script_paths import control_block, output_script, spend
from tests.unit.script.spends import KEY, signature_of, unsigned, with_input

OK = "OK"
SEPARATOR, NOP, DROP, TRUE = (bytes([code]) for code in (op.OP_CODESEPARATOR, op.OP_NOP, op.OP_DROP, op.OP_1))
CHECK = push_data(KEY.public_key.x_only) + bytes([op.OP_CHECKSIG])


def outcome(tx, index, spent, flags=MANDATORY):
    try:
        verify_input(tx, index, spent, flags)
    except ScriptError as error:
        return error.reason
    return OK


def signed(script, *, position=0xFFFFFFFF, leaf=None, annex=None, hash_type=0):
    """Return the verdict on a spend whose signature commits to these values."""
    tx, spent = spend("tapscript", script, [])
    leaf_hash = tapleaf_hash(script) if leaf is None else leaf
    digest = SighashCache(tx, [spent]).taproot(
        0, hash_type, leaf_hash=leaf_hash, codeseparator_position=position, annex=annex
    )
    signature = KEY.sign_schnorr(digest, aux=bytes(32)) + (bytes([hash_type]) if hash_type else b"")
    witness = (signature, script, control_block(script))
    return outcome(with_input(tx, 0, witness=witness), 0, [spent])


@pytest.mark.parametrize(
    ("script", "position"),
    [
        (CHECK, 0xFFFFFFFF),
        (SEPARATOR + CHECK, 0),
        (NOP + SEPARATOR + CHECK, 1),
        (push_data(bytes(300)) + DROP + SEPARATOR + CHECK, 2),
        (SEPARATOR + NOP + SEPARATOR + CHECK, 2),
        (bytes([op.OP_0, op.OP_IF]) + SEPARATOR + bytes([op.OP_ENDIF]) + CHECK, 0xFFFFFFFF),
        (bytes([op.OP_0, op.OP_IF, op.OP_NOP, op.OP_ENDIF]) + SEPARATOR + CHECK, 4),
        (bytes([op.OP_0, op.OP_IF]) + push_data(b"abc") + bytes([op.OP_ENDIF]) + SEPARATOR + CHECK, 4),
    ],
)
def test_a_signature_commits_to_the_number_of_the_last_separator_that_ran(script, position):
    assert signed(script, position=position) == OK
    for wrong in {position - 1, (position + 1) & 0xFFFFFFFF, 0xFFFFFFFF, 0} - {position, -1}:
        assert signed(script, position=wrong) is Reason.SCHNORR_SIG


def test_a_signature_commits_to_its_leaf():
    assert signed(CHECK) == OK
    assert signed(CHECK, leaf=tapleaf_hash(CHECK + NOP)) is Reason.SCHNORR_SIG
    assert signed(CHECK, leaf=tapleaf_hash(CHECK, 0xC2)) is Reason.SCHNORR_SIG


def test_a_separator_before_a_second_signature_does_not_change_the_first():
    script = CHECK[:-1] + bytes([op.OP_CHECKSIGVERIFY]) + SEPARATOR + CHECK
    tx, spent = spend("tapscript", script, [])
    cache = SighashCache(tx, [spent])
    leaf = tapleaf_hash(script)
    first, second = (
        KEY.sign_schnorr(cache.taproot(0, 0, leaf_hash=leaf, codeseparator_position=at), aux=bytes(32))
        for at in (0xFFFFFFFF, 2)
    )
    for items, expected in (((second, first), OK), ((first, second), Reason.SCHNORR_SIG)):
        witness = (*items, script, control_block(script))
        assert outcome(with_input(tx, 0, witness=witness), 0, [spent]) == expected


@pytest.mark.parametrize("hash_type", [1, 2, 3, 0x81, 0x82, 0x83])
@pytest.mark.parametrize("place", ["key", "script"])
def test_a_hash_type_for_one_output_needs_that_output(hash_type, place):
    script = output_script("tapscript", CHECK)
    inputs = tuple(TxIn(OutPoint(bytes([n]) * 32, 0), b"") for n in range(2))
    single = hash_type & 3 == 3
    if place == "key":
        tx, spent = unsigned(["p2tr", "p2tr"], outputs=2)
        full = signature_of(tx, 1, spent, "p2tr", hash_type)
        assert outcome(with_input(tx, 1, witness=(full,)), 1, spent) == OK
        short = Transaction(tx.version, tx.inputs, tx.outputs[:1], tx.lock_time)
        kept = outcome(with_input(short, 1, witness=(full,)), 1, spent)
        nothing = hash_type & 3 == 2
        assert kept == (Reason.SCHNORR_SIG_HASHTYPE if single else OK if nothing else Reason.SCHNORR_SIG)
        return
    spent = [TxOut(1_000, script)] * 2
    tx = Transaction(2, inputs, (TxOut(1, b"\x51"), TxOut(2, b"\x51")))
    digest = SighashCache(tx, spent).taproot(1, hash_type, leaf_hash=tapleaf_hash(CHECK))
    signature = KEY.sign_schnorr(digest, aux=bytes(32)) + bytes([hash_type])
    witness = (signature, CHECK, control_block(CHECK))
    assert outcome(with_input(tx, 1, witness=witness), 1, spent) == OK
    changed = Transaction(2, inputs, (TxOut(9, b"\x51"), TxOut(2, b"\x51")))
    free = hash_type & 3 in (2, 3)
    assert outcome(with_input(changed, 1, witness=witness), 1, spent) == (OK if free else Reason.SCHNORR_SIG)


def test_an_annex_is_signed_by_scripts_too():
    tx, spent = spend("tapscript", CHECK, [])
    annex = b"\x50\x01"
    cache = SighashCache(tx, [spent])
    with_annex, without = (
        KEY.sign_schnorr(cache.taproot(0, 0, leaf_hash=tapleaf_hash(CHECK), annex=used), aux=bytes(32))
        for used in (annex, None)
    )
    for signature, expected in ((with_annex, OK), (without, Reason.SCHNORR_SIG)):
        witness = (signature, CHECK, control_block(CHECK), annex)
        assert outcome(with_input(tx, 0, witness=witness), 0, [spent]) == expected


def test_an_empty_signature_is_false_and_a_wrong_one_ends_the_script():
    counted = bytes([op.OP_0]) + push_data(KEY.public_key.x_only) + bytes([op.OP_CHECKSIGADD, op.OP_NOT])
    tx, spent = spend("tapscript", counted, [b""])
    assert outcome(tx, 0, [spent]) == OK
    tx, spent = spend("tapscript", counted, [bytes(64)])
    assert outcome(tx, 0, [spent]) is Reason.SCHNORR_SIG
    tx, spent = spend("tapscript", CHECK + bytes([op.OP_NOT]), [b""])
    assert outcome(tx, 0, [spent]) == OK


def test_the_checks_of_a_signature_come_in_cores_order():
    # A signature that is paid for, a key that is there, then its kind: BIP342's rules in their order.
    def run(script, items, flags=MANDATORY):
        tx, spent = spend("tapscript", script, items)
        return outcome(tx, 0, [spent], flags)

    check = bytes([op.OP_CHECKSIG])
    assert run(check, [b"x", b""]) is Reason.TAPSCRIPT_EMPTY_PUBKEY
    assert run(check, [b"", b"k" * 33], STANDARD) is Reason.DISCOURAGE_UPGRADABLE_PUBKEYTYPE
    assert run(check, [b"", b"k" * 33]) is Reason.EVAL_FALSE
    assert run(check, [b"x", b"k" * 31]) == OK
    assert run(check, [bytes(63), KEY.public_key.x_only]) is Reason.SCHNORR_SIG_SIZE
