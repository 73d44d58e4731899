import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.crypto.keys import PrivateKey
from shared.errors import DecodeError
from shared.script import opcodes
from shared.script.opcodes import OP_0, OP_1, OP_1NEGATE, OP_16, OP_PUSHDATA1, OP_PUSHDATA2, OP_PUSHDATA4
from shared.script.script import (
    count_sigops,
    decode_number,
    encode_number,
    is_minimal_push,
    is_push_only,
    iterate,
    push_data,
    push_number,
    to_asm,
    to_rust_asm,
)
from shared.script.standard import p2pkh_script, p2tr_script, p2wpkh_script

HASH = bytes.fromhex("751e76e8199196d454941c45d1b3a323f1433bd6")


def _ops(script):
    return [(op.opcode, op.data) for op in iterate(script)]


@given(st.lists(st.binary(max_size=600), max_size=5))
def test_pushed_data_is_read_back(items):
    script = b"".join(map(push_data, items))
    assert [data for _, data in _ops(script)] == items
    assert is_push_only(script)


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, "00"),
        (1, "01"),
        (75, "4b"),
        (76, "4c4c"),
        (255, "4cff"),
        (256, "4d0001"),
        (65535, "4dffff"),
        (65536, "4e00000100"),
    ],
)
def test_data_is_pushed_with_the_shortest_length(size, head):
    data = bytes(size)
    script = push_data(data)
    assert script == bytes.fromhex(head) + data
    assert is_minimal_push(script[0], data) or size == 1


@given(st.integers(-(1 << 40), 1 << 40))
def test_script_numbers_round_trip(number):
    data = encode_number(number)
    assert decode_number(data, max_size=6, minimal=True) == number


@pytest.mark.parametrize(
    ("number", "encoded"),
    [
        (0, ""),
        (1, "01"),
        (-1, "81"),
        (127, "7f"),
        (128, "8000"),
        (-128, "8080"),
        (255, "ff00"),
        (-255, "ff80"),
        (256, "0001"),
        (32767, "ff7f"),
        (32768, "008000"),
        (0x7FFFFFFF, "ffffff7f"),
        (-0x7FFFFFFF, "ffffffff"),
        (0x80000000, "0000008000"),
    ],
)
def test_script_numbers_are_those_of_core(number, encoded):
    assert encode_number(number).hex() == encoded
    assert decode_number(bytes.fromhex(encoded), max_size=5) == number


@pytest.mark.parametrize("data", ["00", "80", "0100", "0180", "ff7f00", "000000"])
def test_long_forms_of_a_number_are_refused_where_asked(data):
    decode_number(bytes.fromhex(data))
    with pytest.raises(DecodeError, match="minimally"):
        decode_number(bytes.fromhex(data), minimal=True)


def test_a_number_longer_than_allowed_is_refused():
    with pytest.raises(DecodeError, match="at most 4 bytes, not 5"):
        decode_number(bytes(5))
    assert decode_number(bytes(5), max_size=5) == 0


@pytest.mark.parametrize(
    ("number", "script"),
    [(0, "00"), (-1, "4f"), (1, "51"), (16, "60"), (17, "0111"), (-2, "0182"), (1000, "02e803")],
)
def test_numbers_are_pushed_the_shortest_way(number, script):
    assert push_number(number).hex() == script


@pytest.mark.parametrize(
    ("opcode", "data", "is_minimal"),
    [
        (OP_0, b"", True),
        (OP_PUSHDATA1, b"", False),
        (1, b"\x00", True),
        (1, b"\x01", False),
        (1, b"\x10", False),
        (1, b"\x11", True),
        (1, b"\x81", False),
        (75, bytes(75), True),
        (OP_PUSHDATA1, bytes(75), False),
        (OP_PUSHDATA1, bytes(76), True),
        (OP_PUSHDATA2, bytes(255), False),
        (OP_PUSHDATA2, bytes(256), True),
        (OP_PUSHDATA4, bytes(256), False),
        (OP_PUSHDATA4, bytes(65536), True),
    ],
)
def test_minimal_pushes_are_those_of_bip62(opcode, data, is_minimal):
    assert is_minimal_push(opcode, data) is is_minimal


@pytest.mark.parametrize(
    "script", ["01", "4b00", "4c", "4c01", "4d", "4d01", "4d0100", "4e", "4e010000", "4effffffff00"]
)
def test_a_push_that_is_cut_off_is_an_error(script):
    with pytest.raises(DecodeError, match="script ends inside"):
        _ops(bytes.fromhex(script))
    assert not is_push_only(bytes.fromhex(script))


@given(st.binary(max_size=100))
def test_any_bytes_are_walked_or_refused(script):
    try:
        ops = list(iterate(script))
    except DecodeError:
        return
    assert (ops[-1].end if ops else 0) == len(script)


def test_op_reserved_counts_as_a_push_and_op_nop_does_not():
    assert is_push_only(bytes([OP_1NEGATE, opcodes.OP_RESERVED, OP_1, OP_16]))
    assert not is_push_only(bytes([opcodes.OP_NOP]))


@pytest.mark.parametrize(
    ("script", "loose", "accurate"),
    [
        (b"", 0, 0),
        (p2pkh_script(HASH), 1, 1),
        (bytes([opcodes.OP_CHECKSIGVERIFY] * 3), 3, 3),
        (bytes([opcodes.OP_CHECKMULTISIG]), 20, 20),
        (bytes([OP_1, OP_1 + 1, opcodes.OP_CHECKMULTISIG]), 20, 2),
        (bytes([OP_16, opcodes.OP_CHECKMULTISIGVERIFY]), 20, 16),
        (bytes([OP_0, opcodes.OP_CHECKMULTISIG]), 20, 20),
        (bytes([opcodes.OP_CHECKSIG, 5]), 1, 1),
        (push_data(bytes([opcodes.OP_CHECKSIG] * 10)), 0, 0),
        (bytes([opcodes.OP_CHECKSIGADD]), 0, 0),
    ],
)
def test_signature_operations_are_counted_as_in_core(script, loose, accurate):
    assert count_sigops(script, accurate=False) == loose
    assert count_sigops(script, accurate=True) == accurate


SIGNATURE = PrivateKey.from_bytes(b"\x01" * 32).sign_ecdsa(bytes(32)) + b"\x81"


@pytest.mark.parametrize(
    ("script", "core", "rust"),
    [
        (b"", "", ""),
        (
            p2pkh_script(HASH),
            f"OP_DUP OP_HASH160 {HASH.hex()} OP_EQUALVERIFY OP_CHECKSIG",
            f"OP_DUP OP_HASH160 OP_PUSHBYTES_20 {HASH.hex()} OP_EQUALVERIFY OP_CHECKSIG",
        ),
        (p2wpkh_script(HASH), f"0 {HASH.hex()}", f"OP_0 OP_PUSHBYTES_20 {HASH.hex()}"),
        (p2tr_script(b"\xab" * 32), "1 " + "ab" * 32, "OP_PUSHNUM_1 OP_PUSHBYTES_32 " + "ab" * 32),
        (bytes.fromhex("4f5260"), "-1 2 16", "OP_PUSHNUM_NEG1 OP_PUSHNUM_2 OP_PUSHNUM_16"),
        (bytes.fromhex("6a0474657374"), "OP_RETURN 1953719668", "OP_RETURN OP_PUSHBYTES_4 74657374"),
        (bytes.fromhex("4c00"), "0", "OP_PUSHDATA1"),
        (bytes.fromhex("b1b2b3"), "OP_CHECKLOCKTIMEVERIFY OP_CHECKSEQUENCEVERIFY OP_NOP4", "OP_CLTV OP_CSV OP_NOP4"),
        (
            bytes.fromhex("bbfeff"),
            "OP_UNKNOWN OP_UNKNOWN OP_INVALIDOPCODE",
            "OP_RETURN_187 OP_RETURN_254 OP_INVALIDOPCODE",
        ),
        (bytes.fromhex("ac0511"), "OP_CHECKSIG [error]", "OP_CHECKSIG OP_PUSHBYTES_5 <push past end>"),
        (bytes.fromhex("ac4d11"), "OP_CHECKSIG [error]", "OP_CHECKSIG <unexpected end>"),
        (push_data(SIGNATURE), SIGNATURE.hex(), f"OP_PUSHBYTES_{len(SIGNATURE)} {SIGNATURE.hex()}"),
    ],
)
def test_scripts_print_as_bitcoind_and_esplora_print_them(script, core, rust):
    assert to_asm(script) == core
    assert to_rust_asm(script) == rust


def test_the_hash_type_of_a_signature_is_spelled_out_where_asked():
    script = push_data(SIGNATURE) + push_data(b"\x02" * 33)
    expected = f"{SIGNATURE[:-1].hex()}[ALL|ANYONECANPAY] {'02' * 33}"
    assert to_asm(script, decode_sighash=True) == expected


def test_opcodes_have_their_published_values():
    assert opcodes.BY_NAME["OP_DUP"] == 0x76
    assert opcodes.BY_NAME["OP_CHECKMULTISIGVERIFY"] == 0xAF
    assert opcodes.BY_NAME["OP_CHECKSIGADD"] == 0xBA
    assert opcodes.NAMES[0x60] == "OP_16"
    assert len(opcodes.NAMES) == 113
    assert len(opcodes.DISABLED) == 15


def _sigops_by_operation(script, accurate):
    count, previous = 0, None
    try:
        for opcode, _, _ in iterate(script):
            if opcode in (0xAC, 0xAD):
                count += 1
            elif opcode in (0xAE, 0xAF):
                count += previous - 0x50 if accurate and previous in range(0x51, 0x61) else 20
            previous = opcode
    except DecodeError:
        pass
    return count


@given(st.lists(st.sampled_from([0, 1, 2, 0x4B, 0x4C, 0x4D, 0x4E, 0x50, 0x51, 0x60, 0xAC, 0xAE, 0xAF])), st.booleans())
def test_sigops_are_counted_operation_by_operation(opcodes, accurate):
    script = bytes(opcodes)
    assert count_sigops(script, accurate=accurate) == _sigops_by_operation(script, accurate)
