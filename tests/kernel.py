"""Bitcoin Core's own engine (py-bitcoinkernel) as a judge of whole chains."""

from __future__ import annotations

from pathlib import Path

import pbk

from shared.primitives.block import Block


class KernelChain:
    """A regtest chain of Core's own, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._manager = pbk.load_chainman(folder, pbk.ChainType.REGTEST)

    def accepts(self, block: Block) -> bool:
        """Whether a block passes the checks that need no coins; `hashes` says if it was connected."""
        try:
            self._manager.process_block(pbk.Block(block.serialize()))
        except (pbk.ProcessBlockException, RuntimeError):
            return False
        return True

    @property
    def hashes(self) -> list[bytes]:
        """Hashes of the best chain, from the genesis block on."""
        return [bytes(entry.block_hash) for entry in self._manager.get_active_chain().block_tree_entries]
