"""Bitcoin Core's own engine (py-bitcoinkernel) as a judge of whole chains."""

from __future__ import annotations

import re
from pathlib import Path

from shared.primitives.block import Block
from tests.oracles import oracle

pbk = oracle("pbk")

UNDECODABLE = "undecodable"
# Core's log is the one place where it says why it refused a block.
_REFUSAL = re.compile(r"AcceptBlock FAILED \((.*)\)$|Block validation error: (.*)$", re.MULTILINE)


class KernelChain:
    """A regtest chain of Core's own, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        context = pbk.make_context(pbk.ChainType.REGTEST)
        options = pbk.ChainstateManagerOptions(context, str(folder.absolute()), str((folder / "blocks").absolute()))
        options.set_worker_threads_num(0)  # scripts run in order, so that the first one that fails is the reason
        self._messages: list[str] = []
        self._log = pbk.LoggingConnection(self._messages.append)
        self._manager = pbk.ChainstateManager(options)

    def accepts(self, block: Block) -> bool:
        """Whether a block passes the checks that need no coins; `hashes` says if it was connected."""
        self._messages.clear()
        try:
            self._manager.process_block(pbk.Block(block.serialize()))
        except (pbk.ProcessBlockException, RuntimeError):
            return False
        return True

    def verdict(self, raw: bytes) -> str:
        """Process a block and return why it was refused, empty if it was not."""
        self._messages.clear()
        try:
            block = pbk.Block(raw)
        except RuntimeError:
            return UNDECODABLE
        try:
            self._manager.process_block(block)
        except pbk.ProcessBlockException:
            if not self._messages:
                raise
        refusal = _REFUSAL.search("".join(self._messages))
        if refusal is None:
            return ""
        reason, _, _ = (refusal[1] or refusal[2]).partition(", ")
        return reason

    @property
    def tip(self) -> bytes:
        """Hash of the best chain's last block."""
        chain = self._manager.get_active_chain()
        return bytes(chain.block_tree_entries[chain.height].block_hash)

    @property
    def hashes(self) -> list[bytes]:
        """Hashes of the best chain, from the genesis block on."""
        return [bytes(entry.block_hash) for entry in self._manager.get_active_chain().block_tree_entries]
