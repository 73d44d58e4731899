import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.explorer.chain.miner_names import HEAD_SIZE, coinbase_of, coinbase_script, miner_name
from shared.consensus.params import REGTEST
from tests.builders import key, make_block, p2wpkh


@pytest.mark.parametrize(
    ("script_sig", "name"),
    [
        (b"\x01\x05\x10/miner-1/\x00\x01\x02\x03", "miner-1"),
        (b"\x51/a/", "a"),
        (b"\x51/123456789012/", "123456789012"),
        (b"\x51/1234567890123/", ""),
        (b"\x51/<script>/", ""),
        (b"\x51//", ""),
        (b"", ""),
    ],
)
def test_the_name_stands_between_slashes(script_sig, name):
    assert miner_name(script_sig) == name


def test_the_head_of_a_block_is_enough_to_find_its_miner():
    block = make_block(REGTEST.genesis.header, 1, p2wpkh(key("a")), tag=b"/worker.7/" + bytes(40))
    script_sig = coinbase_script(block.serialize()[:HEAD_SIZE])
    assert script_sig == block.transactions[0].inputs[0].script_sig
    assert miner_name(script_sig) == "worker.7"


def test_a_block_without_witness_works_too():
    genesis = REGTEST.genesis
    assert coinbase_script(genesis.serialize()[:HEAD_SIZE]) == genesis.transactions[0].inputs[0].script_sig


@given(st.binary(max_size=300))
def test_any_bytes_give_a_name_or_none(head):
    assert len(miner_name(coinbase_script(head))) <= 12


def test_the_coinbase_is_read_from_the_start_of_a_block():
    block = make_block(REGTEST.genesis.header, 1, p2wpkh(key("a")))
    assert coinbase_of(block.serialize()) == block.transactions[0]
    assert coinbase_of(block.serialize()[:100]) is None
