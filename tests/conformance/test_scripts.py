"""The script interpreter against Core's script_tests.json, down to the reason of each failure."""

from decimal import Decimal

from shared.errors import ScriptError
from shared.reasons import Reason
from shared.script.interpreter import verify_input
from tests.conformance.core_format import parse_flags, parse_script, spend_of


def _cases(vectors):
    for vector in vectors:
        if len(vector) == 1:  # a comment
            continue
        witness, amount = [], 0
        if isinstance(vector[0], list):
            *witness, bitcoins = vector[0]
            amount = int(Decimal(str(bitcoins)) * 100_000_000)
            vector = vector[1:]
        if any("#" in item for item in witness):
            continue
        script_sig, script_pubkey, flags, expected, *comment = vector
        spend = spend_of(parse_script(script_pubkey), parse_script(script_sig), map(bytes.fromhex, witness), amount)
        yield spend, parse_flags(flags), expected, comment


def _outcome(tx, spent, flags):
    try:
        verify_input(tx, 0, [spent], flags)
    except ScriptError as error:
        return error.reason
    return "OK"


def test_scripts_end_as_in_core(core_vectors):
    checked = 0
    for (tx, spent), flags, expected, comment in _cases(core_vectors("script_tests.json")):
        outcome = _outcome(tx, spent, flags)
        if outcome is Reason.UNSUPPORTED_SCRIPT:
            continue
        assert outcome == (expected if expected == "OK" else Reason[expected]), (spent, flags, comment)
        checked += 1
    assert checked >= 12
