"""Limits of scripts: exactly at the limit a script passes, one more and it fails with Core's reason."""

import pytest

from shared.errors import ScriptError
from shared.primitives.transaction import TxOut
from shared.reasons import Reason
from shared.script import opcodes as op
from shared.script.flags import MANDATORY, STANDARD
from shared.script.interpreter import tapbranch_hash, tapleaf_hash, verify_input
from shared.script.script import encode_number, push_data, push_number
from shared.script.sighash import SighashCache
from shared.script.standard import p2tr_script
from tests.unit.script.script_paths import INTERNAL, control_block, spend
from tests.unit.script.spends import KEY, signature_of, unsigned, with_input

OK = "OK"
TRUE, NOP, DROP = bytes([op.OP_1]), bytes([op.OP_NOP]), bytes([op.OP_DROP])
COUNTED = ["bare", "p2sh", "p2wsh", "p2sh-p2wsh"]
"""Where operations and the script's size are limited; tapscript lifted both."""


def outcome(tx, spent, flags=MANDATORY):
    try:
        verify_input(tx, 0, [spent], flags)
    except ScriptError as error:
        return error.reason
    return OK


def run(place, script, items=(), flags=MANDATORY, **fields):
    return outcome(*spend(place, script, items, **fields), flags)


# ── what every script may be and do ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("count", "expected"), [(201, OK), (202, Reason.OP_COUNT)])
@pytest.mark.parametrize("place", COUNTED)
def test_a_script_has_at_most_201_operations(place, count, expected):
    assert run(place, NOP * count + TRUE) == expected
    unexecuted = bytes([op.OP_0, op.OP_IF]) + NOP * (count - 2) + bytes([op.OP_ENDIF]) + TRUE
    assert run(place, unexecuted) == expected, "those that are not executed count too"


def test_pushes_are_no_operations():
    pushes = TRUE * 100 + bytes([op.OP_16, op.OP_1NEGATE, op.OP_0]) + push_data(bytes(76))
    assert run("p2wsh", pushes + bytes([op.OP_2DROP]) * 52 + NOP * 149 + TRUE) == OK


@pytest.mark.parametrize(("nops", "expected"), [(180, OK), (181, Reason.OP_COUNT)])
def test_every_key_of_a_multisig_is_an_operation(nops, expected):
    keys = push_data(KEY.public_key.compressed) * 20
    script = NOP * nops + bytes([op.OP_0, op.OP_0]) + keys + push_number(20) + bytes([op.OP_CHECKMULTISIG])
    assert run("p2wsh", script) == expected


@pytest.mark.parametrize(("size", "expected"), [(10_000, OK), (10_001, Reason.SCRIPT_SIZE)])
@pytest.mark.parametrize("place", ["bare", "p2wsh"])
def test_a_script_has_at_most_10000_bytes(place, size, expected):
    pushed = (push_data(bytes(500)) + DROP) * 19
    rest = size - len(pushed) - 1 - 4
    script = pushed + push_data(bytes(rest)) + DROP + TRUE
    assert len(script) == size
    assert run(place, script) == expected


@pytest.mark.parametrize(("size", "expected"), [(520, OK), (521, Reason.PUSH_SIZE)])
def test_a_push_has_at_most_520_bytes(size, expected):
    for place in ("bare", "p2wsh", "tapscript"):
        assert run(place, push_data(bytes(size)) + DROP + TRUE) == expected
    unexecuted = bytes([op.OP_0, op.OP_IF]) + push_data(bytes(size)) + bytes([op.OP_ENDIF]) + TRUE
    assert run("p2wsh", unexecuted) == expected
    for place in ("p2wsh", "tapscript"):
        assert run(place, DROP + TRUE, [bytes(size)]) == expected


@pytest.mark.parametrize(("items", "expected"), [(1_000, OK), (1_001, Reason.STACK_SIZE)])
def test_the_stacks_together_hold_at_most_1000_items(items, expected):
    drops = bytes([op.OP_2DROP]) * ((items - 1) // 2) + (DROP if items % 2 == 0 else b"")
    assert run("tapscript", TRUE * items + drops) == expected
    assert run("tapscript", drops, [b"\x01"] * items) == expected


def test_the_altstack_counts_among_the_1000_items():
    def script(kept):
        return bytes([op.OP_1, op.OP_TOALTSTACK]) * 10 + TRUE * kept + bytes([op.OP_2DROP]) * 494 + DROP

    assert run("tapscript", script(990)) == OK
    assert run("tapscript", script(991)) is Reason.STACK_SIZE


# ── multisig ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("signatures", "keys", "expected"),
    [
        (0, 20, OK),
        (0, 21, Reason.PUBKEY_COUNT),
        (0, -1, Reason.PUBKEY_COUNT),
        (0, 0, OK),
        (1, 0, Reason.SIG_COUNT),
        (-1, 1, Reason.SIG_COUNT),
        (3, 2, Reason.SIG_COUNT),
    ],
)
def test_a_multisig_has_up_to_20_keys_and_no_more_signatures_than_keys(signatures, keys, expected):
    script = (
        bytes([op.OP_0] * max(0, signatures))
        + push_number(signatures)
        + push_data(KEY.public_key.compressed) * max(0, keys)
        + push_number(keys)
        + bytes([op.OP_CHECKMULTISIG])
    )
    assert run("p2wsh", bytes([op.OP_0]) + script) == expected


def test_a_multisig_takes_one_item_more_than_its_arguments_and_no_more():
    script = bytes([op.OP_0, op.OP_0, op.OP_CHECKMULTISIG])
    assert run("p2wsh", script) is Reason.INVALID_STACK_OPERATION
    assert run("p2wsh", bytes([op.OP_0]) + script) == OK
    assert run("p2wsh", bytes([op.OP_0]) * 2 + script) is Reason.CLEANSTACK


# ── numbers and depths ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("size", "operation", "expected"),
    [
        (4, op.OP_1ADD, OK),
        (5, op.OP_1ADD, Reason.SCRIPTNUM),
        (5, op.OP_CHECKLOCKTIMEVERIFY, OK),
        (6, op.OP_CHECKLOCKTIMEVERIFY, Reason.SCRIPTNUM),
        (5, op.OP_CHECKSEQUENCEVERIFY, OK),
        (6, op.OP_CHECKSEQUENCEVERIFY, Reason.SCRIPTNUM),
    ],
)
def test_numbers_have_four_bytes_and_lock_times_five(size, operation, expected):
    number = b"\x01" + bytes(size - 1)
    assert run("p2wsh", push_data(number) + bytes([operation]), lock_time=1, sequence=1) == expected


@pytest.mark.parametrize(
    ("depth", "expected"),
    [(0, OK), (2, OK), (3, Reason.INVALID_STACK_OPERATION), (-1, Reason.INVALID_STACK_OPERATION)],
)
@pytest.mark.parametrize(("operation", "left"), [(op.OP_PICK, 3), (op.OP_ROLL, 2)])
def test_pick_and_roll_reach_the_lowest_item_and_no_deeper(operation, left, depth, expected):
    script = TRUE * 3 + push_number(depth) + bytes([operation]) + DROP * left
    assert run("p2wsh", script) == expected


@pytest.mark.parametrize(("number", "inside"), [(4, False), (5, True), (9, True), (10, False)])
def test_within_has_its_lower_bound_inside_and_its_upper_one_outside(number, inside):
    script = push_number(number) + push_number(5) + push_number(10) + bytes([op.OP_WITHIN])
    assert run("p2wsh", script) == (OK if inside else Reason.EVAL_FALSE)


# ── lock times ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("needed", "lock_time", "expected"),
    [
        (499_999_999, 499_999_999, OK),
        (500_000_000, 500_000_000, OK),
        (500_000_000, 499_999_999, Reason.UNSATISFIED_LOCKTIME),
        (499_999_999, 500_000_000, Reason.UNSATISFIED_LOCKTIME),
        (500_000_001, 500_000_000, Reason.UNSATISFIED_LOCKTIME),
        (0, 0, OK),
        (0xFFFFFFFF, 0xFFFFFFFF, OK),
        (0x1_0000_0000, 0xFFFFFFFF, Reason.UNSATISFIED_LOCKTIME),
    ],
)
def test_a_lock_time_is_of_one_kind_and_met_when_it_is_reached(needed, lock_time, expected):
    script = push_number(needed) + bytes([op.OP_CHECKLOCKTIMEVERIFY, op.OP_DROP, op.OP_1])
    assert run("p2wsh", script, lock_time=lock_time) == expected


@pytest.mark.parametrize(
    ("needed", "sequence", "version", "expected"),
    [
        (0, 0, 2, OK),
        (0xFFFF, 0xFFFF, 2, OK),
        (0xFFFF, 0xFFFE, 2, Reason.UNSATISFIED_LOCKTIME),
        (0x40_0005, 0x40_0005, 2, OK),
        (0x40_0005, 0x40_0004, 2, Reason.UNSATISFIED_LOCKTIME),
        (0x40_0005, 0x00_0005, 2, Reason.UNSATISFIED_LOCKTIME),
        (0x00_0005, 0x40_0005, 2, Reason.UNSATISFIED_LOCKTIME),
        (0xBF_0005, 0x00_0005, 2, OK),
        (5, 5, 1, Reason.UNSATISFIED_LOCKTIME),
        (5, 5, 0, Reason.UNSATISFIED_LOCKTIME),
        (5, 0x8000_0005, 2, Reason.UNSATISFIED_LOCKTIME),
        (0x8000_0005, 0, 1, OK),
        (0x1_8000_0000, 0, 1, OK),
    ],
)
def test_a_relative_lock_compares_the_16_bits_and_the_kind(needed, sequence, version, expected):
    script = push_number(needed) + bytes([op.OP_CHECKSEQUENCEVERIFY, op.OP_DROP, op.OP_1])
    assert run("p2wsh", script, sequence=sequence, version=version) == expected


# ── tapscript ───────────────────────────────────────────────────────────────────────────────────────────────────────


def budget_spend(checks, padding, *, annex=None, unused=()):
    """Return a tapscript that checks one signature `checks` times; its witness is 50 short of the needed budget."""
    script = (
        DROP * len(unused)
        + bytes([op.OP_2DUP, op.OP_CHECKSIGVERIFY]) * checks
        + NOP * padding
        + bytes([op.OP_2DROP])
        + TRUE
    )
    tx, spent = spend("tapscript", script, [])
    digest = SighashCache(tx, [spent]).taproot(0, 0, annex=annex, leaf_hash=tapleaf_hash(script))
    signature = KEY.sign_schnorr(digest, aux=bytes(32))
    items = [signature, KEY.public_key.x_only, *unused, script, control_block(script)]
    items += [annex] if annex is not None else []
    sizes = [len(items), *(len(item) for item in items)]
    weight = sum(1 if size < 253 else 3 for size in sizes) + sum(map(len, items))
    return with_input(tx, 0, witness=items), spent, weight + 50


@pytest.mark.parametrize(
    ("checks", "options"),
    [
        (4, {}),
        (9, {}),
        (20, {}),
        (10, {"annex": b"\x50" + bytes(40)}),
        (14, {"unused": (bytes(252),)}),
        (14, {"unused": (bytes(253),)}),
    ],
    ids=["short", "script of 253 bytes or more", "long", "annex", "item of 252 bytes", "item of 253 bytes"],
)
def test_a_tapscript_may_use_up_its_budget_of_signature_checks_and_no_more(checks, options):
    tx, spent, budget = budget_spend(checks, 0, **options)
    assert budget < 50 * checks
    padding = next(n for n in range(1_000) if budget_spend(checks, n, **options)[2] >= 50 * checks)
    tx, spent, budget = budget_spend(checks, padding, **options)
    assert budget == 50 * checks
    assert outcome(tx, spent) == OK
    tx, spent, budget = budget_spend(checks, padding - 1, **options)
    assert budget == 50 * checks - 1
    assert outcome(tx, spent) is Reason.TAPSCRIPT_VALIDATION_WEIGHT


def test_an_empty_signature_costs_no_budget_and_one_for_an_unknown_key_does():
    future = push_data(b"\x01" * 33)
    empty = (bytes([op.OP_0]) + future + bytes([op.OP_CHECKSIG]) + DROP) * 3
    assert run("tapscript", empty + TRUE) == OK
    used = (bytes([op.OP_2DUP, op.OP_CHECKSIGVERIFY])) * 40 + bytes([op.OP_2DROP]) + TRUE
    assert run("tapscript", used, [b"s", b"\x01" * 33]) is Reason.TAPSCRIPT_VALIDATION_WEIGHT
    assert run("tapscript", used, [b"", b"\x01" * 33]) is Reason.CHECKSIGVERIFY


@pytest.mark.parametrize(("nodes", "expected"), [(0, OK), (1, OK), (128, OK), (129, Reason.TAPROOT_WRONG_CONTROL_SIZE)])
def test_a_script_lies_at_most_128_levels_deep(nodes, expected):
    siblings = [bytes([level]) * 32 for level in range(nodes)]
    root = tapleaf_hash(TRUE)
    for sibling in siblings:
        root = tapbranch_hash(root, sibling)
    output_key = INTERNAL.tweaked(root).public_key
    control = bytes([0xC0 | output_key.compressed[0] & 1]) + INTERNAL.public_key.x_only + b"".join(siblings)
    tx, _ = unsigned(["p2tr"])
    assert outcome(with_input(tx, 0, witness=(TRUE, control)), TxOut(1, p2tr_script(output_key.x_only))) == expected


@pytest.mark.parametrize("change", [-1, 1])
def test_a_control_block_ends_with_whole_nodes(change):
    tx, spent = spend("tapscript", TRUE, [])
    script, control = tx.inputs[0].witness
    control = control[:change] if change < 0 else control + bytes(change)
    assert outcome(with_input(tx, 0, witness=(script, control)), spent) is Reason.TAPROOT_WRONG_CONTROL_SIZE


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda signature: signature, OK),
        (lambda signature: signature[:63], Reason.SCHNORR_SIG_SIZE),
        (lambda signature: signature + b"\x01\x00", Reason.SCHNORR_SIG_SIZE),
        (lambda signature: signature + b"\x00", Reason.SCHNORR_SIG_HASHTYPE),
        (lambda signature: signature + b"\x04", Reason.SCHNORR_SIG_HASHTYPE),
        (lambda signature: signature + b"\x80", Reason.SCHNORR_SIG_HASHTYPE),
        (lambda signature: signature + b"\x84", Reason.SCHNORR_SIG_HASHTYPE),
        (lambda signature: signature + b"\x01", Reason.SCHNORR_SIG),
        (lambda signature: b"", Reason.SCHNORR_SIG_SIZE),
    ],
)
def test_a_taproot_signature_has_64_bytes_or_a_hash_type_that_means_something(change, expected):
    tx, spent = unsigned(["p2tr"])
    signature = signature_of(tx, 0, spent, "p2tr", 0)
    assert outcome(with_input(tx, 0, witness=(change(signature),)), spent[0]) == expected


def test_an_annex_is_the_last_of_two_items_or_more_and_begins_with_0x50():
    tx, spent = unsigned(["p2tr"])
    annex = b"\x50rest"
    signed = signature_of(tx, 0, spent, "p2tr", 0, annex=annex)
    bare = signature_of(tx, 0, spent, "p2tr", 0)
    assert outcome(with_input(tx, 0, witness=(signed, annex)), spent[0]) == OK
    assert outcome(with_input(tx, 0, witness=(bare, annex)), spent[0]) is Reason.SCHNORR_SIG
    assert outcome(with_input(tx, 0, witness=(annex,)), spent[0]) is Reason.SCHNORR_SIG_SIZE
    assert outcome(with_input(tx, 0, witness=(bare, b"\x51rest")), spent[0]) is Reason.TAPROOT_WRONG_CONTROL_SIZE


def test_taproot_is_for_programs_of_32_bytes_that_are_not_wrapped():
    tx, _ = unsigned(["p2tr"])
    for size in (31, 33):
        script = bytes([op.OP_1, size]) + b"\x01" * size
        assert outcome(tx, TxOut(1, script)) == OK
        assert outcome(tx, TxOut(1, script), STANDARD) is Reason.DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM
    wrapped, spent = spend("p2sh", p2tr_script(b"\x01" * 32), [])
    assert outcome(wrapped, spent) == OK
    assert outcome(wrapped, spent, STANDARD) is Reason.DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM


@pytest.mark.parametrize(
    ("code", "succeeds"),
    [
        (79, False), (80, True), (81, False), (97, False), (98, True), (99, False), (125, False), (126, True),
        (129, True), (130, False), (131, True), (134, True), (135, False), (136, False), (137, True), (138, True),
        (139, False), (140, False), (141, True), (142, True), (143, False), (148, False), (149, True), (153, True),
        (154, False), (186, False), (187, True), (254, True), (255, False),
    ],
)  # fmt: skip
def test_the_opcodes_that_make_a_tapscript_succeed_are_those_of_bip342(code, succeeds):
    assert (run("tapscript", bytes([op.OP_RETURN, code])) == OK) is succeeds


def test_numbers_are_as_long_as_they_must_be():
    for number, size in ((0, 0), (127, 1), (128, 2), (32_767, 2), (32_768, 3), (1 << 31, 5)):
        assert len(encode_number(number)) == len(encode_number(-number)) == size
