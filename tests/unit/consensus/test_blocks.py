from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.consensus.block_check import (
    COMMITMENT_HEADER,
    bip34_height_push,
    check_block,
    check_block_context,
    check_header_context,
    commitment_script,
    median_time_past,
    witness_commitment,
)
from shared.consensus.params import MAINNET, REGTEST, SIGNET, TESTNET4
from shared.errors import ValidationError
from shared.primitives.block import Block
from shared.primitives.merkle import witness_merkle_root
from shared.primitives.transaction import TxOut
from shared.reasons import Reason
from shared.script.script import decode_number
from tests.unit.consensus.builders import CONTEXT, NOW, coinbase, committed, mined, payment

HEIGHT = CONTEXT.height


def _refused(reason, function, *arguments):
    with pytest.raises(ValidationError) as caught:
        function(*arguments)
    assert caught.value.reason is Reason(reason)


@pytest.mark.parametrize("params", [MAINNET, TESTNET4, SIGNET, REGTEST], ids=lambda params: params.name)
def test_the_genesis_blocks_are_valid_by_themselves(params):
    check_block(params.genesis, params)


def test_a_block_with_payments_passes_every_check():
    block = mined(committed(HEIGHT, [payment(1, witness=(b"x",)), payment(2)]))
    check_block(block, REGTEST)
    check_header_context(block.header, CONTEXT, REGTEST, NOW)
    check_block_context(block, CONTEXT, REGTEST)


@pytest.mark.parametrize(
    ("transactions", "reason"),
    [
        ([], "bad-blk-length"),
        ([payment()], "bad-cb-missing"),
        ([coinbase(1), payment(), coinbase(2)], "bad-cb-multiple"),
        ([coinbase(1), payment(value=-1)], "bad-txns-vout-negative"),
        ([coinbase(1, script_sig=b"\x00")], "bad-cb-length"),
        ([coinbase(1), payment(1), payment(2), payment(2)], "bad-txns-duplicate"),
        ([coinbase(1, outputs=(TxOut(1, b"\xac" * 20_001),))], "bad-blk-sigops"),
        ([coinbase(1, outputs=(TxOut(1, bytes(1_000_000)),))], "bad-blk-length"),
    ],
)
def test_a_block_that_breaks_a_rule_is_refused_with_cores_reason(transactions, reason):
    _refused(reason, check_block, mined(transactions), REGTEST)


def test_the_limit_of_signature_operations_is_exact():
    check_block(mined([coinbase(1, outputs=(TxOut(1, b"\xac" * 20_000),))]), REGTEST)


def test_the_merkle_root_must_be_that_of_the_transactions():
    _refused("bad-txnmrklroot", check_block, mined([coinbase(1)], merkle_root=bytes(32)), REGTEST)


def test_repeated_transactions_with_the_same_root_are_told_apart():
    honest = mined([coinbase(1), payment(1), payment(2)])
    mutated = Block(honest.header, (*honest.transactions, honest.transactions[-1]))
    check_block(honest, REGTEST)
    _refused("bad-txns-duplicate", check_block, mutated, REGTEST)


def test_proof_of_work_comes_first():
    block = mined([coinbase(1)])
    _refused("high-hash", check_block, Block(replace(block.header, bits=0x1D00FFFF), ()), REGTEST)


def test_a_signet_block_without_a_solution_is_refused():
    easy_signet = replace(SIGNET, pow_limit=REGTEST.pow_limit)
    _refused("bad-signet-blksig", check_block, mined([coinbase(1)]), easy_signet)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bits": 0x207FFFFE}, "bad-diffbits"),
        ({"time": CONTEXT.median_time_past}, "time-too-old"),
        ({"time": NOW + 7201}, "time-too-new"),
        ({"version": 3}, "bad-version"),
        ({"version": -1}, "bad-version"),
    ],
)
def test_a_header_that_does_not_fit_on_its_branch_is_refused(changes, reason):
    header = replace(mined([coinbase(HEIGHT)]).header, **changes)
    _refused(reason, check_header_context, header, CONTEXT, REGTEST, NOW)


@pytest.mark.parametrize(
    "changes", [{"time": CONTEXT.median_time_past + 1}, {"time": NOW + 7200}, {"version": 0x20000000}]
)
def test_a_header_at_the_limits_is_accepted(changes):
    header = replace(mined([coinbase(HEIGHT)]).header, **changes)
    check_header_context(header, CONTEXT, REGTEST, NOW)


@pytest.mark.parametrize(("version", "first_refused_at"), [(1, 10), (2, 20), (3, 30)])
def test_old_versions_are_refused_from_the_height_of_their_fork(version, first_refused_at):
    params = replace(REGTEST, bip34_height=10, bip66_height=20, bip65_height=30)
    header = replace(mined([coinbase(HEIGHT)]).header, version=version)
    check_header_context(header, replace(CONTEXT, height=first_refused_at - 1), params, NOW)
    late = replace(CONTEXT, height=first_refused_at)
    _refused("bad-version", check_header_context, header, late, params, NOW)


def test_a_header_of_another_branch_is_a_mistake_of_the_caller():
    header = mined([coinbase(HEIGHT)], prev_hash=bytes(32)).header
    with pytest.raises(ValueError, match="another branch"):
        check_header_context(header, CONTEXT, REGTEST, NOW)


def test_bip94_forbids_a_jump_back_at_the_start_of_a_period():
    params = replace(REGTEST, enforce_bip94=True)
    context = replace(CONTEXT, height=144, median_time_past=CONTEXT.prev_time - 5000)
    early = mined([coinbase(144)], time=CONTEXT.prev_time - 601).header
    _refused("time-timewarp-attack", check_header_context, early, context, params, NOW)
    check_header_context(early, context, REGTEST, NOW)
    check_header_context(early, replace(context, height=145), params, NOW)
    just_in_time = mined([coinbase(144)], time=CONTEXT.prev_time - 600).header
    check_header_context(just_in_time, context, params, NOW)


def test_transactions_must_be_final_by_median_time_past():
    locked = payment(lock_time=CONTEXT.median_time_past, sequence=0)
    block = mined(committed(HEIGHT, [locked]))
    _refused("bad-txns-nonfinal", check_block_context, block, CONTEXT, REGTEST)
    check_block_context(block, replace(CONTEXT, median_time_past=CONTEXT.median_time_past + 1), REGTEST)
    before_bip113 = replace(REGTEST, csv_height=HEIGHT + 1)
    check_block_context(block, CONTEXT, before_bip113)


def test_the_coinbase_must_begin_with_the_height():
    wrong = mined([coinbase(HEIGHT + 1)])
    _refused("bad-cb-height", check_block_context, wrong, CONTEXT, REGTEST)
    check_block_context(wrong, CONTEXT, replace(REGTEST, bip34_height=HEIGHT + 1))


@given(st.integers(0, 500_000_000))
def test_the_height_push_is_the_shortest(height):
    push = bip34_height_push(height)
    if height <= 16:
        assert push == bytes([0x50 + height if height else 0])
    else:
        assert push[0] == len(push) - 1
        assert decode_number(push[1:], max_size=5, minimal=True) == height


def test_the_height_push_of_block_227931_is_that_of_mainnet():
    assert bip34_height_push(227_931).hex() == "035b7a03"


def test_a_witness_without_commitment_is_unexpected():
    block = mined([coinbase(HEIGHT), payment(witness=(b"x",))])
    _refused("unexpected-witness", check_block_context, block, CONTEXT, REGTEST)


def test_before_segwit_no_block_may_have_witnesses():
    block = mined(committed(HEIGHT, [payment(witness=(b"x",))]))
    _refused("unexpected-witness", check_block_context, block, CONTEXT, replace(REGTEST, segwit_height=HEIGHT + 1))


@pytest.mark.parametrize("witness", [(), (bytes(31),), (bytes(33),), (bytes(32), bytes(32))])
def test_the_reserved_value_is_one_item_of_32_bytes(witness):
    transactions = committed(HEIGHT, [payment(witness=(b"x",))])
    block = mined([coinbase(HEIGHT, witness=witness, outputs=transactions[0].outputs), *transactions[1:]])
    _refused("bad-witness-nonce-size", check_block_context, block, CONTEXT, REGTEST)


def test_the_commitment_must_be_over_these_witnesses():
    transactions = committed(HEIGHT, [payment(witness=(b"x",))])
    block = mined([transactions[0], payment(witness=(b"y",))])
    _refused("bad-witness-merkle-match", check_block_context, block, CONTEXT, REGTEST)


def test_any_reserved_value_will_do_if_it_is_committed_to():
    reserved = b"\x07" * 32
    bare = coinbase(HEIGHT, witness=(reserved,))
    pay = payment(witness=(b"x",))
    root = witness_merkle_root(Block(mined([bare]).header, (bare, pay)))
    outputs = (*bare.outputs, TxOut(0, commitment_script(root, reserved)))
    block = mined([coinbase(HEIGHT, witness=(reserved,), outputs=outputs), pay])
    check_block_context(block, CONTEXT, REGTEST)


def test_the_last_commitment_counts_and_may_be_longer():
    first, last = commitment_script(b"\x01" * 32), commitment_script(b"\x02" * 32)
    outputs = (TxOut(0, first), TxOut(0, last + b"more"), TxOut(5, b"\x51"), TxOut(0, COMMITMENT_HEADER))
    block = Block(mined([coinbase(1)]).header, (coinbase(1, outputs=outputs),))
    assert witness_commitment(block) == last[6:]
    assert len(last) == 38
    assert witness_commitment(mined([coinbase(1)])) is None


def test_the_weight_limit_counts_the_witness():
    block = mined(committed(HEIGHT, [payment(witness=(bytes(3_998_944),))]))
    assert block.weight == 4_000_000
    check_block_context(block, CONTEXT, REGTEST)
    too_heavy = mined(committed(HEIGHT, [payment(witness=(bytes(3_998_945),))]))
    check_block(too_heavy, REGTEST)
    _refused("bad-blk-weight", check_block_context, too_heavy, CONTEXT, REGTEST)


@pytest.mark.parametrize(
    ("times", "median"),
    [([5], 5), ([5, 9], 9), ([3, 1, 2], 2), (list(range(11)), 5), ([99, *range(11)], 5), ([7] * 6 + [1] * 5, 7)],
)
def test_the_median_is_of_the_last_eleven(times, median):
    assert median_time_past(times) == median
