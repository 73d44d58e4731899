"""Chooses the script rules for a block: by its height, and by hash for the blocks that break them."""

from __future__ import annotations

from shared.consensus.params import ChainParams
from shared.script.flags import Flags

_FROM_THE_START = Flags.P2SH | Flags.WITNESS


def block_flags(height: int, params: ChainParams, block_hash: bytes | None = None) -> Flags:
    """Return the script rules for a block at `height` (Core's GetBlockScriptFlags).

    P2SH and WITNESS hold at every height, as in Core, and so does TAPROOT on Bitcoin's networks. For a `block_hash`
    among the chain's exceptions, the flags of the exception replace these three.
    """
    flags = _FROM_THE_START
    if height >= params.taproot_height:
        flags |= Flags.TAPROOT
    for exception_hash, exception_flags in params.script_flag_exceptions:
        if block_hash == exception_hash:
            flags = exception_flags
    for activation_height, flag in (
        (params.bip66_height, Flags.DERSIG),
        (params.bip65_height, Flags.CHECKLOCKTIMEVERIFY),
        (params.csv_height, Flags.CHECKSEQUENCEVERIFY),
        (params.segwit_height, Flags.NULLDUMMY),
    ):
        if height >= activation_height:
            flags |= flag
    return flags
