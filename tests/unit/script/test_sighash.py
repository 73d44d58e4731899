"""BIP143's published example, and what the hash types cover."""

from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.crypto.hashes import sha256d
from shared.primitives.serialize import pack_u32
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from shared.script.opcodes import OP_CHECKSIG, OP_CODESEPARATOR
from shared.script.script import push_data
from shared.script.sighash import SighashCache, find_and_delete
from shared.script.standard import p2pkh_script
from tests.unit.primitives.strategies import scripts, transactions

UNSIGNED_BIP143 = Transaction.parse(
    bytes.fromhex(
        "0100000002fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f0000000000eeffffff"
        "ef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb206"
        "000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42db"
        "ee7e4dbe6a21b2d50ce2f0167faa815988ac11000000"
    )
)


def _blank_outputs(tx):
    return [TxOut(0, b"")] * len(tx.inputs)


def test_the_digest_of_bip143s_p2wpkh_example():
    script_code = p2pkh_script(bytes.fromhex("1d0f172a0ecb48aee1be1f2687d2963ae33f71a1"))
    digest = SighashCache(UNSIGNED_BIP143, ()).segwit_v0(1, script_code, 600_000_000, 1)
    assert digest.hex() == "c37af31116d1b27caf68aae9e3ac82f1477929014d5b917657d0eb49478cb670"


def test_a_single_without_its_output_is_the_famous_one():
    tx = Transaction(1, UNSIGNED_BIP143.inputs, UNSIGNED_BIP143.outputs[:1], 0)
    one = (1).to_bytes(32, "little")
    assert SighashCache(tx, ()).legacy(1, b"", 3) == one
    assert SighashCache(tx, ()).legacy(1, b"", 0x83) == one
    assert SighashCache(tx, ()).legacy(0, b"", 3) != one


def test_a_legacy_digest_of_all_is_over_the_whole_transaction():
    tx = UNSIGNED_BIP143
    script = p2pkh_script(bytes(20))
    first, second = tx.inputs
    signed = Transaction(1, (first, TxIn(second.prevout, script, second.sequence)), tx.outputs, tx.lock_time)
    assert SighashCache(tx, ()).legacy(1, script, 1) == sha256d(signed.serialize() + pack_u32(1))


def test_code_separators_are_left_out_of_legacy_digests_only():
    cache = SighashCache(UNSIGNED_BIP143, _blank_outputs(UNSIGNED_BIP143))
    plain = bytes([OP_CHECKSIG]) + push_data(bytes([OP_CODESEPARATOR]))
    separated = bytes([OP_CODESEPARATOR, OP_CHECKSIG, OP_CODESEPARATOR]) + push_data(bytes([OP_CODESEPARATOR]))
    assert cache.legacy(0, separated, 1) == cache.legacy(0, plain, 1)
    assert cache.segwit_v0(0, separated, 0, 1) != cache.segwit_v0(0, plain, 0, 1)


def _changed(tx, what):
    inputs, outputs = list(tx.inputs), list(tx.outputs)
    version, lock_time = tx.version, tx.lock_time
    match what:
        case "version":
            version ^= 2
        case "lock_time":
            lock_time ^= 1
        case "own_sequence":
            inputs[0] = TxIn(inputs[0].prevout, b"", inputs[0].sequence ^ 1)
        case "other_sequence":
            inputs[1] = TxIn(inputs[1].prevout, b"", inputs[1].sequence ^ 1)
        case "other_prevout":
            inputs[1] = TxIn(inputs[1].prevout._replace(vout=99), b"", inputs[1].sequence)
        case "own_output":
            outputs[0] = TxOut(outputs[0].value + 1, outputs[0].script_pubkey)
        case "other_output":
            outputs[1] = TxOut(outputs[1].value + 1, outputs[1].script_pubkey)
    return Transaction(version, tuple(inputs), tuple(outputs), lock_time)


ALWAYS = {"version", "lock_time", "own_sequence"}
COVERED = {
    0x01: ALWAYS | {"other_sequence", "other_prevout", "own_output", "other_output"},
    0x02: ALWAYS | {"other_prevout"},
    0x03: ALWAYS | {"other_prevout", "own_output"},
    0x81: ALWAYS | {"own_output", "other_output"},
    0x82: ALWAYS,
    0x83: ALWAYS | {"own_output"},
}


@pytest.mark.parametrize("hash_type", COVERED)
@pytest.mark.parametrize("kind", ["legacy", "segwit_v0", "taproot"])
def test_a_hash_type_covers_what_it_should_and_nothing_else(hash_type, kind):
    def digest(tx):
        cache = SighashCache(tx, _blank_outputs(tx))
        match kind:
            case "legacy":
                return cache.legacy(0, b"", hash_type)
            case "segwit_v0":
                return cache.segwit_v0(0, b"", 0, hash_type)
            case _:
                return cache.taproot(0, hash_type)

    covered = set(COVERED[hash_type])
    if kind == "taproot" and not hash_type & 0x80:
        covered.add("other_sequence")  # BIP341 always covers all sequences unless ANYONECANPAY
    everything = COVERED[0x01]
    before = digest(UNSIGNED_BIP143)
    changing = {what for what in everything if digest(_changed(UNSIGNED_BIP143, what)) != before}
    assert changing == covered


def test_taproot_digests_cover_amounts_scripts_annex_and_leaf():
    tx = UNSIGNED_BIP143
    blank = _blank_outputs(tx)
    digests = {
        SighashCache(tx, blank).taproot(0, 0),
        SighashCache(tx, blank).taproot(0, 1),
        SighashCache(tx, blank).taproot(1, 0),
        SighashCache(tx, [blank[0], TxOut(1, b"")]).taproot(0, 0),
        SighashCache(tx, [blank[0], TxOut(0, b"\x51")]).taproot(0, 0),
        SighashCache(tx, blank).taproot(0, 0, annex=b"\x50"),
        SighashCache(tx, blank).taproot(0, 0, annex=b"\x50\x00"),
        SighashCache(tx, blank).taproot(0, 0, leaf_hash=bytes(32)),
        SighashCache(tx, blank).taproot(0, 0, leaf_hash=bytes(32), codeseparator_position=0),
    }
    assert len(digests) == 9


def test_a_taproot_hash_type_without_meaning_has_no_digest():
    tx = UNSIGNED_BIP143
    cache = SighashCache(tx, _blank_outputs(tx))
    meaningful = [hash_type for hash_type in range(256) if cache.taproot(0, hash_type) is not None]
    assert meaningful == [0, 1, 2, 3, 0x81, 0x82, 0x83]
    short = Transaction(1, tx.inputs, tx.outputs[:1], 0)
    assert SighashCache(short, _blank_outputs(tx)).taproot(1, 3) is None


@given(transactions, scripts, st.integers(-(1 << 31), (1 << 31) - 1), st.data())
def test_a_shared_cache_gives_what_a_fresh_one_gives(tx, script, hash_type, data):
    shared = SighashCache(tx, _blank_outputs(tx))
    for index in range(len(tx.inputs)):
        fresh = SighashCache(tx, _blank_outputs(tx))
        assert shared.segwit_v0(index, script, 5, hash_type) == fresh.segwit_v0(index, script, 5, hash_type)
        assert shared.legacy(index, script, hash_type) == fresh.legacy(index, script, hash_type)
        assert shared.taproot(index, 0) == fresh.taproot(index, 0)


@given(transactions, st.integers(0, 2**63 - 1), st.data())
def test_a_segwit_v0_digest_covers_the_same_parts_for_a_short_script_and_a_long_one(tx, amount, data):
    cache = SighashCache(tx, _blank_outputs(tx))
    for index in range(len(tx.inputs)):
        for size in (0, 1, 25, 251, 252, 253, 254):
            code = data.draw(st.binary(min_size=size, max_size=size))
            parts = b"".join(cache._segwit_v0_parts(index, code, amount, 1))
            assert cache.segwit_v0(index, code, amount, 1) == sha256d(parts + b"\x01\x00\x00\x00")


@pytest.mark.parametrize(
    ("script", "pattern", "result", "count"),
    [
        # From Core's script_tests.cpp, script_FindAndDelete.
        ("5152", "", "5152", 0),
        ("515253", "52", "5153", 1),
        ("5351535353545353", "53", "5154", 6),
        ("0302ff03", "0302ff03", "", 1),
        ("0302ff030302ff03", "0302ff03", "", 2),
        ("0302ff030302ff03", "02", "0302ff030302ff03", 0),
        ("0302ff030302ff03", "ff", "0302ff030302ff03", 0),
        ("0302ff030302ff03", "03", "02ff0302ff03", 2),
        ("02feed5169", "feed51", "02feed5169", 0),
        ("02feed5169", "02feed51", "69", 1),
        ("516902feed5169", "feed51", "516902feed5169", 0),
        ("516902feed5169", "02feed51", "516969", 1),
        ("00005151", "0051", "0051", 1),
        ("0003feed", "03feed", "00", 1),
        ("0003feed", "00", "03feed", 1),
    ],
)
def test_find_and_delete_works_at_the_boundaries_of_operations(script, pattern, result, count):
    found = find_and_delete(bytes.fromhex(script), bytes.fromhex(pattern))
    assert found == (bytes.fromhex(result), count)


def _many_inputs(count):
    inputs = tuple(TxIn(OutPoint(number.to_bytes(32, "big"), 0), b"") for number in range(count))
    return Transaction(2, inputs, (TxOut(1, b"\x51"),))


def test_legacy_digests_of_many_inputs_write_each_input_out_once():
    cache = SighashCache(_many_inputs(50), ())
    with mock.patch.object(OutPoint, "serialize", autospec=True, side_effect=OutPoint.serialize) as written:
        assert len({cache.legacy(index, b"\xac", 1) for index in range(50)}) == 50
    assert written.call_count <= 2 * 50


@pytest.mark.parametrize("kind", ["legacy", "segwit v0"])
def test_signatures_of_one_input_hash_the_transaction_once_for_all_types_that_mean_the_same(kind):
    cache = SighashCache(_many_inputs(3), ())
    parts = "_legacy_parts" if kind == "legacy" else "_segwit_v0_parts"
    long = bytes(252)  # a short script has no midstate in segwit v0

    def digest(index, code, hash_type):
        if kind == "legacy":
            return cache.legacy(index, long + code, hash_type)
        return cache.segwit_v0(index, long + code, 1, hash_type)

    with mock.patch.object(SighashCache, parts, autospec=True, side_effect=getattr(SighashCache, parts)) as hashed:
        digests = [digest(0, b"\xac", hash_type) for hash_type in (1, 1, 0, 4, 0x7F)]
        assert len(set(digests)) == 4, "the hash type itself is hashed too"
        assert hashed.call_count == 1
        assert digest(0, b"\xad", 1) != digests[0]
        assert digest(0, b"\xac", 2) != digests[0]
        assert digest(1, b"\xac", 1) != digests[0]
        assert digest(0, b"\xac", 1) == digests[0]
        assert hashed.call_count == 5
