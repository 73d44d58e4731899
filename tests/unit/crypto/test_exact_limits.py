"""Numbers of the text forms of keys and addresses, written out again, and their limits met exactly."""

from __future__ import annotations

import pytest

from shared.crypto import base58, bech32
from shared.crypto.address import (
    MAINNET_PREFIX,
    REGTEST_PREFIX,
    TESTNET_PREFIX,
    AddressPrefix,
    decode_address,
    encode_address,
    has_address,
)
from shared.crypto.bip32 import ExtendedKey
from shared.crypto.keys import PrivateKey
from shared.crypto.pem import public_key_from_pem, public_key_to_pem
from shared.errors import DecodeError
from shared.script.standard import p2pkh_script, p2sh_script

KEY = PrivateKey.from_bytes(b"\x07" * 32)
MASTER = ExtendedKey.from_seed(bytes(64))


@pytest.mark.parametrize(
    ("prefix", "numbers", "starts"),
    [
        (MAINNET_PREFIX, (0, 5, 128, "bc", "0488b21e", "0488ade4"), ("1", "3", "K", "xpub", "xprv")),
        (TESTNET_PREFIX, (111, 196, 239, "tb", "043587cf", "04358394"), ("m", "2", "c", "tpub", "tprv")),
        (REGTEST_PREFIX, (111, 196, 239, "bcrt", "043587cf", "04358394"), ("m", "2", "c", "tpub", "tprv")),
    ],
)
def test_each_network_has_the_prefixes_of_bitcoin_core(
    prefix: AddressPrefix, numbers: tuple[object, ...], starts: tuple[str, ...]
) -> None:
    *bytes_and_hrp, public, private = numbers
    assert prefix == AddressPrefix(*bytes_and_hrp, bytes.fromhex(public), bytes.fromhex(private))
    texts = (
        encode_address(p2pkh_script(bytes(20)), prefix),
        encode_address(p2sh_script(bytes(20)), prefix),
        KEY.to_wif(prefix),
        MASTER.neuter().serialize(prefix),
        MASTER.serialize(prefix),
    )
    for text, start in zip(texts, starts, strict=True):
        assert text is not None
        assert text.startswith(start)


@pytest.mark.parametrize("version", [1, 2, 15, 16])
@pytest.mark.parametrize("size", [2, 20, 32, 40])
def test_a_witness_program_of_any_version_and_size_has_an_address(version: int, size: int) -> None:
    script = bytes([0x50 + version, size]) + bytes(size)
    assert has_address(script)
    assert decode_address(encode_address(script, REGTEST_PREFIX) or "", REGTEST_PREFIX) == script


@pytest.mark.parametrize(
    "script",
    [
        bytes([0x51, 1]) + bytes(1),
        bytes([0x51, 41]) + bytes(41),
        bytes([0x50, 20]) + bytes(20),
        bytes([0x61, 20]) + bytes(20),
        bytes([0x4F, 20]) + bytes(20),
        bytes([0x00, 19]) + bytes(19),
        bytes([0x00, 21]) + bytes(21),
        bytes([0x00, 31]) + bytes(31),
        bytes([0x51, 20]) + bytes(21),
        bytes([0x51, 20]) + bytes(19),
        p2pkh_script(bytes(21)),
        p2sh_script(bytes(19)),
        b"\x76\xa9\x14" + bytes(20) + b"\x88\xad",
        b"\xa9\x14" + bytes(20) + b"\x88",
    ],
)
def test_what_is_nearly_a_script_with_an_address_has_none(script: bytes) -> None:
    assert not has_address(script)
    assert encode_address(script, REGTEST_PREFIX) is None


@pytest.mark.parametrize("size", [19, 21, 31, 34])
def test_a_checked_text_of_another_size_is_no_address(size: int) -> None:
    for version in (REGTEST_PREFIX.pubkey_hash, REGTEST_PREFIX.wif):
        with pytest.raises(DecodeError, match=f"20 bytes of hash, not {size}"):
            decode_address(base58.encode_check(bytes([version]) + bytes(size)), REGTEST_PREFIX)


@pytest.mark.parametrize("prefix", [MAINNET_PREFIX, TESTNET_PREFIX])
@pytest.mark.parametrize("size", [32, 33])
def test_a_private_key_of_any_network_is_no_address(prefix: AddressPrefix, size: int) -> None:
    with pytest.raises(DecodeError, match="never show it"):
        decode_address(base58.encode_check(bytes([prefix.wif]) + bytes(size)), REGTEST_PREFIX)


def test_base58_is_read_up_to_500_characters() -> None:
    assert base58.decode("1" * 500) == bytes(500)
    with pytest.raises(DecodeError, match="too long"):
        base58.decode("1" * 501)


def test_a_checksum_has_four_bytes() -> None:
    assert base58.decode_check(base58.encode_check(b"")) == b""
    with pytest.raises(DecodeError, match="too short"):
        base58.decode_check(base58.encode(b"\xff" * 3))
    with pytest.raises(DecodeError, match="does not match"):
        base58.decode_check(base58.encode(b"\xff" * 4))


def test_a_pem_is_read_up_to_16_kilobytes() -> None:
    pem = public_key_to_pem(KEY.public_key)
    assert public_key_from_pem(pem.ljust(16_384, "\n")) == KEY.public_key
    with pytest.raises(DecodeError, match="too long"):
        public_key_from_pem(pem.ljust(16_385, "\n"))


@pytest.mark.parametrize("size", [16, 64])
def test_a_seed_has_16_to_64_bytes(size: int) -> None:
    assert ExtendedKey.from_seed(bytes(size)).depth == 0


def test_child_numbers_go_to_the_end_of_32_bits() -> None:
    assert MASTER.child(0xFFFFFFFF).child_number == 0xFFFFFFFF
    assert MASTER.child(0x7FFFFFFF).public_key == MASTER.neuter().child(0x7FFFFFFF).public_key
    with pytest.raises(DecodeError, match="private key"):
        MASTER.neuter().child(0x80000000)


@pytest.mark.parametrize("hrp", ["!", "~", "a!~z"])
def test_a_bech32_prefix_may_have_any_printable_character(hrp: str) -> None:
    text = bech32.encode(bech32.Encoding.BECH32M, hrp, [0, 31])
    assert bech32.decode(text) == (bech32.Encoding.BECH32M, hrp, [0, 31])


@pytest.mark.parametrize("hrp", [" ", "\x7f", "a b"])
def test_a_bech32_prefix_has_no_other_character(hrp: str) -> None:
    with pytest.raises(DecodeError, match="not printable"):
        bech32.decode(bech32.encode(bech32.Encoding.BECH32M, hrp, [0, 31]))
