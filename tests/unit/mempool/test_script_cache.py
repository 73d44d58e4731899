"""The script cache: the inputs that it remembers, and the ones that it must not take for verified."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from services.mempool.pool.script_cache import Verifier
from shared.errors import ScriptCheckError
from shared.primitives.transaction import OutPoint, Transaction, TxOut
from shared.reasons import Reason
from shared.script.flags import MANDATORY, STANDARD, Flags
from tests.unit.script.spends import signed, unsigned

REASON = Reason.MEMPOOL_SCRIPT_VERIFY_FLAG_FAILED


def payment(number: int = 0) -> tuple[Transaction, list[TxOut]]:
    """Return a transaction of two inputs, a different one for each number."""
    tx, spent = unsigned(["p2wpkh", "p2tr"])
    tx = replace(tx, lock_time=number)
    for index, kind in enumerate(["p2wpkh", "p2tr"]):
        tx = signed(tx, index, spent, kind)
    return tx, spent


def test_what_was_verified_is_not_verified_again(runs: list[tuple[bytes, int]]) -> None:
    verifier = Verifier()
    tx, spent = payment()
    verifier.verify(tx, spent, STANDARD, REASON)
    assert runs == [(tx.txid, 0), (tx.txid, 1)]
    verifier.verify(tx, spent, STANDARD, REASON)
    verifier.verify(Transaction.parse(tx.serialize()), list(spent), MANDATORY, REASON)
    verifier.verify(tx, spent, Flags.P2SH | Flags.WITNESS, REASON)
    assert len(runs) == 2


def test_rules_that_were_not_checked_are_checked(runs: list[tuple[bytes, int]]) -> None:
    verifier = Verifier()
    tx, spent = payment()
    verifier.verify(tx, spent, MANDATORY & ~Flags.TAPROOT, REASON)
    verifier.verify(tx, spent, MANDATORY, REASON)
    assert len(runs) == 4
    verifier.verify(tx, spent, MANDATORY | Flags.CLEANSTACK, REASON)
    assert len(runs) == 6


def test_a_signature_that_only_fewer_rules_accept_is_refused_under_more() -> None:
    verifier = Verifier()
    tx, spent = payment()
    broken = structs.replace(tx.inputs[1], witness=(bytes(64),))
    forged = replace(tx, inputs=(tx.inputs[0], broken))
    verifier.verify(forged, spent, MANDATORY & ~Flags.TAPROOT, REASON)
    with pytest.raises(ScriptCheckError, match="Invalid Schnorr signature"):
        verifier.verify(forged, spent, MANDATORY, REASON)


def test_what_failed_is_not_remembered(runs: list[tuple[bytes, int]]) -> None:
    verifier = Verifier()
    tx, spent = payment()
    wrong = [TxOut(spent[0].value + 1, spent[0].script_pubkey), spent[1]]
    for _ in range(2):
        with pytest.raises(ScriptCheckError):
            verifier.verify(tx, wrong, STANDARD, REASON)
    assert len(runs) == 2
    verifier.verify(tx, spent, STANDARD, REASON)
    assert len(runs) == 4


def test_another_witness_is_another_transaction(runs: list[tuple[bytes, int]]) -> None:
    verifier = Verifier()
    tx, spent = payment()
    verifier.verify(tx, spent, STANDARD, REASON)
    signature, public_key = tx.inputs[0].witness
    malleated = structs.replace(tx.inputs[0], witness=(signature[:-1] + b"\x02", public_key))
    other = replace(tx, inputs=(malleated, tx.inputs[1]))
    assert other.txid == tx.txid
    with pytest.raises(ScriptCheckError):
        verifier.verify(other, spent, STANDARD, REASON)
    assert len(runs) == 3


def test_another_coin_makes_another_transaction(runs: list[tuple[bytes, int]]) -> None:
    verifier = Verifier()
    tx, spent = payment()
    verifier.verify(tx, spent, STANDARD, REASON)
    moved = structs.replace(tx.inputs[0], prevout=OutPoint(b"\x99" * 32, 0))
    other = replace(tx, inputs=(moved, tx.inputs[1]))
    with pytest.raises(ScriptCheckError):
        verifier.verify(other, [TxOut(1, spent[0].script_pubkey), spent[1]], STANDARD, REASON)
    assert len(runs) == 3


def test_the_memory_is_bounded_and_forgets_what_was_not_asked_for_longest(runs: list[tuple[bytes, int]]) -> None:
    verifier = Verifier(cache_size=2)
    (first, spent), (second, _), (third, _) = (payment(number) for number in range(3))
    for tx in (first, second, first, third):
        verifier.verify(tx, spent, STANDARD, REASON)
    assert len(runs) == 6
    verifier.verify(first, spent, STANDARD, REASON)
    assert len(runs) == 6
    verifier.verify(second, spent, STANDARD, REASON)
    assert len(runs) == 8
