import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.crypto.hashes import tagged_hash
from shared.crypto.keys import ORDER, PrivateKey
from shared.crypto.signatures import (
    check_taproot_tweak,
    is_low_s,
    is_strict_der,
    verify_ecdsa,
    verify_schnorr,
    verify_strict_ecdsa,
)

KEY = PrivateKey.from_bytes(b"\x11" * 32)
DIGEST = b"\x22" * 32
SIGNATURE = KEY.sign_ecdsa(DIGEST)
PUBLIC = KEY.public_key.compressed


def _numbers(signature):
    r_size = signature[3]
    return signature[4 : 4 + r_size], signature[6 + r_size :]


def _der(r, s):
    body = b"\x02" + bytes([len(r)]) + r + b"\x02" + bytes([len(s)]) + s
    return b"\x30" + bytes([len(body)]) + body


def _high_s():
    r, s = _numbers(SIGNATURE)
    high = ORDER - int.from_bytes(s, "big")
    return _der(r, high.to_bytes(33, "big").lstrip(b"\x00").rjust(33, b"\x00"))


def test_a_high_s_verifies_but_is_not_low():
    signature = _high_s()
    assert verify_ecdsa(PUBLIC, signature, DIGEST)
    assert is_strict_der(signature + b"\x01")
    assert not is_low_s(signature + b"\x01")
    assert is_low_s(SIGNATURE + b"\x01")


def _loose_encodings():
    r, s = _numbers(SIGNATURE)
    r_size, s_size = len(r).to_bytes(3, "big"), len(s).to_bytes(3, "big")
    return {
        "lengths of three bytes": b"\x30\x46\x02\x83" + r_size + r + b"\x02\x83" + s_size + s,
        "lengths of many zeros": b"\x30\x46\x02\x87" + bytes(4) + r_size + r + b"\x02\x84\x00" + s_size + s,
        "long length of the whole, of two bytes": b"\x30\x82\x00" + SIGNATURE[1:],
        "padded R": _der(b"\x00" * 3 + r, s),
        "padded S": _der(r, b"\x00" * 2 + s),
        "garbage at the end": SIGNATURE + b"\x00garbage",
        "long length of the whole": b"\x30\x81" + SIGNATURE[1:],
        "long length of R": b"\x30\x46\x02\x81" + SIGNATURE[3:],
        "wrong length of the whole": b"\x30\x05" + SIGNATURE[2:],
    }


@pytest.mark.parametrize("kind", list(_loose_encodings()))
def test_loose_encodings_verify_but_are_not_strict(kind):
    signature = _loose_encodings()[kind]
    assert verify_ecdsa(PUBLIC, signature, DIGEST)
    assert not is_strict_der(signature + b"\x01")
    assert not is_low_s(signature + b"\x01")


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"\x30",
        b"\x31" + SIGNATURE[1:],
        SIGNATURE[:-1],
        SIGNATURE[:4],
        b"\x30\xff" + SIGNATURE[2:],
        b"\x30\x06\x02\x84\x01\x00\x00\x00" + SIGNATURE[4:],
        _der(b"\x01" * 40, b"\x01"),
        _der(b"", b""),
        _der(ORDER.to_bytes(33, "big"), b"\x01"),
    ],
)
def test_what_is_no_signature_is_not_valid_and_raises_nothing(signature):
    assert verify_ecdsa(PUBLIC, signature, DIGEST) is False


def _nearly_signatures():
    """Yield signatures with one fault each, which would be valid if the fault were overlooked."""
    r, s = _numbers(SIGNATURE)
    assert len(r) == 32
    return {
        "S claims a byte that is not there": _der(r, s)[: -len(s) - 1] + bytes([len(s) + 1]) + s,
        "R claims all that follows": b"\x30\x46\x02" + bytes([len(r) + len(s) + 3]) + r + b"\x02" + bytes([len(s)]) + s,
        "the length of S goes beyond the end": b"\x30\x46\x02\x20" + r + b"\x02\xff" + s,
        "a length of four bytes": b"\x30\x46\x02\x20" + r + b"\x02\x84\x01\x00\x00" + bytes([len(s)]) + s,
        "R of 33 bytes": _der(r + s[:1], s[1:] + b"\x01"),
        "S of 33 bytes": _der(r, s + b"\x01"),
        "R is no integer": SIGNATURE[:2] + b"\x03" + SIGNATURE[3:],
        "S is no integer": SIGNATURE[: 4 + len(r)] + b"\x03" + SIGNATURE[5 + len(r) :],
        "no sequence": b"\x31" + SIGNATURE[1:],
    }


@pytest.mark.parametrize("kind", list(_nearly_signatures()))
def test_what_is_nearly_a_signature_is_not_valid(kind):
    assert not verify_ecdsa(PUBLIC, _nearly_signatures()[kind], DIGEST)


@pytest.mark.parametrize(
    "signature", [_high_s(), *_loose_encodings().values(), *_nearly_signatures().values(), b"", SIGNATURE + b"\x00"]
)
def test_a_strict_check_takes_only_strict_encodings_with_a_low_s(signature):
    assert verify_strict_ecdsa(PUBLIC, SIGNATURE, DIGEST)
    assert not verify_strict_ecdsa(PUBLIC, signature, DIGEST)


def test_a_strict_check_takes_only_compressed_keys():
    uncompressed = KEY.public_key.uncompressed
    hybrid = bytes([6 + (uncompressed[-1] & 1)]) + uncompressed[1:]
    for public_key in (uncompressed, hybrid, b"", PUBLIC[:-1], b"\x04" + PUBLIC[1:]):
        assert not verify_strict_ecdsa(public_key, SIGNATURE, DIGEST)


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_random_bytes_never_verify_and_never_raise(public_key, signature):
    assert not verify_ecdsa(public_key, signature, DIGEST)
    assert not verify_ecdsa(PUBLIC, signature, DIGEST)
    assert not verify_strict_ecdsa(PUBLIC, signature, DIGEST)
    assert not verify_schnorr(public_key, signature, DIGEST)
    assert not (is_strict_der(signature) and len(signature) < 9)


def test_hybrid_keys_verify_if_their_parity_is_right():
    uncompressed = KEY.public_key.uncompressed
    parity = uncompressed[-1] & 1
    assert verify_ecdsa(bytes([6 + parity]) + uncompressed[1:], SIGNATURE, DIGEST)
    assert not verify_ecdsa(bytes([7 - parity]) + uncompressed[1:], SIGNATURE, DIGEST)


def test_a_key_whose_length_does_not_fit_its_first_byte_never_verifies():
    assert not verify_ecdsa(PUBLIC + bytes(32), SIGNATURE, DIGEST)
    assert not verify_ecdsa(b"\x04" + PUBLIC[1:], SIGNATURE, DIGEST)


@pytest.mark.parametrize("at", range(8))
def test_every_structural_byte_of_der_matters(at):
    r_size = SIGNATURE[3]
    position = [0, 1, 2, 3, 4 + r_size, 5 + r_size, 4, 6 + r_size][at]
    changed = bytearray(SIGNATURE + b"\x01")
    changed[position] ^= 0x80
    assert not is_strict_der(bytes(changed))


def test_a_taproot_tweak_is_checked_with_its_parity():
    internal = KEY.public_key.x_only
    tweak = tagged_hash("TapTweak", internal)
    tweaked = KEY.tweaked().public_key
    parity = tweaked.compressed[0] & 1
    assert check_taproot_tweak(tweaked.x_only, internal, tweak, parity)
    assert not check_taproot_tweak(tweaked.x_only, internal, tweak, 1 - parity)
    assert not check_taproot_tweak(internal, internal, tweak, parity)
    assert not check_taproot_tweak(tweaked.x_only, b"\xff" * 32, tweak, parity)
