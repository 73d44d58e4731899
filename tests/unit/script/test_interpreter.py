"""Spends by script: multisig, locks, tapscript and the rules that only some places have."""

import pytest

from shared.crypto.keys import PrivateKey
from shared.errors import ScriptError
from shared.primitives.transaction import Transaction, TxOut
from shared.reasons import Reason, script_verdict
from shared.script import opcodes as op
from shared.script.flags import MANDATORY, STANDARD, Flags
from shared.script.interpreter import tapbranch_hash, tapleaf_hash, verify_input
from shared.script.script import push_data, push_number
from shared.script.sighash import SighashCache
from shared.script.standard import P2A_SCRIPT, p2tr_script
from tests.unit.script.script_paths import INTERNAL, PLACES, sign, spend
from tests.unit.script.spends import unsigned, with_input

KEYS = [PrivateKey.from_bytes(bytes([number]) * 32) for number in (1, 2, 3)]
ECDSA_PLACES = PLACES[:-1]
TRUE = bytes([op.OP_1])


def _outcome(tx, spent, flags=STANDARD):
    try:
        verify_input(tx, 0, [spent], flags)
    except ScriptError as error:
        return error.reason
    return "OK"


def _run(place, script, items=(), flags=STANDARD, **fields):
    return _outcome(*spend(place, script, items, **fields), flags)


def _multisig(required, keys):
    pushes = b"".join(push_data(key.public_key.compressed) for key in keys)
    return push_number(required) + pushes + push_number(len(keys)) + bytes([op.OP_CHECKMULTISIG])


@pytest.mark.parametrize("place", ECDSA_PLACES)
def test_two_of_three_keys_spend_a_multisig_in_their_order(place):
    script = _multisig(2, KEYS)
    first, second, third = (sign(place, script, key) for key in KEYS)
    for pair in ([first, second], [first, third], [second, third]):
        assert _run(place, script, [b"", *pair]) == "OK"
    assert _run(place, script, [b"", second, first]) is Reason.NULLFAIL
    assert _run(place, script, [b"", second, first], MANDATORY) is Reason.EVAL_FALSE
    assert _run(place, script, [first]) is Reason.INVALID_STACK_OPERATION
    assert _run(place, script, [b"\x01", first, second], MANDATORY) is Reason.SIG_NULLDUMMY
    assert _run(place, script, [b"\x01", first, second], MANDATORY & ~Flags.NULLDUMMY) == "OK"


def test_tapscript_has_checksigadd_in_place_of_checkmultisig():
    assert _run("tapscript", _multisig(1, KEYS[:1]), [b"", b""]) is Reason.TAPSCRIPT_CHECKMULTISIG
    script = push_data(KEYS[0].public_key.x_only) + bytes([op.OP_CHECKSIG])
    for key in KEYS[1:]:
        script += push_data(key.public_key.x_only) + bytes([op.OP_CHECKSIGADD])
    script += bytes([op.OP_1 + 1, op.OP_NUMEQUAL])
    first, second, third = (sign("tapscript", script, key) for key in KEYS)
    assert _run("tapscript", script, [third, b"", first]) == "OK"
    assert _run("tapscript", script, [b"", second, first]) == "OK"
    assert _run("tapscript", script, [b"", b"", first]) is Reason.EVAL_FALSE
    assert _run("tapscript", script, [first, second, b""]) is Reason.SCHNORR_SIG
    assert _run("p2wsh", bytes([op.OP_CHECKSIGADD])) is Reason.BAD_OPCODE


@pytest.mark.parametrize("place", PLACES)
def test_a_lock_by_height_holds_until_the_height(place):
    script = push_number(500) + bytes([op.OP_CHECKLOCKTIMEVERIFY])
    assert _run(place, script, lock_time=500) == "OK"
    assert _run(place, script, lock_time=499) is Reason.UNSATISFIED_LOCKTIME
    assert _run(place, script, lock_time=500_000_000) is Reason.UNSATISFIED_LOCKTIME
    assert _run(place, script, lock_time=500, sequence=0xFFFFFFFF) is Reason.UNSATISFIED_LOCKTIME
    assert _run(place, script, flags=MANDATORY & ~Flags.CHECKLOCKTIMEVERIFY) == "OK"
    negative = push_number(-1) + bytes([op.OP_CHECKLOCKTIMEVERIFY])
    assert _run(place, negative, lock_time=500) is Reason.NEGATIVE_LOCKTIME


@pytest.mark.parametrize("place", PLACES)
def test_a_relative_lock_needs_the_inputs_sequence(place):
    script = push_number(10) + bytes([op.OP_CHECKSEQUENCEVERIFY])
    assert _run(place, script, sequence=10) == "OK"
    assert _run(place, script, sequence=0x000F000A) == "OK"
    assert _run(place, script, sequence=9) is Reason.UNSATISFIED_LOCKTIME
    assert _run(place, script, sequence=0x0040000A) is Reason.UNSATISFIED_LOCKTIME
    assert _run(place, script, sequence=0x8000000A) is Reason.UNSATISFIED_LOCKTIME
    assert _run(place, script, sequence=10, version=1) is Reason.UNSATISFIED_LOCKTIME
    assert _run(place, push_number(1 << 31) + bytes([op.OP_CHECKSEQUENCEVERIFY])) == "OK"


@pytest.mark.parametrize("place", PLACES)
def test_a_condition_takes_its_branch(place):
    script = bytes([op.OP_IF, op.OP_1, op.OP_ELSE, op.OP_RETURN, op.OP_ENDIF])
    assert _run(place, script, [b"\x01"], MANDATORY) == "OK"
    assert _run(place, script, [b""], MANDATORY) is Reason.OP_RETURN
    assert _run(place, script[:-1], [b"\x01"], MANDATORY) is Reason.UNBALANCED_CONDITIONAL
    assert _run(place, bytes([op.OP_ENDIF])) is Reason.UNBALANCED_CONDITIONAL


def test_where_a_condition_must_be_minimal():
    script = bytes([op.OP_IF, op.OP_1, op.OP_ELSE, op.OP_1, op.OP_ENDIF])
    assert _run("p2sh", script, [b"\x02"], MANDATORY) == "OK"
    assert _run("p2wsh", script, [b"\x02"], MANDATORY) == "OK"
    assert _run("p2wsh", script, [b"\x02"]) is Reason.MINIMALIF
    assert _run("tapscript", script, [b"\x02"], MANDATORY) is Reason.TAPSCRIPT_MINIMALIF


@pytest.mark.parametrize("place", ["p2wsh", "p2sh-p2wsh", "tapscript"])
def test_a_witness_script_must_leave_exactly_one_true_item(place):
    assert _run(place, TRUE) == "OK"
    assert _run(place, TRUE, [b"\x01"], MANDATORY) is Reason.CLEANSTACK
    assert _run(place, bytes([op.OP_NOP]), [], MANDATORY) is Reason.CLEANSTACK
    assert _run(place, bytes([op.OP_0]), [], MANDATORY) is Reason.EVAL_FALSE
    assert _run(place, bytes([op.OP_NOP]), [b"\x80"], MANDATORY) is Reason.EVAL_FALSE
    assert _run(place, bytes([op.OP_DROP, op.OP_1]), [bytes(521)], MANDATORY) is Reason.PUSH_SIZE


def test_limits_that_tapscript_lifted():
    many_ops = bytes([op.OP_NOP]) * 202 + TRUE
    assert _run("p2wsh", many_ops) is Reason.OP_COUNT
    assert _run("tapscript", many_ops) == "OK"
    long_script = (push_data(bytes(500)) + bytes([op.OP_DROP])) * 20 + TRUE
    assert _run("p2wsh", long_script) is Reason.SCRIPT_SIZE
    assert _run("tapscript", long_script) == "OK"
    assert _run("tapscript", TRUE, [b""] * 1001) is Reason.STACK_SIZE


def test_deeply_nested_conditions_are_no_burden_in_tapscript():
    script = (b"\x51" + bytes([op.OP_IF])) * 50_000 + bytes([op.OP_ENDIF]) * 50_000 + TRUE
    assert _run("tapscript", script) == "OK"


def test_an_unknown_opcode_makes_a_tapscript_succeed_unless_it_breaks_off_first():
    success = bytes([op.OP_RETURN, 80])
    assert _run("tapscript", success, [bytes(600)], MANDATORY) == "OK"
    assert _run("tapscript", success) is Reason.DISCOURAGE_OP_SUCCESS
    assert _run("tapscript", success + b"\x4c", [], MANDATORY) == "OK"
    assert _run("tapscript", b"\x4c" + bytes([80]), [], MANDATORY) is Reason.BAD_OPCODE
    assert _run("p2wsh", bytes([80]), [], MANDATORY) is Reason.BAD_OPCODE


def test_signatures_in_tapscript_are_paid_for_with_witness_weight():
    check = push_data(KEYS[0].public_key.x_only) + bytes([op.OP_CHECKSIGVERIFY])
    duplicated = bytes([op.OP_DUP]) + check
    script = duplicated * 10 + bytes([op.OP_DROP, op.OP_1])
    assert _run("tapscript", script, [sign("tapscript", script, KEYS[0])]) == "OK"
    # OP_2DUP with the key on the stack makes the checks cheaper than 50 weight units each.
    dense = bytes([op.OP_2DUP, op.OP_CHECKSIGVERIFY]) * 20 + bytes([op.OP_2DROP, op.OP_1])
    items = [sign("tapscript", dense, KEYS[0]), KEYS[0].public_key.x_only]
    assert _run("tapscript", dense, items) is Reason.TAPSCRIPT_VALIDATION_WEIGHT


def test_public_keys_in_tapscript_may_be_of_the_future_but_not_empty():
    script = push_data(b"\x01" * 33) + bytes([op.OP_CHECKSIG])
    assert _run("tapscript", script, [b"anything"], MANDATORY) == "OK"
    assert _run("tapscript", script, [b"anything"]) is Reason.DISCOURAGE_UPGRADABLE_PUBKEYTYPE
    assert _run("tapscript", bytes([op.OP_0, op.OP_CHECKSIG]), [b""]) is Reason.TAPSCRIPT_EMPTY_PUBKEY


def test_a_code_separator_binds_the_signature_to_the_rest_of_the_script():
    tail = push_data(KEYS[0].public_key.compressed) + bytes([op.OP_CHECKSIG])
    script = bytes([op.OP_NOP, op.OP_CODESEPARATOR]) + tail
    whole = sign("p2wsh", script, KEYS[0])
    assert _run("p2wsh", script, [whole]) is Reason.NULLFAIL
    tx, spent = spend("p2wsh", script, [])
    digest = SighashCache(tx, [spent]).segwit_v0(0, tail, spent.value, 1)
    assert _run("p2wsh", script, [KEYS[0].sign_ecdsa(digest) + b"\x01"]) == "OK"
    assert _run("p2sh", script, [whole]) is Reason.OP_CODESEPARATOR


def test_a_script_tree_of_two_leaves_is_spent_through_its_branch():
    chosen, other = TRUE + bytes([op.OP_NOP]), bytes([op.OP_RETURN])
    root = tapbranch_hash(tapleaf_hash(chosen), tapleaf_hash(other))
    assert root == tapbranch_hash(tapleaf_hash(other), tapleaf_hash(chosen))
    output_key = INTERNAL.tweaked(root).public_key
    head = bytes([0xC0 | output_key.compressed[0] & 1]) + INTERNAL.public_key.x_only
    tx, _ = unsigned(["p2tr"])
    spent = TxOut(1, p2tr_script(output_key.x_only))

    def witness(script, control):
        return _outcome(with_input(tx, 0, witness=(script, control)), spent)

    assert witness(chosen, head + tapleaf_hash(other)) == "OK"
    assert witness(other, head + tapleaf_hash(chosen)) is Reason.OP_RETURN
    assert witness(chosen, head) is Reason.WITNESS_PROGRAM_MISMATCH
    assert witness(chosen, head + bytes(32)) is Reason.WITNESS_PROGRAM_MISMATCH
    assert witness(chosen, bytes([head[0] ^ 1]) + head[1:] + tapleaf_hash(other)) is Reason.WITNESS_PROGRAM_MISMATCH
    assert witness(chosen, head + tapleaf_hash(other)[:-1]) is Reason.TAPROOT_WRONG_CONTROL_SIZE
    assert witness(chosen, head[:32]) is Reason.TAPROOT_WRONG_CONTROL_SIZE
    assert witness(chosen, head + bytes(32 * 129)) is Reason.TAPROOT_WRONG_CONTROL_SIZE
    assert witness(TRUE, b"") is Reason.TAPROOT_WRONG_CONTROL_SIZE


def test_an_unknown_leaf_version_succeeds_but_is_not_standard():
    script = bytes([op.OP_RETURN])
    output_key = INTERNAL.tweaked(tapleaf_hash(script, 0xC2)).public_key
    control = bytes([0xC2 | output_key.compressed[0] & 1]) + INTERNAL.public_key.x_only
    tx, _ = unsigned(["p2tr"])
    tx = with_input(tx, 0, witness=(script, control))
    spent = TxOut(1, p2tr_script(output_key.x_only))
    assert _outcome(tx, spent, MANDATORY) == "OK"
    assert _outcome(tx, spent) is Reason.DISCOURAGE_UPGRADABLE_TAPROOT_VERSION


def test_witness_programs_of_the_future_succeed_but_are_not_standard():
    tx, _ = unsigned(["p2tr"])
    for script in (b"\x52\x02ab", b"\x60\x20" + b"\x01" * 32, b"\x51\x02ab"):
        assert _outcome(tx, TxOut(1, script), MANDATORY) == "OK"
        assert _outcome(tx, TxOut(1, script)) is Reason.DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM
    assert _outcome(tx, TxOut(1, b"\x00\x15" + b"\x01" * 21), MANDATORY) is Reason.WITNESS_PROGRAM_WRONG_LENGTH


def test_an_anchor_is_spent_by_anyone():
    tx, _ = unsigned(["p2tr"])
    assert _outcome(tx, TxOut(240, P2A_SCRIPT)) == "OK"
    assert _outcome(with_input(tx, 0, script_sig=TRUE), TxOut(240, P2A_SCRIPT)) is Reason.WITNESS_MALLEATED


def test_before_its_soft_fork_each_new_kind_can_be_spent_by_anyone():
    tx, spent = spend("p2sh", bytes([op.OP_RETURN]), [])
    assert _outcome(tx, spent, Flags.NONE) == "OK"
    assert _outcome(tx, spent, Flags.P2SH) is Reason.OP_RETURN
    tx, spent = spend("p2wsh", bytes([op.OP_RETURN]), [])
    assert _outcome(tx, spent, Flags.P2SH) == "OK"
    assert _outcome(tx, spent, Flags.P2SH | Flags.WITNESS) is Reason.OP_RETURN
    tx, spent = spend("tapscript", bytes([op.OP_RETURN]), [])
    assert _outcome(tx, spent, Flags.P2SH | Flags.WITNESS) == "OK"
    assert _outcome(tx, spent, MANDATORY) is Reason.OP_RETURN


def test_p2sh_takes_pushes_only_and_segwit_within_it_only_the_script():
    tx, spent = spend("p2sh", TRUE, [])
    nop = bytes([op.OP_NOP])
    assert (
        _outcome(with_input(tx, 0, script_sig=nop + tx.inputs[0].script_sig), spent, MANDATORY) is Reason.SIG_PUSHONLY
    )
    tx, spent = spend("p2sh-p2wsh", TRUE, [])
    tx = with_input(tx, 0, script_sig=TRUE + tx.inputs[0].script_sig, witness=tx.inputs[0].witness)
    assert _outcome(tx, spent, MANDATORY) is Reason.WITNESS_MALLEATED_P2SH


def test_a_wrong_script_for_a_hash_is_refused():
    tx, _ = spend("p2wsh", TRUE, [])
    _, other = spend("p2wsh", bytes([op.OP_1, op.OP_NOP]), [])
    assert _outcome(tx, other) is Reason.WITNESS_PROGRAM_MISMATCH
    assert _outcome(with_input(tx, 0), other) is Reason.WITNESS_PROGRAM_WITNESS_EMPTY


def test_disabled_opcodes_fail_even_where_they_are_not_executed():
    script = bytes([op.OP_0, op.OP_IF, op.OP_CAT, op.OP_ENDIF, op.OP_1])
    for place in ECDSA_PLACES:
        assert _run(place, script) is Reason.DISABLED_OPCODE
    unexecuted_reserved = bytes([op.OP_0, op.OP_IF, op.OP_VER, op.OP_RESERVED, op.OP_ENDIF, op.OP_1])
    assert _run("p2wsh", unexecuted_reserved) == "OK"
    unexecuted_verif = bytes([op.OP_0, op.OP_IF, op.OP_VERIF, op.OP_ENDIF, op.OP_1])
    assert _run("p2wsh", unexecuted_verif) is Reason.BAD_OPCODE


def test_the_index_must_be_one_of_the_transaction():
    with pytest.raises(IndexError):
        verify_input(Transaction(2, (), ()), 0, [TxOut(1, TRUE)], STANDARD)


def test_a_failed_script_reads_as_in_bitcoind():
    verdict = script_verdict(Reason.MEMPOOL_SCRIPT_VERIFY_FLAG_FAILED, Reason.SCHNORR_SIG)
    assert verdict == "mempool-script-verify-flag-failed (Invalid Schnorr signature)"
