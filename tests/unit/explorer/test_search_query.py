import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.explorer.pages.search_query import (
    AddressQuery,
    HashQuery,
    HeightQuery,
    KeyQuery,
    OutputQuery,
    Query,
    UnknownQuery,
    understand,
)
from shared.crypto.address import MAINNET_PREFIX, REGTEST_PREFIX, encode_address
from shared.primitives.hex import parse_display_hash
from shared.primitives.transaction import OutPoint
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


@pytest.mark.parametrize("form", ["compressed", "uncompressed"])
def test_a_public_key_stands_for_each_way_to_pay_to_it(form):
    query = understand(getattr(key("alice").public_key, form).hex(), REGTEST_PREFIX)
    assert isinstance(query, KeyQuery)
    assert [kind.name for kind in query.forms] == [
        "P2WPKH",
        "P2TR",
        "P2WPKH in P2SH",
        "P2PKH",
        "P2PKH, uncompressed",
        "P2PK",
        "P2PK, uncompressed",
    ]
    assert query.forms[0].address == ADDRESS
    assert len({kind.script for kind in query.forms}) == 7
    assert [kind.address is None for kind in query.forms] == [False] * 5 + [True] * 2


@pytest.mark.parametrize("vout", [0, 7, 0xFFFFFFFF])
def test_a_txid_with_a_number_is_an_output(vout):
    assert understand(f"{HASH}:{vout}", REGTEST_PREFIX) == OutputQuery(OutPoint(parse_display_hash(HASH), vout))


@pytest.mark.parametrize("text", [f"{HASH}:", f"{HASH}:x", f"{HASH}:-1", f"{HASH}:4294967296", f"{HASH}:²", ":0"])
def test_what_is_no_output_says_so(text):
    query = understand(text, REGTEST_PREFIX)
    assert isinstance(query, UnknownQuery)
    assert any(reason.startswith("As an output") for reason in query.tried)


@pytest.mark.parametrize("text", [ADDRESS[:12], ADDRESS[:-1], ADDRESS[:10].upper(), "2N8F", "mkES"])
def test_the_beginning_of_an_address_says_where_to_look(text):
    query = understand(text, REGTEST_PREFIX)
    assert isinstance(query, UnknownQuery)
    assert query.ranges


def test_the_scripts_of_an_address_lie_where_its_beginning_says():
    script = p2wpkh(key("alice"))
    query = understand(ADDRESS[:12], REGTEST_PREFIX)
    assert isinstance(query, UnknownQuery)
    assert any(low <= script <= high for low, high in query.ranges)


@pytest.mark.parametrize("text", ["mk0S", "bcrt1qb", "<script>", "2N8", "l" * 90, "hello there"])
def test_what_cannot_begin_an_address_is_not_looked_for(text):
    query = understand(text, REGTEST_PREFIX)
    assert isinstance(query, UnknownQuery)
    assert query.ranges == ()


def test_an_address_of_another_network_says_so():
    query = understand(encode_address(p2wpkh(key("alice")), MAINNET_PREFIX), REGTEST_PREFIX)
    assert isinstance(query, UnknownQuery)
    assert "mainnet" in query.tried[-1]


@pytest.mark.parametrize(
    "text", ["", "hello", "-1", "1.5", "²", "12345678901", HASH[:-1], HASH + "0", "02" + "00" * 32]
)
def test_what_is_none_of_these_says_what_was_tried(text):
    query = understand(text, REGTEST_PREFIX)
    assert isinstance(query, UnknownQuery)
    assert len(query.tried) >= 3


@given(st.text(max_size=200))
def test_any_text_is_understood_or_explained(text):
    assert isinstance(understand(text, REGTEST_PREFIX), Query)
