import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.crypto.keys import PrivateKey
from shared.script.opcodes import OP_CHECKMULTISIG, OP_CHECKSIG, OP_RETURN
from shared.script.script import push_data, push_number
from shared.script.standard import (
    P2A_SCRIPT,
    ScriptType,
    classify,
    is_p2pkh,
    is_p2sh,
    is_unspendable,
    is_witness_program,
    p2pkh_script,
    p2sh_script,
    p2tr_script,
    p2wpkh_script,
    p2wsh_script,
    witness_program,
)

KEY = PrivateKey.from_bytes(b"\x05" * 32).public_key
H20, H32 = b"\x14" * 20, b"\x20" * 32


def _multisig(required, keys, total=None):
    total = len(keys) if total is None else total
    pushes = b"".join(map(push_data, keys))
    return push_number(required) + pushes + push_number(total) + bytes([OP_CHECKMULTISIG])


@pytest.mark.parametrize(
    ("script", "kind", "parts"),
    [
        (p2pkh_script(H20), "pubkeyhash", [H20]),
        (p2sh_script(H20), "scripthash", [H20]),
        (p2wpkh_script(H20), "witness_v0_keyhash", [H20]),
        (p2wsh_script(H32), "witness_v0_scripthash", [H32]),
        (p2tr_script(H32), "witness_v1_taproot", [H32]),
        (P2A_SCRIPT, "anchor", []),
        (b"\x52\x20" + H32, "witness_unknown", [b"\x02", H32]),
        (b"\x51\x14" + H20, "witness_unknown", [b"\x01", H20]),
        (b"\x00\x15" + bytes(21), "nonstandard", []),
        (push_data(KEY.compressed) + b"\xac", "pubkey", [KEY.compressed]),
        (push_data(KEY.uncompressed) + b"\xac", "pubkey", [KEY.uncompressed]),
        (push_data(b"\x05" + bytes(32)) + b"\xac", "nonstandard", []),
        (b"\x6a", "nulldata", []),
        (b"\x6a" + push_data(b"hello"), "nulldata", []),
        (b"\x6a\xac", "nonstandard", []),
        (b"\x6a\x05", "nonstandard", []),
        (_multisig(1, [KEY.compressed]), "multisig", [b"\x01", KEY.compressed, b"\x01"]),
        (
            _multisig(2, [KEY.compressed, KEY.uncompressed, KEY.compressed]),
            "multisig",
            [b"\x02", KEY.compressed, KEY.uncompressed, KEY.compressed, b"\x03"],
        ),
        (_multisig(17, [KEY.compressed] * 20), "multisig", [b"\x11", *[KEY.compressed] * 20, b"\x14"]),
        (_multisig(2, [KEY.compressed]), "nonstandard", []),
        (_multisig(0, [KEY.compressed]), "nonstandard", []),
        (_multisig(1, [KEY.compressed], total=2), "nonstandard", []),
        (_multisig(1, [b"\x02"]), "nonstandard", []),
        (_multisig(1, [KEY.compressed] * 21), "nonstandard", []),
        (b"\x01\x01" + push_data(KEY.compressed) + b"\x51\xae", "nonstandard", []),
        (b"\xae", "nonstandard", []),
        (b"", "nonstandard", []),
        (b"\x05\xae", "nonstandard", []),
        (p2pkh_script(H20) + b"\x61", "nonstandard", []),
    ],
)
def test_scripts_are_classified_as_in_core(script, kind, parts):
    assert classify(script) == (ScriptType(kind), parts)


@given(st.binary(max_size=120))
def test_any_bytes_have_a_kind(script):
    kind, _ = classify(script)
    assert is_p2pkh(script) == (kind is ScriptType.PUBKEYHASH)
    assert is_p2sh(script) == (kind is ScriptType.SCRIPTHASH)


@given(st.integers(0, 16), st.binary(min_size=1, max_size=41))
def test_witness_programs_have_2_to_40_bytes(version, program):
    script = push_number(version) + bytes([len(program)]) + program
    expected = (version, program) if 2 <= len(program) <= 40 else None
    assert witness_program(script) == expected
    assert is_witness_program(script) is (expected is not None)


@pytest.mark.parametrize("script", ["", "00", "5114", "4f020000", "6102aabb", "0003aabb", "00024142ff", "4c020000"])
def test_what_only_resembles_a_witness_program_is_none(script):
    assert witness_program(bytes.fromhex(script)) is None


def test_unspendable_outputs_are_op_return_or_too_long():
    assert is_unspendable(bytes([OP_RETURN]))
    assert is_unspendable(bytes([OP_RETURN, OP_CHECKSIG]))
    assert is_unspendable(bytes(10_001))
    assert not is_unspendable(bytes(10_000))
    assert not is_unspendable(b"")


@pytest.mark.parametrize(
    ("script", "is_kind", "fixed"),
    [
        (p2pkh_script(b"\x88" * 20), is_p2pkh, (0, 1, 2, 23, 24)),
        (p2sh_script(b"\x87" * 20), is_p2sh, (0, 1, 22)),
    ],
)
def test_what_only_resembles_a_script_of_a_hash_is_none(script, is_kind, fixed):
    assert is_kind(script)
    for place in fixed:
        assert not is_kind(script[:place] + bytes([script[place] ^ 1]) + script[place + 1 :])
    assert not is_kind(script[:10] + script[11:])
    assert not is_kind(script[:10] + script[9:])
    assert not is_kind(b"")


def test_a_multisig_whose_last_operation_only_pushes_its_opcode_is_none():
    key = KEY.compressed
    script = push_number(1) + push_data(key) + push_number(1) + push_data(bytes([OP_CHECKMULTISIG]))
    assert classify(script)[0] == "nonstandard"
    assert classify(_multisig(1, [key]))[0] == "multisig"
