import hashlib

import pytest
from btclib_secp256k1 import dsa
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.crypto.address import MAINNET_PREFIX, REGTEST_PREFIX
from shared.crypto.keys import ORDER, PrivateKey, PublicKey
from shared.crypto.signatures import is_low_s, is_strict_der, verify_ecdsa, verify_schnorr
from shared.errors import DecodeError

GENERATOR = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
secrets = st.integers(1, ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
digests = st.binary(min_size=32, max_size=32)


def _key(number):
    return PrivateKey.from_bytes(number.to_bytes(32, "big"))


def test_the_public_key_of_one_is_the_generator():
    assert _key(1).public_key.compressed.hex() == GENERATOR


@pytest.mark.parametrize("number", [0, ORDER, ORDER + 1, (1 << 256) - 1])
def test_a_private_key_outside_the_order_is_refused(number):
    with pytest.raises(DecodeError, match="order"):
        _key(number)


def test_the_largest_private_key_is_accepted():
    negated = bytes.fromhex("03" + GENERATOR[2:])
    assert _key(ORDER - 1).public_key.compressed == negated


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_private_key_of_another_size_is_refused(size):
    with pytest.raises(DecodeError, match="32 bytes"):
        PrivateKey.from_bytes(b"\x01" * size)


def test_generated_keys_differ():
    assert PrivateKey.generate() != PrivateKey.generate()


@given(secrets)
def test_a_private_key_never_shows_its_secret(secret):
    key = PrivateKey.from_bytes(secret)
    for text in (repr(key), str(key), f"{key}"):
        assert secret.hex() not in text


def test_wif_is_that_of_the_well_known_example():
    # Bitcoin wiki, "Wallet import format".
    secret = bytes.fromhex("0c28fca386c7a227600b2fe50b7cae11ec86d3bf1fbe471be89827e19d72aa1d")
    wif = "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ"
    key = PrivateKey.from_wif(wif, MAINNET_PREFIX)
    assert key.secret == secret
    assert not key.is_compressed
    assert key.to_wif(MAINNET_PREFIX) == wif


@given(secrets, st.booleans())
def test_wif_round_trips(secret, is_compressed):
    key = PrivateKey.from_bytes(secret, is_compressed=is_compressed)
    again = PrivateKey.from_wif(key.to_wif(REGTEST_PREFIX), REGTEST_PREFIX)
    assert again == key
    assert again.is_compressed is is_compressed


def test_a_wif_of_another_network_is_refused():
    with pytest.raises(DecodeError, match="another network"):
        PrivateKey.from_wif(_key(7).to_wif(MAINNET_PREFIX), REGTEST_PREFIX)


def test_a_published_signature_verifies():
    # Widely used vector for the private key 1 with RFC6979 and SHA-256; its R is high.
    message = b"All those moments will be lost in time, like tears in rain. Time to die..."
    signature = bytes.fromhex(
        "30450221008600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b"
        "0220547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21"
    )
    assert verify_ecdsa(bytes.fromhex(GENERATOR), signature, hashlib.sha256(message).digest())


def test_a_signature_of_core_is_reproduced():
    # Core's key_tests.cpp: deterministic signing of "Very deterministic message" by the key of strSecret1C.
    key = PrivateKey.from_wif("Kwr371tjA9u2rFSMZjTNun2PXXP3WPZu2afRHTcta6KxEUdm1vEw", MAINNET_PREFIX)
    message = hashlib.sha256(hashlib.sha256(b"Very deterministic message").digest()).digest()
    expected = (
        "304402205dbbddda71772d95ce91cd2d14b592cfbc1dd0aabd6a394b6c2d377bbe59d31d"
        "022014ddda21494a4e221f0824f0b8b924c43fa43c0ad57dccdaa11f81a6bd4582f6"
    )
    assert key.sign_ecdsa(message).hex() == expected


@given(secrets, digests)
def test_ecdsa_signatures_verify_are_short_and_deterministic(secret, digest):
    key = PrivateKey.from_bytes(secret)
    signature = key.sign_ecdsa(digest)
    assert signature == key.sign_ecdsa(digest)
    assert len(signature) <= 70
    assert is_strict_der(signature + b"\x01")
    assert is_low_s(signature + b"\x01")
    assert verify_ecdsa(key.public_key.compressed, signature, digest)
    assert verify_ecdsa(key.public_key.uncompressed, signature, digest)
    assert not verify_ecdsa(key.public_key.compressed, signature, bytes(32) if any(digest) else b"\x01" * 32)


def test_further_tries_for_a_low_r_count_up_in_the_nonce_as_core_does():
    # Core's CKey::Sign: the counter is the extra entropy of RFC6979, 32 bytes, little-endian.
    tries = set()
    for number in range(1, 40):
        key, digest = _key(number), hashlib.sha256(bytes([number])).digest()
        counter = 0
        signature = dsa.sign(digest, key.secret, verify=False)
        while signature[3] == 33:
            counter += 1
            signature = dsa.sign(digest, key.secret, counter.to_bytes(32, "little"), verify=False)
        assert key.sign_ecdsa(digest) == signature
        tries.add(counter)
    assert tries >= {0, 1, 2, 3}


@given(secrets, digests)
def test_the_key_of_a_recoverable_signature_is_recovered(secret, digest):
    key = PrivateKey.from_bytes(secret)
    signature = key.sign_recoverable(digest)
    assert signature == key.sign_recoverable(digest)
    assert PublicKey.recover(signature, digest) == key.public_key
    other = bytes([signature[64] ^ 1])
    assert PublicKey.recover(signature[:64] + other, digest) != key.public_key


@pytest.mark.parametrize(
    ("signature", "problem"),
    [
        (b"\x01" * 64, "64 bytes and a number"),
        (b"\x01" * 64 + b"\x04", "0 to 3"),
        (bytes(64) + b"\x00", "no key made"),
        (b"\xff" * 64 + b"\x00", "no key made"),
    ],
)
def test_no_key_is_recovered_from_what_is_no_signature(signature, problem):
    with pytest.raises(DecodeError, match=problem):
        PublicKey.recover(signature, bytes(32))


@given(secrets, digests)
def test_schnorr_signatures_verify_for_the_x_only_key(secret, digest):
    key = PrivateKey.from_bytes(secret)
    signature = key.sign_schnorr(digest)
    assert verify_schnorr(key.public_key.x_only, signature, digest)
    assert not verify_schnorr(key.public_key.x_only, signature[:-1] + bytes([signature[-1] ^ 1]), digest)


def test_only_digests_of_32_bytes_are_signed():
    with pytest.raises(ValueError, match="32 bytes"):
        _key(1).sign_ecdsa(b"short")
    with pytest.raises(ValueError, match="32 bytes"):
        _key(1).sign_recoverable(b"short")
    with pytest.raises(ValueError, match="32 bytes"):
        _key(1).sign_schnorr(b"short")
    with pytest.raises(ValueError, match="32 bytes"):
        _key(1).sign_schnorr(bytes(32), aux=b"short")


@given(secrets, st.binary(max_size=32))
def test_the_tweaked_private_key_belongs_to_the_taproot_output_key(secret, merkle_root):
    key = PrivateKey.from_bytes(secret)
    assert key.tweaked(merkle_root).public_key.x_only == key.public_key.taproot_output_key(merkle_root)


def test_the_taproot_key_is_that_of_bip86():
    internal = PublicKey.parse(bytes.fromhex("02cc8a4bc64d897bddc5fbc2f670f7a8ba0b386779106cf1223c6fc5d7cd6fc115"))
    expected = "a60869f0dbcf1dc659c9cecbaf8050135ea9e8cdc487053f1dc6880949dc684c"
    assert internal.taproot_output_key().hex() == expected


@given(secrets)
def test_public_keys_parse_from_both_forms(secret):
    key = PrivateKey.from_bytes(secret).public_key
    assert PublicKey.parse(key.compressed) == key
    assert PublicKey.parse(key.uncompressed) == key
    assert hash(PublicKey.parse(key.uncompressed)) == hash(key)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "33 or 65"),
        (bytes.fromhex(GENERATOR[2:]), "33 or 65"),
        (bytes.fromhex("05" + GENERATOR[2:]), "02, 03 or 04"),
        (b"\x02" + b"\xff" * 32, "not a point"),
        (b"\x04" + b"\x01" * 64, "not a point"),
    ],
)
def test_what_is_no_public_key_is_refused(data, problem):
    with pytest.raises(DecodeError, match=problem):
        PublicKey.parse(data)


def test_a_tweak_to_zero_or_beyond_the_order_is_refused():
    with pytest.raises(ValueError, match="no valid key"):
        _key(1).tweak_add((ORDER - 1).to_bytes(32, "big"))
    with pytest.raises(ValueError, match="no valid key"):
        _key(1).tweak_add(ORDER.to_bytes(32, "big"))
    with pytest.raises(ValueError, match="invalid tweak or resulting public key"):
        _key(1).public_key.tweak_add((ORDER - 1).to_bytes(32, "big"))
    with pytest.raises(ValueError, match="tweak"):
        _key(1).public_key.tweak_add(ORDER.to_bytes(32, "big"))


@given(secrets, secrets)
def test_a_tweaked_public_key_is_that_of_the_tweaked_private_key(secret, scalar):
    key = PrivateKey.from_bytes(secret)
    assume(int.from_bytes(secret, "big") + int.from_bytes(scalar, "big") != ORDER)
    assert key.public_key.tweak_add(scalar) == key.tweak_add(scalar).public_key
