"""Spends of P2PKH, P2WPKH and P2TR by key: acceptance, and the reason of each refusal."""

import pytest

from shared.crypto.hashes import hash160
from shared.crypto.keys import ORDER, PrivateKey
from shared.errors import ScriptError
from shared.primitives.transaction import TxOut
from shared.reasons import Reason
from shared.script.flags import MANDATORY, STANDARD, Flags
from shared.script.interpreter import verify_input
from shared.script.script import push_data
from shared.script.sighash import SighashCache
from shared.script.standard import p2pkh_script
from tests.unit.script.spends import KEY, KINDS, script_of, signature_of, signed, unsigned, with_input

PUBLIC = KEY.public_key.compressed
OTHER = PrivateKey.from_bytes(b"\x43" * 32).public_key.compressed


def _refused(tx, index, spent, reason, flags=STANDARD):
    with pytest.raises(ScriptError) as caught:
        verify_input(tx, index, spent, flags)
    assert caught.value.reason is reason


@pytest.mark.parametrize("hash_type", [1, 2, 3, 0x81, 0x82, 0x83])
@pytest.mark.parametrize("kind", KINDS)
def test_a_signed_spend_is_accepted_with_every_hash_type(kind, hash_type):
    tx, spent = unsigned([kind, kind])
    tx = signed(signed(tx, 0, spent, kind, hash_type), 1, spent, kind, hash_type)
    cache = SighashCache(tx, spent)
    for index in (0, 1):
        verify_input(tx, index, spent, STANDARD)
        verify_input(tx, index, spent, STANDARD, cache=cache)


def test_inputs_of_all_kinds_live_in_one_transaction():
    tx, spent = unsigned(KINDS)
    for index, kind in enumerate(KINDS):
        tx = signed(tx, index, spent, kind)
    for index in range(len(KINDS)):
        verify_input(tx, index, spent, STANDARD)


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_of_another_amount_or_output_is_refused(kind):
    tx, spent = unsigned([kind])
    tx = signed(tx, 0, spent, kind)
    changed = type(tx)(tx.version, tx.inputs, (TxOut(1, b""), tx.outputs[1]), 0)
    reason = Reason.SCHNORR_SIG if kind == "p2tr" else Reason.NULLFAIL
    _refused(changed, 0, spent, reason)
    if kind != "p2pkh":  # only segwit signs the amount
        _refused(tx, 0, [TxOut(spent[0].value + 1, spent[0].script_pubkey)], reason)


def test_a_p2pkh_spend_by_another_key_is_refused():
    tx, spent = unsigned(["p2pkh"])
    signature = signature_of(tx, 0, spent, "p2pkh", 1)
    _refused(with_input(tx, 0, script_sig=push_data(signature) + push_data(OTHER)), 0, spent, Reason.EQUALVERIFY)
    _refused(with_input(tx, 0, witness=(signature, OTHER)), 0, [TxOut(1, script_of("p2wpkh"))], Reason.EQUALVERIFY)


@pytest.mark.parametrize(
    ("script_sig", "reason"),
    [
        (b"", Reason.INVALID_STACK_OPERATION),
        (push_data(PUBLIC), Reason.INVALID_STACK_OPERATION),
        (push_data(b"") + push_data(PUBLIC), Reason.EVAL_FALSE),
        (push_data(b"\x01") + push_data(PUBLIC), Reason.MINIMALDATA),
        (b"\x51" + push_data(PUBLIC), Reason.SIG_DER),
        (b"\x4c\x02ab" + push_data(PUBLIC), Reason.MINIMALDATA),
        (b"\x05abc", Reason.BAD_OPCODE),
        (b"\x50" + push_data(PUBLIC), Reason.BAD_OPCODE),
        (push_data(bytes(521)) + push_data(PUBLIC), Reason.PUSH_SIZE),
        (bytes(10_001), Reason.SCRIPT_SIZE),
        (bytes(1001), Reason.STACK_SIZE),
    ],
)
def test_a_broken_script_sig_is_refused_with_cores_reason(script_sig, reason):
    tx, spent = unsigned(["p2pkh"])
    _refused(with_input(tx, 0, script_sig=script_sig), 0, spent, reason)


def test_something_left_on_the_stack_is_a_matter_of_policy_only():
    tx, spent = unsigned(["p2pkh"])
    tx = signed(tx, 0, spent, "p2pkh")
    tx = with_input(tx, 0, script_sig=b"\x51" + tx.inputs[0].script_sig)
    _refused(tx, 0, spent, Reason.CLEANSTACK)
    verify_input(tx, 0, spent, MANDATORY)


def test_the_stack_never_has_more_than_1000_items():
    tx, spent = unsigned(["p2pkh"])
    script_sig = signed(tx, 0, spent, "p2pkh").inputs[0].script_sig
    verify_input(with_input(tx, 0, script_sig=b"\x51" * 996 + script_sig), 0, spent, MANDATORY)
    _refused(with_input(tx, 0, script_sig=b"\x51" * 997 + script_sig), 0, spent, Reason.STACK_SIZE, MANDATORY)


def test_a_witness_on_a_script_without_one_is_refused():
    tx, spent = unsigned(["p2pkh"])
    tx = signed(tx, 0, spent, "p2pkh")
    tx = with_input(tx, 0, script_sig=tx.inputs[0].script_sig, witness=(b"",))
    _refused(tx, 0, spent, Reason.WITNESS_UNEXPECTED, MANDATORY)
    verify_input(tx, 0, spent, Flags.P2SH)


@pytest.mark.parametrize("kind", ["p2wpkh", "p2tr"])
def test_a_script_sig_on_a_witness_program_is_refused(kind):
    tx, spent = unsigned([kind])
    tx = signed(tx, 0, spent, kind)
    tx = with_input(tx, 0, script_sig=b"\x51", witness=tx.inputs[0].witness)
    _refused(tx, 0, spent, Reason.WITNESS_MALLEATED, MANDATORY)


def test_a_p2wpkh_witness_has_two_items():
    tx, spent = unsigned(["p2wpkh"])
    signature = signature_of(tx, 0, spent, "p2wpkh", 1)
    for witness in ((), (signature,), (b"", signature, PUBLIC)):
        _refused(with_input(tx, 0, witness=witness), 0, spent, Reason.WITNESS_PROGRAM_MISMATCH, MANDATORY)


def _with_high_s(signature):
    r_size = signature[3]
    s = ORDER - int.from_bytes(signature[6 + r_size : -1], "big")
    s_bytes = s.to_bytes(33, "big")
    body = signature[2 : 4 + r_size] + b"\x02" + bytes([len(s_bytes)]) + s_bytes
    return b"\x30" + bytes([len(body)]) + body + signature[-1:]


@pytest.mark.parametrize("kind", ["p2pkh", "p2wpkh"])
def test_the_encoding_of_ecdsa_signatures_is_checked_as_the_flags_ask(kind):
    tx, spent = unsigned([kind])
    signature = signature_of(tx, 0, spent, kind, 1)

    def spend(changed, public_key=PUBLIC):
        if kind == "p2pkh":
            return with_input(tx, 0, script_sig=push_data(changed) + push_data(public_key))
        return with_input(tx, 0, witness=(changed, public_key))

    high = spend(_with_high_s(signature))
    _refused(high, 0, spent, Reason.SIG_HIGH_S)
    verify_input(high, 0, spent, MANDATORY)

    loose = spend(signature[:-1] + b"\x00" + signature[-1:])
    _refused(loose, 0, spent, Reason.SIG_DER, MANDATORY)
    verify_input(loose, 0, spent, MANDATORY & ~Flags.DERSIG)

    _refused(spend(signature[:-1] + b"\x04"), 0, spent, Reason.SIG_HASHTYPE)
    _refused(spend(signature[:-1] + b"\x04"), 0, spent, Reason.EVAL_FALSE, MANDATORY)
    _refused(spend(b""), 0, spent, Reason.EVAL_FALSE)
    _refused(spend(signature[:-1] + b"\x02"), 0, spent, Reason.NULLFAIL)


def test_an_uncompressed_key_is_fine_in_p2pkh_and_not_standard_in_p2wpkh():
    key = KEY.public_key.uncompressed
    script = p2pkh_script(hash160(key))
    tx, _ = unsigned(["p2pkh"])
    spent = [TxOut(1, script)]
    signature = KEY.sign_ecdsa(SighashCache(tx, spent).legacy(0, script, 1)) + b"\x01"
    verify_input(with_input(tx, 0, script_sig=push_data(signature) + push_data(key)), 0, spent, STANDARD)

    spent = [TxOut(1, b"\x00\x14" + hash160(key))]
    signature = KEY.sign_ecdsa(SighashCache(tx, spent).segwit_v0(0, script, 1, 1)) + b"\x01"
    tx = with_input(tx, 0, witness=(signature, key))
    _refused(tx, 0, spent, Reason.WITNESS_PUBKEYTYPE)
    verify_input(tx, 0, spent, MANDATORY)


def test_a_hybrid_key_is_valid_but_not_standard():
    uncompressed = KEY.public_key.uncompressed
    hybrid = bytes([6 + (uncompressed[-1] & 1)]) + uncompressed[1:]
    script = p2pkh_script(hash160(hybrid))
    tx, _ = unsigned(["p2pkh"])
    spent = [TxOut(1, script)]
    signature = KEY.sign_ecdsa(SighashCache(tx, spent).legacy(0, script, 1)) + b"\x01"
    tx = with_input(tx, 0, script_sig=push_data(signature) + push_data(hybrid))
    _refused(tx, 0, spent, Reason.PUBKEYTYPE)
    verify_input(tx, 0, spent, MANDATORY)


def test_taproot_signatures_have_64_or_65_bytes_and_a_hash_type_that_is_not_zero():
    tx, spent = unsigned(["p2tr"])
    default = signature_of(tx, 0, spent, "p2tr", 0)
    verify_input(with_input(tx, 0, witness=(default,)), 0, spent, STANDARD)
    for witness, reason in (
        ((), Reason.WITNESS_PROGRAM_WITNESS_EMPTY),
        ((b"",), Reason.SCHNORR_SIG_SIZE),
        ((default[:-1],), Reason.SCHNORR_SIG_SIZE),
        ((default + b"\x01\x01",), Reason.SCHNORR_SIG_SIZE),
        ((default + b"\x00",), Reason.SCHNORR_SIG_HASHTYPE),
        ((default + b"\x04",), Reason.SCHNORR_SIG_HASHTYPE),
        ((default + b"\x01",), Reason.SCHNORR_SIG),
        ((bytes(64),), Reason.SCHNORR_SIG),
    ):
        _refused(with_input(tx, 0, witness=witness), 0, spent, reason, MANDATORY)


def test_a_taproot_single_needs_its_output():
    tx, spent = unsigned(["p2tr", "p2tr"], outputs=1)
    signature = KEY.tweaked().sign_schnorr(bytes(32), aux=bytes(32)) + b"\x03"
    _refused(with_input(tx, 1, witness=(signature,)), 1, spent, Reason.SCHNORR_SIG_HASHTYPE)


def test_the_annex_is_signed():
    tx, spent = unsigned(["p2tr"])
    annex = b"\x50anything"
    tx = signed(tx, 0, spent, "p2tr", annex=annex)
    verify_input(tx, 0, spent, STANDARD)
    signature = tx.inputs[0].witness[0]
    _refused(with_input(tx, 0, witness=(signature,)), 0, spent, Reason.SCHNORR_SIG)
    _refused(with_input(tx, 0, witness=(signature, annex + b"!")), 0, spent, Reason.SCHNORR_SIG)


def test_an_output_key_that_is_no_point_can_never_be_spent():
    tx, _ = unsigned(["p2tr"])
    spent = [TxOut(1, b"\x51\x20" + b"\xff" * 32)]
    signature = KEY.sign_schnorr(SighashCache(tx, spent).taproot(0, 0))
    _refused(with_input(tx, 0, witness=(signature,)), 0, spent, Reason.SCHNORR_SIG)
