import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.consensus.params import MAINNET
from shared.crypto.hashes import sha256d
from shared.errors import DecodeError
from shared.primitives.block import Block, BlockHeader
from shared.primitives.hex import parse_display_hash
from shared.primitives.merkle import (
    block_merkle_root,
    merkle_branch,
    merkle_root,
    root_from_branch,
    witness_merkle_root,
)
from tests.unit.primitives.strategies import hashes, transactions, u32

headers = st.builds(BlockHeader, st.integers(-(1 << 31), (1 << 31) - 1), hashes, hashes, u32, u32, u32)
blocks = st.builds(Block, headers, st.lists(transactions, min_size=1, max_size=4).map(tuple))

# Block 125552 of mainnet, a well-known example of how a block is hashed.
HEADER_125552 = (
    "0100000081cd02ab7e569e8bcd9317e2fe99f2de44d49ab2b8851ba4a308000000000000"
    "e320b6c2fffc8d750423db8b1eb942ae710e951ed797f7affc8892b0f1fc122bc7f5d74df2b9441a42a14695"
)
# The four transactions of block 100000 and their merkle root.
TXIDS_100000 = [
    "8c14f0db3df150123e6f3dbbf30f8b955a8249b62ac1d1ff16284aefa3d06d87",
    "fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4",
    "6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4",
    "e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d",
]
ROOT_100000 = "f3e94742aca4b5ef85488dc37c06c3282295ffec960994b2c0d5ac2a25a95766"


def test_a_header_of_mainnet_has_its_hash():
    header = BlockHeader.parse(bytes.fromhex(HEADER_125552))
    assert header.hash_hex == "00000000000000001e8d6829a8a21adc5d38d0a473b144b6765798e61f98bd1d"
    assert (header.version, header.time, header.bits, header.nonce) == (1, 1305998791, 0x1A44B9F2, 2504433986)
    assert header.serialize().hex() == HEADER_125552


@given(headers)
def test_headers_round_trip(header):
    data = header.serialize()
    assert len(data) == 80
    parsed = BlockHeader.parse(data)
    assert parsed == header
    assert parsed.hash == sha256d(data)


@pytest.mark.parametrize("size", [0, 79, 81])
def test_a_header_of_another_size_is_refused(size):
    with pytest.raises(DecodeError, match="80 bytes"):
        BlockHeader.parse(bytes(size))


@settings(max_examples=40)
@given(blocks)
def test_blocks_round_trip(block):
    raw = block.serialize()
    parsed = Block.parse(raw)
    assert parsed == block
    assert parsed.hash == block.header.hash
    assert block.size == len(raw)
    assert block.base_size == len(block.serialize(include_witness=False))
    assert block.weight == 3 * block.base_size + block.size


@settings(max_examples=40)
@given(blocks, st.data())
def test_a_truncated_or_extended_block_is_refused(block, data):
    raw = block.serialize()
    size = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(DecodeError):
        Block.parse(raw[:size])
    with pytest.raises(DecodeError, match="block: 1 bytes too many"):
        Block.parse(raw + b"\x00")


def test_the_genesis_block_of_mainnet_is_285_bytes():
    raw = MAINNET.genesis.serialize()
    assert len(raw) == 285
    assert Block.parse(raw) == MAINNET.genesis


def test_the_merkle_root_of_block_100000_is_right():
    leaves = [parse_display_hash(txid) for txid in TXIDS_100000]
    assert merkle_root(leaves) == (parse_display_hash(ROOT_100000), False)


def test_the_merkle_root_of_nothing_is_zero_and_of_one_is_itself():
    assert merkle_root([]) == (bytes(32), False)
    assert merkle_root([b"\x07" * 32]) == (b"\x07" * 32, False)


@given(st.lists(hashes, min_size=1, max_size=40, unique=True), st.data())
def test_every_branch_leads_to_the_root(leaves, data):
    root, mutated = merkle_root(leaves)
    assert not mutated
    index = data.draw(st.integers(0, len(leaves) - 1))
    branch = merkle_branch(leaves, index)
    assert len(branch) == (len(leaves) - 1).bit_length()
    assert root_from_branch(leaves[index], branch, index) == root


@given(st.lists(hashes, min_size=1, max_size=20, unique=True))
def test_repeating_the_last_leaves_keeps_the_root_but_is_told(leaves):
    # CVE-2012-2459: at every level with an odd number of nodes, the last subtree can be repeated.
    size = 1
    while len(leaves) // size > 1:
        if len(leaves) % (2 * size) == size:
            repeated = leaves + leaves[-size:]
            assert merkle_root(repeated) == (merkle_root(leaves)[0], True)
        if len(leaves) % (2 * size):
            break
        size *= 2


def test_equal_neighbours_anywhere_are_told():
    a, b = b"\x01" * 32, b"\x02" * 32
    assert merkle_root([a, a])[1]
    assert merkle_root([b, a, a, b])[1] is False
    assert merkle_root([a, b, a, b])[1]
    assert merkle_root([a, b, b])[1] is False


def test_there_is_no_branch_of_a_leaf_that_is_not_there():
    for index in (-1, 1):
        with pytest.raises(IndexError):
            merkle_branch([bytes(32)], index)


@settings(max_examples=20)
@given(blocks)
def test_the_roots_of_a_block_are_over_txids_and_wtxids(block):
    txids = [tx.txid for tx in block.transactions]
    wtxids = [bytes(32)] + [tx.wtxid for tx in block.transactions[1:]]
    assert block_merkle_root(block) == merkle_root(txids)
    assert witness_merkle_root(block) == merkle_root(wtxids)[0]
