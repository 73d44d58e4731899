"""The flags that switch script rules on, with Core's names and values (script/interpreter.h)."""

from __future__ import annotations

from enum import IntFlag


class Flags(IntFlag):
    """Script verification flags (Core's SCRIPT_VERIFY_*)."""

    NONE = 0
    P2SH = 1 << 0  # BIP16
    STRICTENC = 1 << 1
    DERSIG = 1 << 2  # BIP66
    LOW_S = 1 << 3  # BIP146
    NULLDUMMY = 1 << 4  # BIP147
    SIGPUSHONLY = 1 << 5
    MINIMALDATA = 1 << 6
    DISCOURAGE_UPGRADABLE_NOPS = 1 << 7
    CLEANSTACK = 1 << 8
    CHECKLOCKTIMEVERIFY = 1 << 9  # BIP65
    CHECKSEQUENCEVERIFY = 1 << 10  # BIP112
    WITNESS = 1 << 11  # BIP141
    DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM = 1 << 12
    MINIMALIF = 1 << 13
    NULLFAIL = 1 << 14  # BIP146
    WITNESS_PUBKEYTYPE = 1 << 15
    CONST_SCRIPTCODE = 1 << 16
    TAPROOT = 1 << 17  # BIP341 and BIP342
    DISCOURAGE_UPGRADABLE_TAPROOT_VERSION = 1 << 18
    DISCOURAGE_OP_SUCCESS = 1 << 19
    DISCOURAGE_UPGRADABLE_PUBKEYTYPE = 1 << 20


MANDATORY = (
    Flags.P2SH
    | Flags.DERSIG
    | Flags.NULLDUMMY
    | Flags.CHECKLOCKTIMEVERIFY
    | Flags.CHECKSEQUENCEVERIFY
    | Flags.WITNESS
    | Flags.TAPROOT
)
"""All consensus rules (MANDATORY_SCRIPT_VERIFY_FLAGS)."""

STANDARD = (
    MANDATORY
    | Flags.STRICTENC
    | Flags.MINIMALDATA
    | Flags.DISCOURAGE_UPGRADABLE_NOPS
    | Flags.CLEANSTACK
    | Flags.MINIMALIF
    | Flags.NULLFAIL
    | Flags.LOW_S
    | Flags.DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM
    | Flags.WITNESS_PUBKEYTYPE
    | Flags.CONST_SCRIPTCODE
    | Flags.DISCOURAGE_UPGRADABLE_TAPROOT_VERSION
    | Flags.DISCOURAGE_OP_SUCCESS
    | Flags.DISCOURAGE_UPGRADABLE_PUBKEYTYPE
)
"""The rules for relayed transactions (STANDARD_SCRIPT_VERIFY_FLAGS)."""
