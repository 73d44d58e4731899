import dataclasses

from shared.consensus.params import MAINNET, REGTEST
from shared.consensus.script_flags import block_flags
from shared.primitives.hex import parse_display_hash
from shared.script.flags import MANDATORY, STANDARD, Flags

EXCUSED = (
    "00000000000002dc756eebf4f49723ed8d30cc28a5f108eb94b1ba88ac4f9c22",
    "0000000000000000000f14c35b2d841e986ab5441de8c585d5ffe55ea1e395ad",
)


def test_flags_have_cores_values():
    # Written out again: the kernel oracle and every stored flag set depend on them.
    values = {
        "P2SH": 0,
        "STRICTENC": 1,
        "DERSIG": 2,
        "LOW_S": 3,
        "NULLDUMMY": 4,
        "SIGPUSHONLY": 5,
        "MINIMALDATA": 6,
        "DISCOURAGE_UPGRADABLE_NOPS": 7,
        "CLEANSTACK": 8,
        "CHECKLOCKTIMEVERIFY": 9,
        "CHECKSEQUENCEVERIFY": 10,
        "WITNESS": 11,
        "DISCOURAGE_UPGRADABLE_WITNESS_PROGRAM": 12,
        "MINIMALIF": 13,
        "NULLFAIL": 14,
        "WITNESS_PUBKEYTYPE": 15,
        "CONST_SCRIPTCODE": 16,
        "TAPROOT": 17,
        "DISCOURAGE_UPGRADABLE_TAPROOT_VERSION": 18,
        "DISCOURAGE_OP_SUCCESS": 19,
        "DISCOURAGE_UPGRADABLE_PUBKEYTYPE": 20,
    }
    assert {flag.name: flag.value for flag in Flags} == {name: 1 << bit for name, bit in values.items()}


def test_every_mandatory_flag_is_standard_and_only_push_only_is_neither():
    assert MANDATORY & STANDARD == MANDATORY
    assert Flags(sum(Flags)) & ~STANDARD == Flags.SIGPUSHONLY


def test_every_mandatory_rule_holds_on_regtest_from_block_one():
    assert block_flags(1, REGTEST) == MANDATORY


def test_rules_of_mainnet_begin_at_their_heights():
    always = Flags.P2SH | Flags.WITNESS | Flags.TAPROOT
    assert block_flags(0, MAINNET) == always
    assert block_flags(363_724, MAINNET) == always
    assert block_flags(363_725, MAINNET) == always | Flags.DERSIG
    assert block_flags(388_380, MAINNET) == always | Flags.DERSIG
    assert block_flags(388_381, MAINNET) == always | Flags.DERSIG | Flags.CHECKLOCKTIMEVERIFY
    assert not block_flags(419_327, MAINNET) & Flags.CHECKSEQUENCEVERIFY
    assert block_flags(419_328, MAINNET) & Flags.CHECKSEQUENCEVERIFY
    assert not block_flags(481_823, MAINNET) & Flags.NULLDUMMY
    assert block_flags(481_824, MAINNET) == MANDATORY


def test_a_chain_may_activate_taproot_later():
    params = dataclasses.replace(REGTEST, taproot_height=10)
    assert not block_flags(9, params) & Flags.TAPROOT
    assert block_flags(10, params) & Flags.TAPROOT


def test_the_blocks_of_mainnet_that_broke_a_rule_are_excused_from_it_alone():
    bip16, taproot = (parse_display_hash(text) for text in EXCUSED)
    assert block_flags(170_060, MAINNET, bip16) == Flags.NONE
    assert block_flags(692_261, MAINNET, taproot) == MANDATORY & ~Flags.TAPROOT
    assert block_flags(692_261, MAINNET, bytes(32)) == block_flags(692_261, MAINNET) == MANDATORY
    assert block_flags(692_261, REGTEST, taproot) == MANDATORY
