"""Which encodings of keys and signatures each flag allows."""

import pytest

from shared.crypto.keys import PrivateKey
from shared.errors import ScriptError
from shared.reasons import Reason
from shared.script.encoding import check_public_key_encoding, check_signature_encoding
from shared.script.flags import Flags

DER = PrivateKey.from_bytes(b"\x07" * 32).sign_ecdsa(bytes(32))


def reason_of(check):
    try:
        check()
    except ScriptError as error:
        return error.reason
    return None


@pytest.mark.parametrize(
    ("public_key", "flags", "expected"),
    [
        (b"\x02" + bytes(32), Flags.STRICTENC, None),
        (b"\x03" + bytes(32), Flags.STRICTENC, None),
        (b"\x04" + bytes(64), Flags.STRICTENC, None),
        (b"\x04" + bytes(32), Flags.STRICTENC, Reason.PUBKEYTYPE),
        (b"\x02" + bytes(64), Flags.STRICTENC, Reason.PUBKEYTYPE),
        (b"\x06" + bytes(64), Flags.STRICTENC, Reason.PUBKEYTYPE),
        (b"\x05" + bytes(32), Flags.STRICTENC, Reason.PUBKEYTYPE),
        (b"\x02" + bytes(31), Flags.STRICTENC, Reason.PUBKEYTYPE),
        (b"\x02" + bytes(33), Flags.STRICTENC, Reason.PUBKEYTYPE),
        (b"", Flags.STRICTENC, Reason.PUBKEYTYPE),
        (b"\x04" + bytes(64), Flags.WITNESS_PUBKEYTYPE, Reason.WITNESS_PUBKEYTYPE),
        (b"\x02" + bytes(32), Flags.WITNESS_PUBKEYTYPE, None),
        (b"\x04" + bytes(32), Flags.NONE, None),
    ],
)
def test_public_keys_are_encoded_as_the_flags_ask(public_key, flags, expected):
    assert reason_of(lambda: check_public_key_encoding(public_key, int(flags), is_witness_v0=True)) is expected
    if Flags.STRICTENC not in flags:
        check_public_key_encoding(public_key, int(flags), is_witness_v0=False)


@pytest.mark.parametrize(
    ("hash_type", "known"),
    [(0, False), (1, True), (2, True), (3, True), (4, False), (0x80, False), (0x81, True), (0x83, True), (0x84, False),
     (0x41, False)],
)  # fmt: skip
def test_strict_encoding_knows_six_hash_types(hash_type, known):
    signature = DER + bytes([hash_type])
    reason = reason_of(lambda: check_signature_encoding(signature, int(Flags.STRICTENC)))
    assert reason is (None if known else Reason.SIG_HASHTYPE)
    check_signature_encoding(signature, int(Flags.DERSIG | Flags.LOW_S))


@pytest.mark.parametrize("flag", [Flags.DERSIG, Flags.LOW_S, Flags.STRICTENC])
def test_each_of_three_flags_asks_for_strict_der(flag):
    broken = DER[:-1] + b"\x01"
    assert reason_of(lambda: check_signature_encoding(broken, int(flag))) is Reason.SIG_DER
    check_signature_encoding(broken, int(Flags.NULLFAIL))
    check_signature_encoding(b"", int(flag))


def test_only_low_s_asks_for_a_low_s():
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    size = 4 + DER[3]
    low = int.from_bytes(DER[size + 2 :], "big")
    high = b"\x00" + (order - low).to_bytes(32, "big")
    body = DER[2:size] + b"\x02" + bytes([len(high)]) + high
    signature = b"\x30" + bytes([len(body)]) + body + b"\x01"
    assert reason_of(lambda: check_signature_encoding(signature, int(Flags.LOW_S))) is Reason.SIG_HIGH_S
    check_signature_encoding(signature, int(Flags.DERSIG | Flags.STRICTENC))
