import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.crypto import base58, bech32
from shared.crypto.address import (
    MAINNET_PREFIX,
    REGTEST_PREFIX,
    TESTNET_PREFIX,
    AddressNetworkError,
    AddressPrefix,
    decode_address,
    encode_address,
)
from shared.crypto.keys import PrivateKey
from shared.errors import DecodeError
from shared.script.standard import p2pkh_script, p2sh_script, p2tr_script, p2wpkh_script, p2wsh_script

HASH = bytes.fromhex("751e76e8199196d454941c45d1b3a323f1433bd6")
OTHER_CHAIN = AddressPrefix(30, 35, 188, "wrn", b"\x01\x02\x03\x04", b"\x05\x06\x07\x08")
prefixes = st.sampled_from([MAINNET_PREFIX, TESTNET_PREFIX, REGTEST_PREFIX, OTHER_CHAIN])
hashes20 = st.binary(min_size=20, max_size=20)
hashes32 = st.binary(min_size=32, max_size=32)
scripts = st.one_of(
    hashes20.map(p2pkh_script),
    hashes20.map(p2sh_script),
    hashes20.map(p2wpkh_script),
    hashes32.map(p2wsh_script),
    hashes32.map(p2tr_script),
    st.tuples(st.integers(1, 16), st.binary(min_size=2, max_size=40)).map(
        lambda program: bytes([0x50 + program[0], len(program[1])]) + program[1]
    ),
)


@given(scripts, prefixes)
def test_addresses_round_trip(script, prefix):
    assert decode_address(encode_address(script, prefix), prefix) == script


@pytest.mark.parametrize(
    ("address", "script"),
    [
        ("1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH", p2pkh_script(HASH)),
        ("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", p2wpkh_script(HASH)),
        (
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
            p2tr_script(bytes.fromhex("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")),
        ),
        ("BC1SW50QGDZ25J", bytes.fromhex("6002751e")),
        ("bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs", bytes.fromhex("5210751e76e8199196d454941c45d1b3a323")),
    ],
)
def test_published_addresses_of_mainnet_decode(address, script):
    assert decode_address(address, MAINNET_PREFIX) == script


@pytest.mark.parametrize(
    "script",
    [
        b"",
        b"\x6a\x04test",
        b"\x21" + b"\x02" * 33 + b"\xac",
        b"\x00\x15" + bytes(21),
        b"\x51\x01\x00",
        b"\x51\x29" + bytes(41),
        p2pkh_script(HASH)[:-1],
        p2sh_script(HASH) + b"\x00",
    ],
)
def test_other_scripts_have_no_address(script):
    assert encode_address(script, MAINNET_PREFIX) is None


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("1BgGZ9tcN4rm9KBzDn7KprQz87SZ26SAMH", "Bitcoin's mainnet"),
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "Bitcoin's mainnet"),
        ("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "a Bitcoin testnet"),
    ],
)
def test_an_address_of_a_known_network_says_which(address, network):
    with pytest.raises(AddressNetworkError, match=network):
        decode_address(address, REGTEST_PREFIX)


def test_an_address_of_an_unknown_network_says_so():
    with pytest.raises(AddressNetworkError, match="version byte is 30"):
        decode_address(encode_address(p2pkh_script(HASH), OTHER_CHAIN), REGTEST_PREFIX)
    with pytest.raises(AddressNetworkError, match="prefix is wrn1"):
        decode_address(encode_address(p2wpkh_script(HASH), OTHER_CHAIN), REGTEST_PREFIX)


def test_testnet_and_regtest_share_their_old_addresses():
    address = encode_address(p2pkh_script(HASH), TESTNET_PREFIX)
    assert decode_address(address, REGTEST_PREFIX) == p2pkh_script(HASH)


def test_a_private_key_in_place_of_an_address_gets_a_warning():
    wif = PrivateKey.from_bytes(b"\x01" * 32).to_wif(REGTEST_PREFIX)
    with pytest.raises(DecodeError, match="private key"):
        decode_address(wif, REGTEST_PREFIX)


@pytest.mark.parametrize("text", ["", " ", "hello", "0", "bcrt1", "bcrt1q", "é" * 30, "1" * 600, "bcrt1" + "q" * 200])
def test_nonsense_is_refused_with_a_message(text):
    with pytest.raises(DecodeError) as caught:
        decode_address(text, REGTEST_PREFIX)
    assert not isinstance(caught.value, AddressNetworkError)
    assert len(str(caught.value)) > 10


@given(scripts, prefixes, st.data())
def test_one_wrong_character_never_goes_unnoticed(script, prefix, data):
    address = encode_address(script, prefix)
    at = data.draw(st.integers(0, len(address) - 1))
    wrong = data.draw(st.sampled_from("023456789acdefghjklmnpqrstuvwxyzABCXYZ"))
    changed = address[:at] + wrong + address[at + 1 :]
    if changed.lower() != address.lower():
        with pytest.raises(DecodeError):
            decode_address(changed, prefix)


@given(st.binary(max_size=80))
def test_base58check_round_trips(payload):
    assert base58.decode_check(base58.encode_check(payload)) == payload


@pytest.mark.parametrize("text", ["0", "O", "I", "l", "+", " 1", "1 ", "z\n"])
def test_characters_outside_base58_are_refused(text):
    with pytest.raises(DecodeError, match="not a Base58 character"):
        base58.decode(text)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("A12UEL5L", bech32.Encoding.BECH32),
        (
            "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
            bech32.Encoding.BECH32,
        ),
        ("abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw", bech32.Encoding.BECH32),
        ("?1ezyfcl", bech32.Encoding.BECH32),
        ("A1LQFN3A", bech32.Encoding.BECH32M),
        ("abcdef1l7aum6echk45nj3s0wdvt2fg8x9yrzpqzd3ryx", bech32.Encoding.BECH32M),
        ("split1checkupstagehandshakeupstreamerranterredcaperredlc445v", bech32.Encoding.BECH32M),
        ("?1v759aa", bech32.Encoding.BECH32M),
    ],
)
def test_valid_bech32_of_bip173_and_bip350_round_trips(text, encoding):
    found, hrp, values = bech32.decode(text)
    assert found is encoding
    assert bech32.encode(encoding, hrp, values) == text.lower()


@pytest.mark.parametrize(
    "text",
    [
        " 1nwldj5",
        "\x7f1axkwrx",
        "\x801eym55h",
        "an84characterslonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1569pvx",
        "pzry9x0s0muk",
        "1pzry9x0s0muk",
        "x1b4n0q5v",
        "li1dgmt3",
        "de1lg7wt\xff",
        "A1G7SGD8",
        "10a06t8",
        "1qzzfhee",
        "a12UEL5L",
        "A12uEL5L",
        " 1xj0phk",
        "y1b0jsk6g",
        "lt1igcx5c0",
        "in1muywd",
        "mm1crxm3i",
        "M1VUXWEZ",
        "16plkw9",
        "1p2gdwpf",
    ],
)
def test_invalid_bech32_of_bip173_and_bip350_is_refused(text):
    with pytest.raises(DecodeError):
        bech32.decode(text)


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd", "Bech32m checksum"),
        ("tb1z0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqglt7rf", "Bech32m checksum"),
        ("BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL", "Bech32m checksum"),
        ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh", "Bech32 checksum"),
        ("tb1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq24jc47", "Bech32 checksum"),
        ("bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4", "not a Bech32 character"),
        ("BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R", "version 17"),
        ("bc1pw5dgrnzv", "2 to 40 bytes"),
        ("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav", "2 to 40 bytes"),
        ("BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P", "20 or 32"),
        ("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf", "padding"),
        ("tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vpggkg4j", "padding"),
        ("bc1gmk9yu", "empty"),
    ],
)
def test_invalid_addresses_of_bip350_say_what_is_wrong(address, problem):
    with pytest.raises(DecodeError, match=problem):
        bech32.decode_segwit(address)
