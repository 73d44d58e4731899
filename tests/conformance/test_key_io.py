"""Addresses, WIF keys and Base58 against Core's vectors."""

import pytest

from shared.crypto import base58
from shared.crypto.address import MAINNET_PREFIX, REGTEST_PREFIX, TESTNET_PREFIX, decode_address, encode_address
from shared.crypto.keys import PrivateKey
from shared.errors import DecodeError

PREFIXES = {
    "main": MAINNET_PREFIX,
    "test": TESTNET_PREFIX,
    "testnet4": TESTNET_PREFIX,
    "signet": TESTNET_PREFIX,
    "regtest": REGTEST_PREFIX,
}


def test_base58_agrees_with_core(core_vectors):
    vectors = core_vectors("base58_encode_decode.json")
    assert len(vectors) >= 12
    for data_hex, text in vectors:
        assert base58.encode(bytes.fromhex(data_hex)) == text
        assert base58.decode(text) == bytes.fromhex(data_hex)


def test_valid_addresses_decode_to_cores_scripts_and_back(core_vectors):
    vectors = [entry for entry in core_vectors("key_io_valid.json") if not entry[2]["isPrivkey"]]
    assert len(vectors) >= 50
    for text, script_hex, about in vectors:
        prefix = PREFIXES[about["chain"]]
        assert decode_address(text, prefix).hex() == script_hex
        assert encode_address(bytes.fromhex(script_hex), prefix) == text
        with pytest.raises(DecodeError):
            PrivateKey.from_wif(text, prefix)


def test_the_case_of_an_address_matters_where_core_says_so(core_vectors):
    for text, script_hex, about in core_vectors("key_io_valid.json"):
        if about["isPrivkey"]:
            continue
        prefix = PREFIXES[about["chain"]]
        if about.get("tryCaseFlip"):
            assert decode_address(text.swapcase(), prefix).hex() == script_hex
        else:
            with pytest.raises(DecodeError):
                decode_address(text.swapcase(), prefix)


def test_valid_private_keys_decode_to_cores_secrets_and_back(core_vectors):
    vectors = [entry for entry in core_vectors("key_io_valid.json") if entry[2]["isPrivkey"]]
    assert len(vectors) >= 10
    for text, secret_hex, about in vectors:
        prefix = PREFIXES[about["chain"]]
        key = PrivateKey.from_wif(text, prefix)
        assert key.secret.hex() == secret_hex
        assert key.is_compressed == about["isCompressed"]
        assert key.to_wif(prefix) == text
        with pytest.raises(DecodeError):
            decode_address(text, prefix)


def test_invalid_texts_are_neither_address_nor_key_on_any_network(core_vectors):
    vectors = core_vectors("key_io_invalid.json")
    assert len(vectors) >= 50
    for (text,) in vectors:
        for prefix in PREFIXES.values():
            with pytest.raises(DecodeError):
                decode_address(text, prefix)
            with pytest.raises(DecodeError):
                PrivateKey.from_wif(text, prefix)
