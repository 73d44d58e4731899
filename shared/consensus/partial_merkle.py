"""Partial merkle trees: proofs that some transactions are in a block (Core's merkleblock.cpp, BIP37). Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from shared.consensus.limits import MAX_BLOCK_WEIGHT, MIN_TRANSACTION_WEIGHT
from shared.crypto.hashes import sha256d
from shared.errors import DecodeError
from shared.primitives.block import BlockHeader
from shared.primitives.serialize import Reader, pack_compact_size, pack_u32, pack_var_bytes

_MOST_TXS = MAX_BLOCK_WEIGHT // MIN_TRANSACTION_WEIGHT
"""The most transactions of a block (Core's check in ExtractMatches)."""


def encode_proof(header: BlockHeader, tree: Sequence[Sequence[bytes]], matches: Collection[bytes]) -> bytes:
    """Return a merkle block: the header, and the part of the txid tree (`merkle_tree`) that proves the `matches`."""
    bits: list[bool] = []
    hashes: list[bytes] = []
    matched = [{position for position, txid in enumerate(tree[0]) if txid in matches}]
    for _ in tree[1:]:
        matched.append({position // 2 for position in matched[-1]})

    def visit(height: int, position: int) -> None:
        is_parent_of_match = position in matched[height]
        bits.append(is_parent_of_match)
        if height == 0 or not is_parent_of_match:
            hashes.append(tree[height][position])
            return
        visit(height - 1, 2 * position)
        if 2 * position + 1 < len(tree[height - 1]):
            visit(height - 1, 2 * position + 1)

    visit(len(tree) - 1, 0)
    packed = bytearray((len(bits) + 7) // 8)
    for index, bit in enumerate(bits):
        packed[index // 8] |= bit << index % 8
    return b"".join(
        (
            header.serialize(),
            pack_u32(len(tree[0])),
            pack_compact_size(len(hashes)),
            *hashes,
            pack_var_bytes(bytes(packed)),
        )
    )


def decode_proof(data: bytes) -> tuple[BlockHeader, int, list[bytes]]:
    """Return the header, the number of transactions in the block and the proven txids (empty if the proof is wrong).

    Raises DecodeError if the bytes are no merkle block.
    """
    reader = Reader(data)
    header = BlockHeader.read(reader)
    count = reader.u32("number of transactions")
    hashes = [reader.take(32, "hash") for _ in range(reader.count("hashes", 32))]
    packed = reader.var_bytes("flags")
    reader.finish("merkle block")
    bits = [bool(packed[index // 8] >> index % 8 & 1) for index in range(8 * len(packed))]
    proven = _Extraction(count, hashes, bits).run(header.merkle_root)
    return header, count, proven or []


class _Extraction:
    """Walks a partial tree (Core's CPartialMerkleTree::ExtractMatches)."""

    def __init__(self, count: int, hashes: Sequence[bytes], bits: Sequence[bool]) -> None:
        self._count = count
        self._hashes = hashes
        self._bits = bits
        self._bits_used = 0
        self._hashes_used = 0
        self._matches: list[bytes] = []

    def run(self, merkle_root: bytes) -> list[bytes] | None:
        """Return the matching txids, None if the tree is malformed or its root is not `merkle_root`."""
        if not 0 < self._count <= _MOST_TXS:
            return None
        if len(self._hashes) > self._count or len(self._bits) < len(self._hashes):
            return None
        height = (self._count - 1).bit_length()
        try:
            root = self._visit(height, 0)
        except DecodeError:
            return None
        if (self._bits_used + 7) // 8 != (len(self._bits) + 7) // 8 or self._hashes_used != len(self._hashes):
            return None
        return self._matches if root == merkle_root else None

    def _visit(self, height: int, position: int) -> bytes:
        if self._bits_used >= len(self._bits):
            raise DecodeError("the proof has too few flags")
        is_parent_of_match = self._bits[self._bits_used]
        self._bits_used += 1
        if height == 0 or not is_parent_of_match:
            if self._hashes_used >= len(self._hashes):
                raise DecodeError("the proof has too few hashes")
            node = self._hashes[self._hashes_used]
            self._hashes_used += 1
            if height == 0 and is_parent_of_match:
                self._matches.append(node)
            return node
        left = self._visit(height - 1, 2 * position)
        right = left
        if 2 * position + 1 < (self._count + (1 << height - 1) - 1) >> height - 1:
            right = self._visit(height - 1, 2 * position + 1)
            if right == left:
                raise DecodeError("the same hash twice side by side (CVE-2012-2459)")
        return sha256d(left + right)
