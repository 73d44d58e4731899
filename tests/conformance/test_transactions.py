"""Whole transactions against Core's tx_valid.json and tx_invalid.json."""

import pytest

from shared.consensus.tx_check import check_transaction
from shared.errors import ScriptError, ValidationError
from shared.primitives.hex import parse_display_hash
from shared.primitives.transaction import OutPoint, Transaction, TxOut
from shared.script.flags import Flags
from shared.script.interpreter import verify_input
from shared.script.sighash import SighashCache
from tests.conformance.core_format import fill_flags, parse_flags, parse_script, trim_flags

ALL = ~Flags.NONE


def _cases(vectors):
    for vector in vectors:
        if not isinstance(vector[0], list):
            continue
        coins, tx_hex, flags = vector
        spent = {}
        for txid_hex, vout, script, *amount in coins:
            outpoint = OutPoint(parse_display_hash(txid_hex), vout % (1 << 32))
            spent[outpoint] = TxOut(amount[0] if amount else 0, parse_script(script))
        yield Transaction.parse(bytes.fromhex(tx_hex)), spent, flags


def _failure(tx, coins, flags):
    """Return why the scripts fail under these flags, None if they succeed."""
    spent = [coins[tx_in.prevout] for tx_in in tx.inputs]
    cache = SighashCache(tx, spent)
    try:
        for index in range(len(tx.inputs)):
            verify_input(tx, index, spent, flags, cache=cache)
    except ScriptError as error:
        return error.reason
    return None


def test_transactions_serialize_to_what_they_were_parsed_from(core_vectors):
    vectors = core_vectors("tx_valid.json") + core_vectors("tx_invalid.json")
    tx_hexes = [vector[1] for vector in vectors if isinstance(vector[0], list)]
    assert len(tx_hexes) > 200
    for tx_hex in tx_hexes:
        tx = Transaction.parse(bytes.fromhex(tx_hex))
        rebuilt = Transaction(tx.version, tx.inputs, tx.outputs, tx.lock_time)
        assert rebuilt.serialize().hex() == tx_hex
        assert (rebuilt.txid, rebuilt.wtxid, rebuilt.weight) == (tx.txid, tx.wtxid, tx.weight)


def test_transactions_that_core_calls_valid_pass_the_context_free_rules(core_vectors):
    checked = 0
    for tx, _, _ in _cases(core_vectors("tx_valid.json")):
        check_transaction(tx)
        checked += 1
    assert checked > 100


def test_transactions_that_core_calls_bad_break_a_context_free_rule(core_vectors):
    checked = 0
    for tx, _, flags in _cases(core_vectors("tx_invalid.json")):
        if flags == "BADTX":
            with pytest.raises(ValidationError, match="bad-"):
                check_transaction(tx)
            checked += 1
        else:
            check_transaction(tx)
    assert checked >= 9


def test_scripts_of_valid_transactions_succeed_under_every_flag_core_does_not_exclude(core_vectors):
    checked = 0
    for tx, coins, excluded in _cases(core_vectors("tx_valid.json")):
        flags = trim_flags(ALL & ~parse_flags(excluded))
        failure = _failure(tx, coins, flags)
        assert failure is None, tx.txid_hex
        checked += 1
        for flag in Flags:
            assert _failure(tx, coins, trim_flags(flags & ~flag)) is None
        for flag in parse_flags(excluded):
            fewer = trim_flags(ALL & ~(parse_flags(excluded) & ~flag))
            if fewer != flags:
                assert _failure(tx, coins, fewer) is not None, "more flags are excluded than needed"
    assert checked > 100


def test_scripts_of_invalid_transactions_fail_under_the_flags_that_core_names(core_vectors):
    checked = 0
    for tx, coins, names in _cases(core_vectors("tx_invalid.json")):
        if names == "BADTX":
            continue
        flags = parse_flags(names)
        failure = _failure(tx, coins, flags)
        assert failure is not None, tx.txid_hex
        checked += 1
        for flag in Flags:
            assert _failure(tx, coins, fill_flags(flags | flag)) is not None
        for flag in flags:
            fewer = trim_flags(flags & ~flag)
            if fewer != flags:
                assert _failure(tx, coins, fewer) is None, "more flags are named than needed"
    assert checked > 80
