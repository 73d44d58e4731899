"""Which script rules apply to a block: by its height, and by the exceptions that history has made."""

from __future__ import annotations

from shared.consensus.params import ChainParams
from shared.script.flags import Flags

_FROM_THE_START = Flags.P2SH | Flags.WITNESS


def block_flags(height: int, params: ChainParams, block_hash: bytes | None = None) -> Flags:
    """Return the rules for a block at `height` (Core's GetBlockScriptFlags).

    P2SH and WITNESS hold at every height, as in Core; taproot does too on Bitcoin's networks. A block whose
    `block_hash` is among the chain's exceptions is excused from some of these; without it no exception is made.
    """
    flags = _FROM_THE_START
    if height >= params.taproot_height:
        flags |= Flags.TAPROOT
    for excused, instead in params.script_flag_exceptions:
        if block_hash == excused:
            flags = instead
    for activation_height, flag in (
        (params.bip66_height, Flags.DERSIG),
        (params.bip65_height, Flags.CHECKLOCKTIMEVERIFY),
        (params.csv_height, Flags.CHECKSEQUENCEVERIFY),
        (params.segwit_height, Flags.NULLDUMMY),
    ):
        if height >= activation_height:
            flags |= flag
    return flags
