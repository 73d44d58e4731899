"""Addresses are found by how they begin, and nothing else is found."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.crypto import base58
from shared.crypto.address import MAINNET_PREFIX, REGTEST_PREFIX, AddressPrefix, encode_address, has_address
from shared.crypto.address_search import script_ranges
from shared.errors import DecodeError
from shared.script.standard import p2pkh_script, p2sh_script, p2wpkh_script
from tests.unit.crypto.test_address import OTHER_CHAIN, prefixes, scripts

ODD_CHAIN = AddressPrefix(1, 0, 188, "q1q", b"\x01\x02\x03\x04", b"\x05\x06\x07\x08")
"""Its prefix has a separator in it, and its P2SH addresses begin with ones."""
networks = st.one_of(prefixes, st.just(ODD_CHAIN))
low_hashes = (
    st.integers(0, 19)
    .flatmap(lambda zeros: st.binary(min_size=20 - zeros, max_size=20 - zeros))
    .map(lambda rest: rest.rjust(20, b"\x00"))
)
anything = st.one_of(scripts, low_hashes.map(p2pkh_script), low_hashes.map(p2sh_script))


def finds(start: str, prefix: AddressPrefix, script: bytes) -> bool:
    return any(low <= script <= high for low, high in script_ranges(start, prefix))


@given(anything, networks)
@example(p2pkh_script(bytes(20)), MAINNET_PREFIX)
@example(p2sh_script(b"\xff" * 20), OTHER_CHAIN)
def test_an_address_is_found_by_each_of_its_prefixes(script, prefix):
    address = encode_address(script, prefix)
    assert address is not None
    for end in range(1, len(address) + 1):
        assert finds(address[:end], prefix, script), address[:end]


def beside(script: bytes, step: int) -> bytes:
    """Return a script of this kind whose hash or program is greater by `step`."""
    first, end = {25: (3, 23), 23: (2, 22)}.get(len(script), (2, len(script)))
    if script[0] in (0, *range(0x51, 0x61)):
        first, end = 2, len(script)
    size = end - first
    number = (int.from_bytes(script[first:end], "big") + step) % 256**size
    return script[:first] + number.to_bytes(size, "big") + script[end:]


@given(anything, st.integers(-(2**40), 2**40), st.data(), networks)
def test_of_two_near_scripts_those_that_begin_as_asked_for_are_found(script, step, data, prefix):
    address, other = encode_address(script, prefix), beside(script, step)
    other_address = encode_address(other, prefix)
    assert address is not None
    assert other_address is not None
    start = address[: data.draw(st.integers(1, len(address)))]
    assert finds(start, prefix, other) == other_address.startswith(start)


@given(st.text(base58.ALPHABET, min_size=1, max_size=4), networks, anything)
def test_any_start_finds_what_begins_so_and_nothing_else(start, prefix, script):
    address = encode_address(script, prefix)
    assert address is not None
    is_bech32 = address.startswith(prefix.hrp + "1")
    begins = address.startswith(start) or (is_bech32 and address.upper().startswith(start))
    assert finds(start, prefix, script) == begins


def test_the_ends_of_a_range_are_exact():
    """Both neighbours of a Base58 range lack the prefix: their checksums alone decide some of it."""
    for start in ("mi", "n3x", "2N", "mzBc5XEe"):
        for low, high in script_ranges(start, REGTEST_PREFIX):
            for script, step in ((low, -1), (high, 1)):
                assert (encode_address(script, REGTEST_PREFIX) or "").startswith(start)
                address = encode_address(beside(script, step), REGTEST_PREFIX)
                assert address is not None
                assert not address.startswith(start)


def test_capitals_find_bech32_and_mixed_letters_do_not():
    script = p2wpkh_script(bytes(20))
    address = encode_address(script, REGTEST_PREFIX)
    assert address is not None
    assert finds(address[:12].upper(), REGTEST_PREFIX, script)
    assert finds("BCRT", REGTEST_PREFIX, script)
    assert not finds("bCRT1", REGTEST_PREFIX, script)


def test_a_whole_address_finds_its_script_alone():
    script = p2wpkh_script(b"\x07" * 20)
    address = encode_address(script, REGTEST_PREFIX)
    assert address is not None
    assert (script, script) in script_ranges(address, REGTEST_PREFIX)
    assert not finds(address, REGTEST_PREFIX, beside(script, 1))
    wrong = address[:-1] + ("q" if address[-1] != "q" else "p")
    assert not finds(wrong, REGTEST_PREFIX, script)
    assert not finds(address + "q", REGTEST_PREFIX, script)


def test_a_prefix_of_another_network_finds_nothing():
    assert script_ranges("tb1q", REGTEST_PREFIX) == []
    assert script_ranges("1Boat", REGTEST_PREFIX) == []
    assert script_ranges("bcrt1b", REGTEST_PREFIX) == []  # no character of Bech32


@pytest.mark.parametrize("start", ["", "bc rt", "m*", "é", "m" * 91])
def test_what_cannot_begin_an_address_is_refused(start):
    with pytest.raises(DecodeError):
        script_ranges(start, REGTEST_PREFIX)


@given(anything)
def test_scripts_with_an_address_are_told_from_others(script):
    assert has_address(script)
    assert not has_address(script + b"\x00")
    assert not has_address(script[:-1])
