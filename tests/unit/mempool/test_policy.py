"""Limits of relay policy: exactly at the limit a transaction passes, one more and it is refused with Core's reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shared import policy
from shared.errors import ValidationError
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from shared.reasons import Reason
from shared.script import opcodes as op
from shared.script.script import push_data, push_number
from shared.script.standard import P2A_SCRIPT, p2pkh_script, p2sh_script, p2tr_script, p2wpkh_script, p2wsh_script

P2WPKH, P2TR = p2wpkh_script(bytes(20)), p2tr_script(bytes(32))
PREVOUT = OutPoint(bytes([1]) * 32, 0)


def reason_of(check: Callable[[], object]) -> str:
    try:
        check()
    except ValidationError as error:
        return str(error.reason)
    return ""


def tx(*outputs: TxOut, script_sig: bytes = b"", version: int = 2, witness: tuple[bytes, ...] = ()) -> Transaction:
    return Transaction(version, (TxIn(PREVOUT, script_sig, 0, witness),), outputs or (TxOut(1_000, P2TR),))


def standard(transaction: Transaction) -> str:
    return reason_of(lambda: policy.check_standard(transaction))


def data_output(size: int) -> TxOut:
    """Return a data output whose script has `size` bytes."""
    head = 3 if size <= 258 else 4 if size <= 65_539 else 6
    script = bytes([op.OP_RETURN]) + push_data(bytes(size - head))
    assert len(script) == size
    return TxOut(0, script)


@pytest.mark.parametrize(
    ("version", "reason"), [(0, Reason.VERSION), (1, ""), (3, ""), (4, Reason.VERSION), (0xFFFFFFFF, Reason.VERSION)]
)
def test_versions_1_to_3_are_relayed(version: int, reason: str) -> None:
    assert standard(tx(version=version)) == reason


@pytest.mark.parametrize(("excess", "reason"), [(0, ""), (1, Reason.TX_SIZE)])
def test_a_transaction_weighs_at_most_400000(excess: int, reason: str) -> None:
    spare = 400_000 - tx(witness=(bytes(300_000),)).weight
    full = tx(witness=(bytes(300_000 + spare + excess),))
    assert full.weight == 400_000 + excess
    assert standard(full) == reason


@pytest.mark.parametrize(("size", "reason"), [(65, ""), (64, Reason.TX_SIZE_SMALL), (63, Reason.TX_SIZE_SMALL)])
def test_a_transaction_has_at_least_65_bytes_without_witness(size: int, reason: str) -> None:
    padding = size - tx(TxOut(0, bytes([op.OP_RETURN]))).base_size
    small = tx(TxOut(0, bytes([op.OP_RETURN]) + bytes([op.OP_0]) * padding), witness=(bytes(500),))
    assert small.base_size == size
    assert standard(small) == reason


@pytest.mark.parametrize(("size", "reason"), [(1_650, ""), (1_651, Reason.SCRIPTSIG_SIZE)])
def test_a_script_sig_has_at_most_1650_bytes(size: int, reason: str) -> None:
    assert standard(tx(script_sig=push_data(bytes(size - 3)))) == reason


@pytest.mark.parametrize(
    ("script_sig", "reason"),
    [
        (bytes([op.OP_16]), ""),
        (bytes([op.OP_RESERVED]), ""),
        (bytes([op.OP_NOP]), Reason.SCRIPTSIG_NOT_PUSHONLY),
        (b"\x02a", Reason.SCRIPTSIG_NOT_PUSHONLY),
    ],
)
def test_a_script_sig_only_pushes(script_sig: bytes, reason: str) -> None:
    assert standard(tx(script_sig=script_sig)) == reason


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ([90_000, 10_000], Reason.TX_SIZE),
        ([50_000, 40_000], ""),
        ([83], ""),
        ([1, 1, 1], ""),
    ],
    ids=str,
)
def test_outputs_of_data_are_many_and_long_as_far_as_the_weight_goes(sizes: list[int], reason: str) -> None:
    outputs = [TxOut(0, b"\x6a") if size == 1 else data_output(size) for size in sizes]
    assert standard(tx(*outputs, TxOut(1_000, P2TR))) == reason


@pytest.mark.parametrize(("limit", "reason"), [(300, ""), (299, Reason.DATACARRIER)])
def test_the_limit_of_data_is_of_all_outputs_together(limit: int, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert policy.MAX_DATACARRIER_BYTES == 100_000
    monkeypatch.setattr(policy, "MAX_DATACARRIER_BYTES", limit)
    assert standard(tx(data_output(100), data_output(200))) == reason


@pytest.mark.parametrize(
    ("script", "dust"),
    [
        (p2pkh_script(bytes(20)), 546),
        (p2sh_script(bytes(20)), 540),
        (P2WPKH, 294),
        (p2wsh_script(bytes(32)), 330),
        (P2TR, 330),
        (P2A_SCRIPT, 240),
    ],
)
def test_an_output_is_worth_at_least_what_spending_it_costs(script: bytes, dust: int) -> None:
    assert standard(tx(TxOut(dust, script), TxOut(1_000, P2TR))) == ""
    assert standard(tx(TxOut(1_000, P2TR), TxOut(dust - 1, script))) == Reason.DUST


def test_the_dust_threshold_follows_the_feerate_and_rounds_up() -> None:
    output = TxOut(0, p2pkh_script(bytes(20)))
    assert [policy.dust_threshold(output, rate) for rate in (0, 1, 6_000)] == [0, 1, 1_092]
    assert policy.dust_threshold(TxOut(0, b"\x6a")) == 0


def test_an_output_of_data_may_be_worth_nothing_and_something() -> None:
    padded = bytes([op.OP_RETURN]) + bytes(10)
    assert standard(tx(TxOut(0, padded), TxOut(0, padded))) == ""
    assert standard(tx(TxOut(1, padded))) == ""


def multisig(required: int, keys: int) -> bytes:
    pushes = push_data(b"\x02" + bytes(32)) * keys
    return push_number(required) + pushes + push_number(keys) + bytes([op.OP_CHECKMULTISIG])


@pytest.mark.parametrize(
    ("required", "keys", "reason"),
    [
        (1, 1, ""),
        (3, 3, ""),
        (1, 3, ""),
        (1, 4, Reason.SCRIPTPUBKEY),
        (4, 4, Reason.SCRIPTPUBKEY),
        (0, 1, Reason.SCRIPTPUBKEY),
        (2, 1, Reason.SCRIPTPUBKEY),
        (0, 0, Reason.SCRIPTPUBKEY),
    ],
)
def test_a_bare_multisig_has_up_to_three_keys(required: int, keys: int, reason: str) -> None:
    assert standard(tx(TxOut(10_000, multisig(required, keys)))) == reason


@pytest.mark.parametrize("script", [b"", b"\x51", b"\x00\x15" + bytes(21), b"\x6a\x02a"])
def test_an_output_without_a_known_form_is_not_relayed(script: bytes) -> None:
    assert standard(tx(TxOut(10_000, script))) == Reason.SCRIPTPUBKEY
    assert standard(tx(TxOut(1_000, P2TR), TxOut(10_000, script))) == Reason.SCRIPTPUBKEY


def test_an_output_of_a_future_witness_version_is_relayed() -> None:
    assert standard(tx(TxOut(1_000, b"\x52\x20" + bytes(32)))) == ""


# ── fees and sizes ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("vsize", "rate", "fee"), [(0, 100, 0), (1, 100, 1), (10, 100, 1), (11, 100, 2), (141, 100, 15), (1_000, 1, 1)]
)
def test_a_fee_for_a_rate_is_rounded_up(vsize: int, rate: int, fee: int) -> None:
    assert policy.fee_for(vsize, rate) == fee


@pytest.mark.parametrize(("fee", "vsize", "rate"), [(15, 141, 106), (999, 1_000, 999), (1, 1_001, 0), (0, 5, 0)])
def test_a_rate_of_a_fee_is_rounded_down(fee: int, vsize: int, rate: int) -> None:
    assert policy.feerate(fee, vsize) == rate


@pytest.mark.parametrize(
    ("weight", "cost", "vsize"), [(400, 0, 100), (401, 0, 101), (404, 20, 101), (400, 21, 105), (400, 20, 100)]
)
def test_the_virtual_size_is_no_less_than_what_signature_operations_cost(weight: int, cost: int, vsize: int) -> None:
    assert policy.adjusted_weight(weight, cost) == max(weight, 20 * cost)
    assert policy.policy_vsize(weight, cost) == vsize


def test_the_relay_minimum_is_met_to_the_satoshi() -> None:
    assert reason_of(lambda: policy.check_minimum_fee(15, 141)) == ""
    assert reason_of(lambda: policy.check_minimum_fee(14, 141)) == Reason.MIN_RELAY_FEE_NOT_MET
    assert reason_of(lambda: policy.check_minimum_fee(-1, 141)) == Reason.MIN_RELAY_FEE_NOT_MET


def test_the_senders_limit_is_kept_to_the_satoshi() -> None:
    assert reason_of(lambda: policy.check_maximum_fee(141, 141, 1_000)) == ""
    assert reason_of(lambda: policy.check_maximum_fee(142, 141, 1_000)) == Reason.MAX_FEE_EXCEEDED
    assert reason_of(lambda: policy.check_maximum_fee(1, 141, 0)) == Reason.MAX_FEE_EXCEEDED
    assert reason_of(lambda: policy.check_maximum_fee(10**9, 141, None)) == ""


def test_the_numbers_of_policy_are_cores() -> None:
    assert policy.MAX_POOL_VSIZE == 100_000_000
    assert policy.BYTES_PER_SIGOP == 20
    assert policy.MAX_STANDARD_VERSION == 3
