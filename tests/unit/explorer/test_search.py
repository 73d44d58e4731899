import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.explorer.search import AddressQuery, HashQuery, HeightQuery, Unclear, understand
from shared.crypto.address import MAINNET_PREFIX, REGTEST_PREFIX, encode_address
from shared.primitives.hexes import parse_display_hash
from tests.builders import key, p2wpkh

ADDRESS = encode_address(p2wpkh(key("alice")), REGTEST_PREFIX)
HASH = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"


@pytest.mark.parametrize(("text", "height"), [("0", 0), (" 42 ", 42), ("#7", 7), ("1,234,567", 1_234_567)])
def test_a_number_is_a_height(text, height):
    assert understand(text, REGTEST_PREFIX) == HeightQuery(height)


@pytest.mark.parametrize("text", [HASH, HASH.upper(), f"  {HASH}\n"])
def test_sixty_four_hex_digits_are_a_hash(text):
    assert understand(text, REGTEST_PREFIX) == HashQuery(parse_display_hash(HASH))


def test_an_address_of_this_chain_is_found():
    assert understand(ADDRESS, REGTEST_PREFIX) == AddressQuery(ADDRESS)


def test_a_public_key_leads_to_its_address():
    assert understand(key("alice").public_key.compressed.hex(), REGTEST_PREFIX) == AddressQuery(ADDRESS)


def test_an_address_of_another_network_says_so():
    query = understand(encode_address(p2wpkh(key("alice")), MAINNET_PREFIX), REGTEST_PREFIX)
    assert isinstance(query, Unclear)
    assert "mainnet" in query.tried[-1]


@pytest.mark.parametrize(
    "text", ["", "hello", "-1", "1.5", "²", "12345678901", HASH[:-1], HASH + "0", "02" + "00" * 32]
)
def test_what_is_none_of_these_says_what_was_tried(text):
    query = understand(text, REGTEST_PREFIX)
    assert isinstance(query, Unclear)
    assert len(query.tried) >= 3


@given(st.text(max_size=200))
def test_any_text_is_understood_or_explained(text):
    assert isinstance(understand(text, REGTEST_PREFIX), HeightQuery | HashQuery | AddressQuery | Unclear)
