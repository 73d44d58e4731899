"""Forged merkle proofs: each change to a good proof makes it prove nothing (ExtractMatches in Core)."""

import pytest

from shared.consensus import partial_merkle
from shared.consensus.params import REGTEST
from shared.consensus.partial_merkle import decode_proof, encode_proof
from shared.crypto.hashes import sha256, sha256d
from shared.errors import DecodeError
from shared.primitives.block import BlockHeader
from shared.primitives.merkle import branch_of, merkle_root, merkle_tree
from shared.primitives.serialize import pack_compact_size, pack_u32, pack_var_bytes

TXIDS = [sha256(bytes([number])) for number in range(7)]
LIKE = REGTEST.genesis.header


def header(root):
    return BlockHeader(LIKE.version, LIKE.prev_hash, root, LIKE.time, LIKE.bits, LIKE.nonce)


def proof(count, hashes, flags, root=None):
    """Return a merkle block by hand: `flags` as a string of 0 and 1, first one first."""
    packed = int(flags[::-1] or "0", 2).to_bytes((len(flags) + 7) // 8, "little")
    head = header(merkle_root(TXIDS)[0] if root is None else root).serialize()
    return b"".join((head, pack_u32(count), pack_compact_size(len(hashes)), *hashes, pack_var_bytes(packed)))


def proven(*arguments, **options):
    return decode_proof(proof(*arguments, **options))[2]


def pair(left, right):
    return sha256d(left + right)


# The tree of seven: the last transaction is its own neighbour.
LEFT = pair(pair(TXIDS[0], TXIDS[1]), pair(TXIDS[2], TXIDS[3]))
RIGHT = pair(pair(TXIDS[4], TXIDS[5]), pair(TXIDS[6], TXIDS[6]))
THIRD = ([pair(TXIDS[0], TXIDS[1]), TXIDS[2], TXIDS[3], RIGHT], "1101100")


def test_a_proof_written_out_by_hand_is_the_one_that_is_made():
    hashes, flags = THIRD
    assert proof(7, hashes, flags) == encode_proof(header(pair(LEFT, RIGHT)), merkle_tree(TXIDS), {TXIDS[2]})
    assert proven(7, hashes, flags) == [TXIDS[2]]
    last = ([LEFT, pair(TXIDS[4], TXIDS[5]), TXIDS[6]], "101011")
    assert proof(7, *last) == encode_proof(header(pair(LEFT, RIGHT)), merkle_tree(TXIDS), {TXIDS[6]})
    assert proven(7, *last) == [TXIDS[6]]


def test_a_proof_of_nothing_is_the_root():
    assert encode_proof(header(pair(LEFT, RIGHT)), merkle_tree(TXIDS), set()) == proof(7, [pair(LEFT, RIGHT)], "0")
    assert proven(7, [pair(LEFT, RIGHT)], "0") == []


def test_one_transaction_is_its_own_root():
    assert proven(1, [TXIDS[0]], "1", root=TXIDS[0]) == [TXIDS[0]]
    assert encode_proof(header(TXIDS[0]), merkle_tree(TXIDS[:1]), {TXIDS[0]}) == proof(
        1, [TXIDS[0]], "1", root=TXIDS[0]
    )


@pytest.mark.parametrize(
    ("count", "hashes", "flags"),
    [
        (0, [], ""),
        (4, *THIRD),
        (9, *THIRD),
        (3, *THIRD),
        (7, THIRD[0][:-1], THIRD[1]),
        (7, [*THIRD[0], RIGHT], THIRD[1]),
        (7, THIRD[0][::-1], THIRD[1]),
        (7, THIRD[0], THIRD[1] + "00"),
        (7, THIRD[0], "0" + THIRD[1][1:]),
        (7, THIRD[0], "1111100"),
        (7, THIRD[0], ""),
    ],
    ids=["no transactions", "a lower tree", "a higher tree", "fewer than hashes", "a hash missing", "a hash too many",
         "hashes turned round", "a byte of flags too many", "a root that is a leaf", "another way down", "no flags"],
)  # fmt: skip
def test_a_malformed_proof_proves_nothing(count, hashes, flags):
    assert proven(count, hashes, flags) == []


def test_the_number_of_transactions_is_claimed_and_not_proven():
    # The same way down in every tree of this height: who reads a proof compares the number with the block's.
    assert proven(5, *THIRD) == proven(8, *THIRD) == [TXIDS[2]]
    assert decode_proof(proof(8, *THIRD))[1] == 8


def test_flags_that_fill_the_last_byte_may_be_anything():
    hashes, flags = THIRD
    assert proven(7, hashes, flags + "1") == [TXIDS[2]]


def test_a_proof_needs_as_many_flags_as_hashes():
    # Nine hashes and eight flags: the check comes before the walk.
    many = [sha256(bytes([number])) for number in range(40)]
    root = merkle_root(many)[0]
    assert proven(40, many[:9], "0" * 8, root=root) == []
    assert proven(40, [root], "0", root=root) == []


def test_the_same_hash_twice_side_by_side_proves_nothing():
    # CVE-2012-2459: of two, the second one repeated makes a third that is not there.
    root = merkle_root(TXIDS[:3])[0]
    below = pair(TXIDS[0], TXIDS[1])
    assert root == pair(below, pair(TXIDS[2], TXIDS[2]))
    assert proven(4, [below, TXIDS[2], TXIDS[2]], "10101", root=root) == []
    assert proven(3, [below, TXIDS[2]], "1011", root=root) == [TXIDS[2]]


def test_a_block_has_at_most_16666_transactions(monkeypatch):
    assert partial_merkle._MOST_TXS == 16_666
    monkeypatch.setattr(partial_merkle, "_MOST_TXS", 7)
    assert proven(7, *THIRD) == [TXIDS[2]]
    monkeypatch.setattr(partial_merkle, "_MOST_TXS", 6)
    assert proven(7, *THIRD) == []


def test_bytes_after_a_proof_are_refused():
    with pytest.raises(DecodeError, match="merkle block: 1 bytes too many"):
        decode_proof(proof(7, *THIRD) + b"\x00")


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_there_is_a_branch_of_every_leaf_and_of_no_other(count):
    tree = merkle_tree([sha256(bytes([number])) for number in range(count)])
    assert [len(level) for level in tree][-1] == 1
    assert [len(branch_of(tree, leaf)) for leaf in range(count)] == [len(tree) - 1] * count
    for outside in (-1, count):
        with pytest.raises(IndexError):
            branch_of(tree, outside)
