"""Payees as people paste them: addresses, public keys, payment links."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from services.wallet.errors import BadInput
from services.wallet.payments.payee import parse_payee
from shared.crypto.address import MAINNET_PREFIX, REGTEST_PREFIX, TESTNET_PREFIX, encode_address
from shared.crypto.pem import private_key_to_pem, public_key_to_pem
from shared.script.standard import p2pkh_script, p2sh_script, p2tr_script, p2wpkh_script, p2wsh_script
from tests.builders import key, p2wpkh

OWNER = key("owner")
SCRIPT = p2wpkh(OWNER)
ADDRESS = encode_address(SCRIPT, REGTEST_PREFIX) or ""


def pem_of(public_key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> str:
    return public_key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


RSA_PEM = pem_of(rsa.generate_private_key(65537, 2048).public_key())
P256_PEM = pem_of(ec.generate_private_key(ec.SECP256R1()).public_key())


@pytest.mark.parametrize(
    "script",
    [
        SCRIPT,
        p2pkh_script(bytes(20)),
        p2sh_script(bytes(20)),
        p2wsh_script(bytes(32)),
        p2tr_script(OWNER.public_key.taproot_output_key()),
    ],
)
def test_an_address_of_every_kind_gives_its_script(script: bytes) -> None:
    address = encode_address(script, REGTEST_PREFIX)
    payee = parse_payee(f"  {address}\n", REGTEST_PREFIX)
    assert (payee.script_pubkey, payee.address) == (script, address)


@pytest.mark.parametrize(
    "text",
    [
        OWNER.public_key.compressed.hex(),
        OWNER.public_key.compressed.hex().upper(),
        OWNER.public_key.uncompressed.hex(),
        public_key_to_pem(OWNER.public_key),
        "\n" + public_key_to_pem(OWNER.public_key).replace("\n", "\r\n"),
    ],
)
def test_a_public_key_stands_for_its_p2wpkh_address(text: str) -> None:
    payee = parse_payee(text, REGTEST_PREFIX)
    assert payee.script_pubkey == p2wpkh_script(OWNER.public_key.hash160)
    assert payee.address == ADDRESS
    assert payee.is_public_key


@pytest.mark.parametrize("uri", [f"bitcoin:{ADDRESS}", f"BITCOIN:{ADDRESS.upper()}", f"bitcoin:{ADDRESS}?label=x%20y"])
def test_a_payment_link_gives_its_address(uri: str) -> None:
    payee = parse_payee(uri, REGTEST_PREFIX)
    assert payee.script_pubkey == SCRIPT
    assert payee.amount is None


def test_a_payment_link_may_name_the_amount() -> None:
    assert parse_payee(f"bitcoin:{ADDRESS}?amount=20.3&label=Luke", REGTEST_PREFIX).amount == 2_030_000_000


def test_the_last_amount_of_a_payment_link_counts() -> None:
    assert parse_payee(f"bitcoin:{ADDRESS}?amount=1&amount=2", REGTEST_PREFIX).amount == 200_000_000


def test_a_payment_link_may_have_fifty_fields() -> None:
    fields = "&".join(["x=1"] * 49)
    assert parse_payee(f"bitcoin:{ADDRESS}?amount=1&{fields}", REGTEST_PREFIX).amount == 100_000_000


def test_an_address_is_no_public_key() -> None:
    assert not parse_payee(ADDRESS, REGTEST_PREFIX).is_public_key
    assert not parse_payee(f"bitcoin:{ADDRESS}", REGTEST_PREFIX).is_public_key


def swap_last(text: str) -> str:
    return text[:-1] + ("q" if text[-1] != "q" else "p")


@pytest.mark.parametrize(
    ("value", "code", "words"),
    [
        (None, "payee-not-text", "text"),
        (5, "payee-not-text", "text"),
        ("", "payee-missing", "missing"),
        (" \n ", "payee-missing", "missing"),
        ("x" * 16_385, "payee-too-long", "too long"),
        ("x" * 16_384, "payee-bad-address", ""),
        ("hello", "payee-bad-address", "not an address"),
        ("creator", "payee-bad-address", "not an address"),
        (swap_last(ADDRESS), "payee-bad-address", "checksum"),
        (encode_address(p2pkh_script(bytes(20)), MAINNET_PREFIX), "payee-other-network", "mainnet"),
        (encode_address(SCRIPT, MAINNET_PREFIX), "payee-other-network", "mainnet"),
        (encode_address(SCRIPT, TESTNET_PREFIX), "payee-other-network", "testnet"),
        (OWNER.to_wif(REGTEST_PREFIX), "payee-bad-address", "private key"),
        (RSA_PEM, "payee-bad-public-key", "RSA"),
        (P256_PEM, "payee-bad-public-key", "secp256r1"),
        (private_key_to_pem(OWNER, "pw").decode(), "payee-bad-public-key", "private key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "payee-bad-public-key", "PEM"),
        ("02" + "ff" * 32, "payee-bad-public-key", "curve"),
        ("04" + "11" * 64, "payee-bad-public-key", "curve"),
        ("02" + "11" * 40, "payee-bad-public-key", "33 or 65"),
        ("bitcoin:", "payee-bad-address", "empty"),
        (f"bitcoin:{ADDRESS}?req-magic=1", "payee-bad-uri", "req-magic"),
        (f"bitcoin:{ADDRESS}?amount=1&" + "&".join(["x=1"] * 50), "payee-bad-uri", "50 fields"),
        (f"bitcoin:{ADDRESS}?amount=-1", "amount-negative", "negative"),
    ],
)
def test_each_wrong_payee_is_told_apart(value: object, code: str, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_payee(value, REGTEST_PREFIX)
    assert caught.value.code == code
    assert words in str(caught.value)
