import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.crypto.keys import ORDER, PrivateKey
from shared.crypto.pem import (
    parse_public_key,
    private_key_from_pem,
    private_key_to_pem,
    public_key_from_pem,
    public_key_to_pem,
)
from shared.errors import DecodeError

KEY = PrivateKey.from_bytes(b"\x07" * 32)


def _public_pem(key):
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(encoding, form).decode()


def _private_pem(key, encryption):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


@settings(max_examples=5)
@given(st.integers(1, ORDER - 1), st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_private_keys_round_trip_through_encrypted_pem(number, password):
    key = PrivateKey.from_bytes(number.to_bytes(32, "big"))
    pem = private_key_to_pem(key, password)
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert private_key_from_pem(pem, password) == key


def test_a_wrong_password_is_told():
    with pytest.raises(DecodeError, match="password is wrong"):
        private_key_from_pem(private_key_to_pem(KEY, "right"), "wrong")


def test_an_empty_password_encrypts_nothing_and_is_refused():
    with pytest.raises(ValueError, match=r"[Pp]assword"):
        private_key_to_pem(KEY, "")


def test_a_pem_without_encryption_is_told():
    key = ec.generate_private_key(ec.SECP256K1())
    with pytest.raises(DecodeError, match="not encrypted"):
        private_key_from_pem(_private_pem(key, serialization.NoEncryption()), "password")


def test_private_keys_of_other_kinds_are_told():
    encryption = serialization.BestAvailableEncryption(b"password")
    for key, problem in (
        (ec.generate_private_key(ec.SECP256R1()), "secp256r1"),
        (rsa.generate_private_key(65537, 2048), "RSA"),
    ):
        with pytest.raises(DecodeError, match=problem):
            private_key_from_pem(_private_pem(key, encryption), "password")


@given(st.integers(1, ORDER - 1))
def test_public_keys_round_trip_through_pem_and_hex(number):
    key = PrivateKey.from_bytes(number.to_bytes(32, "big")).public_key
    assert public_key_from_pem(public_key_to_pem(key)) == key
    assert parse_public_key(public_key_to_pem(key)) == key
    assert parse_public_key(f"  {key.compressed.hex()}\n") == key
    assert parse_public_key(key.uncompressed.hex().upper()) == key


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: rsa.generate_private_key(65537, 2048), "RSA"),
        (lambda: ec.generate_private_key(ec.SECP256R1()), "secp256r1"),
        (ed25519.Ed25519PrivateKey.generate, "Ed25519"),
    ],
)
def test_public_keys_of_other_kinds_are_told(make, problem):
    with pytest.raises(DecodeError, match=problem):
        parse_public_key(_public_pem(make()))


def test_a_private_key_is_refused_with_a_warning():
    pem = private_key_to_pem(KEY, "password").decode()
    with pytest.raises(DecodeError, match="never show it"):
        parse_public_key(pem)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "02" * 32,
        "zz" * 33,
        "05" + "01" * 32,
        "02" + "ff" * 32,
        "-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----\n",
        "-----BEGIN PUBLIC KEY-----" + "A" * 20_000,
    ],
)
def test_what_is_no_public_key_is_refused(text):
    with pytest.raises(DecodeError):
        parse_public_key(text)
