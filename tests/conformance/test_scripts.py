"""The script interpreter against Core's script_tests.json, down to the reason of each failure."""

import random
from decimal import Decimal

from shared.errors import ScriptError
from shared.reasons import Reason
from shared.script.flags import Flags
from shared.script.interpreter import verify_input
from shared.script.standard import p2tr_script
from tests.conformance.core_format import (
    fill_flags,
    parse_flags,
    parse_script,
    parse_witness,
    spend_of,
    trim_flags,
)

ALL_BITS = 21
TAPROOT_OUTPUT = "0x51 0x20 #TAPROOTOUTPUT#"


def _cases(vectors):
    for vector in vectors:
        if len(vector) == 1:  # a comment
            continue
        witness, output_key, amount = [], None, 0
        if isinstance(vector[0], list):
            *words, bitcoins = vector[0]
            witness, output_key = parse_witness(words)
            amount = int(Decimal(str(bitcoins)) * 100_000_000)
            vector = vector[1:]
        script_sig, script_pubkey, flags, expected, *_ = vector
        script = p2tr_script(output_key) if script_pubkey == TAPROOT_OUTPUT else parse_script(script_pubkey)
        yield (
            spend_of(script, parse_script(script_sig), witness, amount),
            fill_flags(parse_flags(flags)),
            expected,
            vector,
        )


def _outcome(tx, spent, flags):
    try:
        verify_input(tx, 0, [spent], flags)
    except ScriptError as error:
        return error.reason
    return "OK"


def test_scripts_end_as_in_core_with_the_same_reason(core_vectors):
    checked = 0
    for (tx, spent), flags, expected, vector in _cases(core_vectors("script_tests.json")):
        wanted = expected if expected == "OK" else Reason[expected]
        assert _outcome(tx, spent, flags) == wanted, vector
        checked += 1
    assert checked > 1200


def test_fewer_flags_never_fail_a_script_and_more_never_save_one(core_vectors):
    chance = random.Random(1)
    for (tx, spent), flags, expected, vector in _cases(core_vectors("script_tests.json")):
        for _ in range(5):
            extra = Flags(chance.getrandbits(ALL_BITS))
            changed = trim_flags(flags & ~extra) if expected == "OK" else fill_flags(flags | extra)
            assert (_outcome(tx, spent, changed) == "OK") == (expected == "OK"), (vector, changed)
