"""Merkle trees over transaction ids: the roots in headers and witness commitments, and branches for miners.

A level with an odd number of nodes repeats its last node, so different lists can have one root (CVE-2012-2459).
`merkle_root` reports a list with such a repetition. Source: Core's consensus/merkle.cpp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.crypto.hashes import sha256d

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.primitives.block import Block

_ZERO = bytes(32)


def merkle_root(leaves: Sequence[bytes]) -> tuple[bytes, bool]:
    """Return the root of 32-byte leaves (zeros if there are none) and whether two sibling nodes are equal."""
    if not leaves:
        return _ZERO, False
    level = list(leaves)
    mutated = False
    while len(level) > 1:
        mutated = mutated or any(level[i] == level[i + 1] for i in range(0, len(level) - 1, 2))
        level = _next_level(level)
    return level[0], mutated


def _next_level(level: list[bytes]) -> list[bytes]:
    if len(level) % 2:
        level.append(level[-1])
    return [sha256d(level[i] + level[i + 1]) for i in range(0, len(level), 2)]


def merkle_tree(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """Return every level of the tree, from the leaves to the root, without the repeated last nodes."""
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        levels.append(_next_level(list(levels[-1])))
    return levels


def branch_of(tree: Sequence[Sequence[bytes]], index: int) -> list[bytes]:
    """Return the siblings on the path from leaf `index` of a tree to its root, lowest first."""
    if not 0 <= index < len(tree[0]):
        raise IndexError(f"no leaf {index} among {len(tree[0])}")
    branch = []
    for level in tree[:-1]:
        sibling = index ^ 1
        branch.append(level[sibling] if sibling < len(level) else level[index])
        index //= 2
    return branch


def merkle_branch(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the siblings on the path from leaf `index` to the root, lowest first."""
    return branch_of(merkle_tree(leaves), index)


def root_from_branch(leaf: bytes, branch: Sequence[bytes], index: int) -> bytes:
    """Return the root that `leaf` at `index` has with these siblings."""
    node = leaf
    for sibling in branch:
        node = sha256d(sibling + node) if index & 1 else sha256d(node + sibling)
        index >>= 1
    return node


def block_merkle_root(block: Block) -> tuple[bytes, bool]:
    """Return the merkle root of a block's txids and whether the list is mutated (Core's BlockMerkleRoot)."""
    return merkle_root([tx.txid for tx in block.transactions])


def witness_merkle_root(block: Block) -> bytes:
    """Return the merkle root of a block's wtxids, with zeros for the coinbase's (BIP141)."""
    return merkle_root([_ZERO, *(tx.wtxid for tx in block.transactions[1:])])[0]
