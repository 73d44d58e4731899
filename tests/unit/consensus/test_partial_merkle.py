"""Proofs that transactions are in a block: decoding returns the proven transactions and no others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.consensus.params import REGTEST
from shared.consensus.partial_merkle import decode_proof, encode_proof
from shared.crypto.hashes import sha256
from shared.errors import DecodeError
from shared.primitives.block import BlockHeader
from shared.primitives.merkle import merkle_root, merkle_tree


def header_over(txids: list[bytes]) -> BlockHeader:
    like = REGTEST.genesis.header
    return BlockHeader(like.version, like.prev_hash, merkle_root(txids)[0], like.time, like.bits, like.nonce)


@given(st.data(), st.integers(1, 70))
def test_what_is_proven_comes_out_again(data, count):
    txids = [sha256(bytes([number])) for number in range(count)]
    matches = data.draw(st.sets(st.sampled_from(txids), min_size=1))
    header = header_over(txids)
    found_header, found_count, proven = decode_proof(encode_proof(header, merkle_tree(txids), matches))
    assert (found_header, found_count) == (header, count)
    assert proven == [txid for txid in txids if txid in matches]


def test_a_proof_under_another_root_proves_nothing():
    txids = [sha256(bytes([number])) for number in range(5)]
    proof = encode_proof(header_over(txids[:4]), merkle_tree(txids), {txids[2]})
    assert decode_proof(proof)[2] == []


def test_a_proof_that_is_cut_short_is_none():
    txids = [sha256(bytes([number])) for number in range(5)]
    proof = encode_proof(header_over(txids), merkle_tree(txids), {txids[2]})
    with pytest.raises(DecodeError):
        decode_proof(proof[:-1])
