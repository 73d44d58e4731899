"""The size of all blocks of the best chain in bytes: summed once, then updated block by block."""

from __future__ import annotations

import threading

from shared.chain.view import ChainView, Tip

_BATCH = 2000


class ChainSize:
    """A running sum over the block index, safe to use from several threads."""

    def __init__(self, view: ChainView) -> None:
        self._view = view
        self._lock = threading.Lock()
        self._hash = b""
        self._height = -1
        self._bytes = 0

    def at(self, tip: Tip) -> int:
        """Return the bytes of all blocks up to this tip."""
        with self._lock:
            if self._height > tip.height or (self._hash and self._view.block_hash(self._height) != self._hash):
                self._hash, self._height, self._bytes = b"", -1, 0  # a reorganisation: start over
            while self._height < tip.height:
                hashes = self._view.block_hashes(self._height + 1, min(_BATCH, tip.height - self._height))
                if not hashes:  # the chain got shorter meanwhile
                    break
                self._bytes += sum(entry.size for entry in self._view.blocks.entries(hashes) if entry is not None)
                self._hash, self._height = hashes[-1], self._height + len(hashes)
            return self._bytes
