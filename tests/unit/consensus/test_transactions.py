import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.consensus.limits import MAX_MONEY
from shared.consensus.params import REGTEST
from shared.consensus.tx_check import check_transaction
from shared.consensus.tx_verify import (
    SequenceLocks,
    check_tx_inputs,
    is_final_tx,
    legacy_sigops,
    sequence_locks,
    sigop_cost,
)
from shared.crypto.hashes import hash160, sha256
from shared.errors import ValidationError
from shared.primitives.coin import Coin
from shared.primitives.transaction import NULL_OUTPOINT, OutPoint, Transaction, TxIn, TxOut
from shared.reasons import Reason
from shared.script.flags import MANDATORY, Flags
from shared.script.script import count_sigops, push_data, push_number
from shared.script.standard import p2pkh_script, p2sh_script, p2tr_script, p2wpkh_script, p2wsh_script
from tests.unit.consensus.builders import coinbase, payment

A, B = OutPoint(b"\x0a" * 32, 0), OutPoint(b"\x0b" * 32, 1)
OUTPUT = TxOut(1000, b"\x51")


def _tx(prevouts, outputs, *, script_sig=b""):
    return Transaction(2, tuple(TxIn(prevout, script_sig) for prevout in prevouts), tuple(outputs))


def _refused(reason, function, *arguments):
    with pytest.raises(ValidationError) as caught:
        function(*arguments)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("tx", "reason"),
    [
        (_tx([], [OUTPUT]), "bad-txns-vin-empty"),
        (_tx([A], []), "bad-txns-vout-empty"),
        (_tx([A], [TxOut(-1, b"")]), "bad-txns-vout-negative"),
        (_tx([A], [TxOut(MAX_MONEY + 1, b"")]), "bad-txns-vout-toolarge"),
        (_tx([A], [TxOut(MAX_MONEY, b""), TxOut(1, b"")]), "bad-txns-txouttotal-toolarge"),
        (_tx([A, B, A], [OUTPUT]), "bad-txns-inputs-duplicate"),
        (_tx([NULL_OUTPOINT], [OUTPUT], script_sig=b"\x00"), "bad-cb-length"),
        (_tx([NULL_OUTPOINT], [OUTPUT], script_sig=bytes(101)), "bad-cb-length"),
        (_tx([A, NULL_OUTPOINT], [OUTPUT]), "bad-txns-prevout-null"),
        (_tx([A], [TxOut(0, bytes(1_000_000))]), "bad-txns-oversize"),
    ],
)
def test_a_transaction_that_breaks_a_rule_is_refused_with_cores_reason(tx, reason):
    _refused(Reason(reason), check_transaction, tx)


@pytest.mark.parametrize(
    "tx",
    [
        _tx([A, B], [OUTPUT]),
        _tx([A], [TxOut(MAX_MONEY, b"")]),
        _tx([A], [TxOut(0, b"")]),
        _tx([NULL_OUTPOINT], [OUTPUT], script_sig=bytes(2)),
        _tx([NULL_OUTPOINT], [OUTPUT], script_sig=bytes(100)),
    ],
)
def test_a_transaction_at_the_limits_is_accepted(tx):
    check_transaction(tx)


def test_the_size_limit_is_exact_and_does_not_count_the_witness():
    overhead = _tx([A], [TxOut(0, bytes(999_000))]).base_size - 999_000
    check_transaction(_tx([A], [TxOut(0, bytes(1_000_000 - overhead))]))
    _refused(Reason.BAD_TXNS_OVERSIZE, check_transaction, _tx([A], [TxOut(0, bytes(1_000_001 - overhead))]))
    huge_witness = Transaction(2, (TxIn(A, b"", witness=(bytes(2_000_000),)),), (OUTPUT,))
    check_transaction(huge_witness)


def _coin(value=5000, height=1, is_coinbase=False):
    return Coin(TxOut(value, b"\x51"), height, is_coinbase)


def test_the_fee_is_what_goes_in_and_does_not_come_out():
    tx = _tx([A, B], [TxOut(4000, b""), TxOut(2500, b"")])
    assert check_tx_inputs(tx, [_coin(5000), _coin(2000)], 10, REGTEST) == 500
    assert check_tx_inputs(tx, [_coin(5000), _coin(1500)], 10, REGTEST) == 0


def test_coins_that_are_not_there_are_missing():
    tx = _tx([A, B], [OUTPUT])
    _refused(Reason.BAD_TXNS_INPUTS_MISSINGORSPENT, check_tx_inputs, tx, [_coin(), None], 10, REGTEST)
    immature = _coin(is_coinbase=True)
    _refused(Reason.BAD_TXNS_INPUTS_MISSINGORSPENT, check_tx_inputs, tx, [immature, None], 10, REGTEST)


def test_more_out_than_in_is_refused():
    tx = _tx([A], [TxOut(5001, b"")])
    _refused(Reason.BAD_TXNS_IN_BELOWOUT, check_tx_inputs, tx, [_coin(5000)], 10, REGTEST)


def test_a_coinbase_cannot_be_spent_before_it_matures():
    tx = _tx([A], [OUTPUT])
    coins = [_coin(height=50, is_coinbase=True)]
    _refused(Reason.BAD_TXNS_PREMATURE_SPEND_OF_COINBASE, check_tx_inputs, tx, coins, 149, REGTEST)
    assert check_tx_inputs(tx, coins, 150, REGTEST) == 4000
    quick = dataclasses.replace(REGTEST, coinbase_maturity=5)
    assert check_tx_inputs(tx, coins, 55, quick) == 4000
    _refused(Reason.BAD_TXNS_PREMATURE_SPEND_OF_COINBASE, check_tx_inputs, tx, coins, 54, quick)


def test_other_coins_can_be_spent_at_once():
    assert check_tx_inputs(_tx([A], [OUTPUT]), [_coin(height=50)], 50, REGTEST) == 4000


@pytest.mark.parametrize("coins", [[_coin(MAX_MONEY + 1), _coin()], [_coin(-1), _coin()], [_coin(MAX_MONEY)] * 2])
def test_input_values_out_of_range_are_refused(coins):
    _refused(Reason.BAD_TXNS_INPUTVALUES_OUTOFRANGE, check_tx_inputs, _tx([A, B], [OUTPUT]), coins, 10, REGTEST)


def test_the_coins_must_be_those_of_the_inputs():
    with pytest.raises(ValueError, match="1 coins for 2 inputs"):
        check_tx_inputs(_tx([A, B], [OUTPUT]), [_coin()], 10, REGTEST)


@pytest.mark.parametrize(
    ("lock_time", "sequence", "height", "time", "is_final"),
    [
        (0, 0, 1, 1, True),
        (100, 0, 100, 0, False),
        (100, 0, 101, 0, True),
        (100, 0xFFFFFFFF, 1, 0, True),
        (100, 0xFFFFFFFE, 1, 0, False),
        (499_999_999, 0, 500_000_000, 0, True),
        (500_000_000, 0, 600_000_000, 500_000_000, False),
        (500_000_000, 0, 1, 500_000_001, True),
    ],
)
def test_lock_times_are_heights_or_times(lock_time, sequence, height, time, is_final):
    assert is_final_tx(payment(lock_time=lock_time, sequence=sequence), height, time) is is_final


def _no_times(height):
    raise AssertionError(f"nobody should ask for the time of block {height}")


def _locked(*sequences, version=2):
    return Transaction(version, tuple(TxIn(A, b"", sequence) for sequence in sequences), (OUTPUT,))


@pytest.mark.parametrize(
    ("sequences", "heights", "expected"),
    [
        ([0xFFFFFFFF], [100], (-1, -1)),
        ([0x80000005], [100], (-1, -1)),
        ([0], [100], (99, -1)),
        ([1], [100], (100, -1)),
        ([10], [100], (109, -1)),
        ([10, 3], [100, 120], (122, -1)),
        ([0x00030005], [100], (104, -1)),
        ([0x0000FFFF], [100], (100 + 65535 - 1, -1)),
    ],
)
def test_relative_locks_by_height_are_those_of_bip68(sequences, heights, expected):
    locks = sequence_locks(_locked(*sequences), heights, _no_times)
    assert locks == SequenceLocks(*expected)


def test_relative_locks_by_time_start_before_the_coins_block():
    times = {99: 1_000_000, 0: 5}
    locks = sequence_locks(_locked(0x00400002), [100], times.__getitem__)
    assert locks == SequenceLocks(-1, 1_000_000 + 2 * 512 - 1)
    assert sequence_locks(_locked(0x00400000), [0], times.__getitem__) == SequenceLocks(-1, 4)
    assert not locks.are_met(1, 1_000_000 + 1023)
    assert locks.are_met(1, 1_000_000 + 1024)


def test_relative_locks_need_version_two():
    assert sequence_locks(_locked(10, version=1), [100], _no_times) == SequenceLocks(-1, -1)
    assert sequence_locks(_locked(10, version=0xFFFFFFFF), [100], _no_times) == SequenceLocks(109, -1)


def test_a_coin_of_ten_blocks_ago_is_ten_blocks_old():
    locks = sequence_locks(_locked(10), [100], _no_times)
    assert not locks.are_met(109, 0)
    assert locks.are_met(110, 0)


def _multisig(keys):
    pushes = b"".join(push_data(b"\x02" + bytes(32)) for _ in range(keys))
    return push_number(1) + pushes + push_number(keys) + b"\xae"


MULTISIG = _multisig(3)


@pytest.mark.parametrize(
    ("script_pubkey", "script_sig", "witness", "cost"),
    [
        (b"\x51", b"", (), 0),
        (p2pkh_script(bytes(20)), b"", (), 0),
        (p2wpkh_script(bytes(20)), b"", (b"", b""), 1),
        (p2tr_script(bytes(32)), b"", (b"",), 0),
        (p2sh_script(hash160(MULTISIG)), push_data(MULTISIG), (), 12),
        (p2sh_script(hash160(MULTISIG)), b"\x61" + push_data(MULTISIG), (), 0),
        (p2sh_script(hash160(MULTISIG)), push_data(MULTISIG) + b"\x05", (), 0),
        (p2sh_script(hash160(b"")), b"", (), 0),
        (p2wsh_script(sha256(MULTISIG)), b"", (b"", MULTISIG), 3),
        (p2wsh_script(sha256(MULTISIG)), b"", (), 0),
        (p2sh_script(bytes(20)), push_data(p2wpkh_script(bytes(20))), (b"", b""), 1),
        (p2sh_script(bytes(20)), push_data(p2wsh_script(bytes(32))), (MULTISIG,), 3),
    ],
)
def test_the_cost_of_signature_operations_is_cores(script_pubkey, script_sig, witness, cost):
    tx = Transaction(2, (TxIn(A, script_sig, witness=witness),), (TxOut(1, b"\x51"),))
    assert sigop_cost(tx, [TxOut(1, script_pubkey)], MANDATORY) == cost


def test_outputs_count_four_times_and_a_coinbase_only_by_itself():
    tx = Transaction(2, (TxIn(A, b"\xac"),), (TxOut(1, p2pkh_script(bytes(20))), TxOut(1, MULTISIG)))
    assert legacy_sigops(tx) == 22
    assert sigop_cost(tx, [TxOut(1, b"\x51")], MANDATORY) == 88
    assert sigop_cost(coinbase(5, outputs=(TxOut(1, b"\xac"),)), [], MANDATORY) == 4


def test_without_their_flags_p2sh_and_witness_are_not_counted():
    tx = Transaction(2, (TxIn(A, push_data(MULTISIG)),), (TxOut(1, b""),))
    assert sigop_cost(tx, [TxOut(1, p2sh_script(bytes(20)))], Flags.NONE) == 0
    tx = Transaction(2, (TxIn(A, b"", witness=(b"", b"")),), (TxOut(1, b""),))
    assert sigop_cost(tx, [TxOut(1, p2wpkh_script(bytes(20)))], Flags.P2SH) == 0


@given(st.binary(max_size=60))
def test_legacy_sigops_agree_with_a_plain_count(script):
    tx = Transaction(2, (TxIn(A, script),), (TxOut(1, script),))
    assert legacy_sigops(tx) == 2 * count_sigops(script, accurate=False)
