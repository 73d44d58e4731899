import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.crypto import hashes
from shared.crypto.hashes import hash160, sha256, sha256d, tagged_hash
from shared.crypto.ripemd160 import ripemd160 as plain_ripemd160


def test_sha256_is_that_of_fips_180():
    assert sha256(b"abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_sha256d_hashes_twice():
    assert sha256d(b"hello").hex() == "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50"


@pytest.mark.parametrize(
    ("message", "digest"),
    [
        (b"", "9c1185a5c5e9fc54612808977ee8f548b2258d31"),
        (b"a", "0bdc9d2d256b3ee9daae347be6f4dc835a467ffe"),
        (b"abc", "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"),
        (b"message digest", "5d0689ef49d2fae572b881b123a85ffa21595f36"),
        (b"1234567890" * 8, "9b752e45573d4b39f4dbd3323cab82bf63326bfb"),
    ],
)
def test_ripemd160_gives_its_authors_digests(message, digest):
    assert plain_ripemd160(message).hex() == digest
    assert hashes.ripemd160(message).hex() == digest


@given(st.binary(max_size=300))
def test_plain_ripemd160_agrees_with_the_one_in_use(message):
    assert plain_ripemd160(message) == hashes.ripemd160(message)


def test_ripemd160_works_where_openssl_has_none(monkeypatch):
    def disabled(*_, **__):
        raise ValueError("unsupported hash type ripemd160")

    monkeypatch.setattr(hashlib, "new", disabled)
    assert hashes._best_ripemd160() is plain_ripemd160


def test_hash160_is_ripemd160_of_sha256():
    # The public key of BIP173's examples, the generator point.
    key = bytes.fromhex("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
    assert hash160(key).hex() == "751e76e8199196d454941c45d1b3a323f1433bd6"


@given(st.text(max_size=20), st.binary(max_size=100))
def test_a_tagged_hash_begins_with_the_tags_hash_twice(tag, data):
    prefix = hashlib.sha256(tag.encode()).digest() * 2
    assert tagged_hash(tag, data) == hashlib.sha256(prefix + data).digest()
