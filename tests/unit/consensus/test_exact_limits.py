"""Limits of consensus that are easily off by one: met exactly they pass, missed by one they do not."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from shared.consensus.block_check import check_block, check_block_context, check_header_context
from shared.consensus.params import MAINNET, REGTEST, TESTNET4
from shared.consensus.pow import block_work, check_proof_of_work, next_bits
from shared.consensus.subsidy import block_subsidy, issued
from shared.consensus.tx_verify import legacy_sigops, sequence_locks, sigop_cost
from shared.crypto.hashes import sha256
from shared.errors import ValidationError
from shared.primitives.block import Block
from shared.primitives.target import bits_to_target
from shared.primitives.transaction import OutPoint, Transaction, TxIn, TxOut
from shared.script import opcodes as op
from shared.script.flags import MANDATORY, Flags
from shared.script.script import push_data
from shared.script.standard import p2pkh_script, p2sh_script, p2wpkh_script, p2wsh_script
from tests.unit.consensus.builders import CONTEXT, NOW, Headers, coinbase, committed, header, mined, payment

HEIGHT = CONTEXT.height
PREVOUT = OutPoint(b"\x0a" * 32, 0)


def reason(check, *arguments):
    try:
        check(*arguments)
    except ValidationError as error:
        return error.reason
    return ""


# ── blocks ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("excess", "expected"), [(0, ""), (1, "bad-blk-length")])
def test_a_block_has_at_most_a_million_bytes_without_witnesses(excess, expected):
    def block(padding):
        big = Transaction(2, (TxIn(PREVOUT, b""),), (TxOut(1, bytes(900_000)),))
        small = Transaction(2, (TxIn(OutPoint(b"\x0b" * 32, 0), b""),), (TxOut(1, bytes(padding)),))
        return mined([coinbase(HEIGHT), big, small])

    padding = 90_000 + 1_000_000 - block(90_000).base_size
    full = block(padding + excess)
    assert full.base_size == 1_000_000 + excess
    assert reason(check_block, full, REGTEST) == expected


def test_a_block_has_a_coinbase_first_and_no_other():
    first = coinbase(HEIGHT)
    assert reason(check_block, mined([]), REGTEST) == "bad-blk-length"
    assert reason(check_block, mined([payment()]), REGTEST) == "bad-cb-missing"
    assert reason(check_block, mined([payment(), first]), REGTEST) == "bad-cb-missing"
    assert reason(check_block, mined([first, payment(), coinbase(HEIGHT + 1)]), REGTEST) == "bad-cb-multiple"
    assert reason(check_block, mined([first, payment()]), REGTEST) == ""


def test_a_proposal_needs_no_work_but_everything_else():
    block = mined([coinbase(HEIGHT)])
    nonces = (replace(block.header, nonce=nonce) for nonce in range(1_000))
    unsolved = Block(next(tried for tried in nonces if tried.hash[31] & 0x80), block.transactions)
    assert reason(check_block, unsolved, REGTEST) == "high-hash"
    check_block(unsolved, REGTEST, check_pow=False)
    with pytest.raises(ValidationError, match="bad-txnmrklroot"):
        check_block(Block(unsolved.header, (coinbase(HEIGHT + 1),)), REGTEST, check_pow=False)


def test_each_rule_of_a_branch_begins_at_its_height():
    locked = mined([coinbase(HEIGHT), payment(lock_time=CONTEXT.median_time_past, sequence=0)])
    wrong = mined([coinbase(HEIGHT + 1)])
    witnessed = mined(committed(HEIGHT, [payment(witness=(b"x",))]))
    for at, later in ((HEIGHT, "active"), (HEIGHT + 1, "")):
        params = replace(REGTEST, csv_height=at, bip34_height=at, segwit_height=at)
        assert reason(check_block_context, locked, CONTEXT, params) == ("bad-txns-nonfinal" if later else "")
        assert reason(check_block_context, wrong, CONTEXT, params) == ("bad-cb-height" if later else "")
        assert reason(check_block_context, witnessed, CONTEXT, params) == ("" if later else "unexpected-witness")


def test_before_bip113_a_lock_ends_below_the_blocks_own_time():
    params = replace(REGTEST, csv_height=HEIGHT + 1)
    for lock_time, expected in ((NOW - 1, ""), (NOW, "bad-txns-nonfinal")):
        block = mined([coinbase(HEIGHT), payment(lock_time=lock_time, sequence=0)])
        assert reason(check_block_context, block, CONTEXT, params) == expected


def test_a_lock_by_height_ends_below_the_block():
    for lock_time, expected in ((HEIGHT - 1, ""), (HEIGHT, "bad-txns-nonfinal")):
        block = mined([coinbase(HEIGHT), payment(lock_time=lock_time, sequence=0)])
        assert reason(check_block_context, block, CONTEXT, REGTEST) == expected


def test_the_first_rule_of_a_header_that_is_broken_is_told():
    good = mined([coinbase(HEIGHT)]).header
    for changes, expected in (
        ({"bits": 1, "time": 0, "version": 1}, "bad-diffbits"),
        ({"time": CONTEXT.median_time_past, "version": 1}, "time-too-old"),
        ({"time": NOW + 7_201, "version": 1}, "time-too-new"),
        ({"version": 1}, "bad-version"),
        ({"version": -1}, "bad-version"),
        ({}, ""),
    ):
        assert reason(check_header_context, replace(good, **changes), CONTEXT, REGTEST, NOW) == expected


# ── work ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("over", "expected"), [(-1, ""), (0, ""), (1, "high-hash")])
def test_a_hash_may_equal_its_target(over, expected):
    target = bits_to_target(0x1D00FFFF)
    found = SimpleNamespace(bits=0x1D00FFFF, hash=(target + over).to_bytes(32, "little"))
    assert reason(check_proof_of_work, found, MAINNET) == expected


def test_a_target_may_equal_the_chains_limit():
    for bits, expected in ((0x1D00FFFF, ""), (0x1D010000, "high-hash"), (0, "high-hash"), (0x04923456, "high-hash")):
        assert reason(check_proof_of_work, SimpleNamespace(bits=bits, hash=bytes(32)), MAINNET) == expected


def test_the_work_of_a_block_is_the_hashes_that_it_takes():
    assert block_work(0x1D00FFFF) == 0x100010001
    assert block_work(0x207FFFFF) == 2
    assert block_work(0x2100FFFF) == 1
    assert block_work(0) == block_work(0x04923456) == 0


def test_the_last_real_difficulty_is_not_looked_for_before_the_period():
    hard, easy = 0x1C05A3F4, 0x1D00FFFF
    interval = TESTNET4.retarget_interval
    within = Headers([header(0, hard)] * interval + [header(600 * n, easy) for n in range(3)])
    assert next_bits(within, interval + 2, 601, TESTNET4) == easy
    before = Headers([header(0, easy)] + [header(0, hard)] + [header(0, easy)] * 5)
    assert next_bits(before, 7, 1, TESTNET4) == hard
    from_genesis = Headers([header(0, hard), header(0, easy)])
    assert next_bits(from_genesis, 2, 1, TESTNET4) == hard


def test_a_period_counts_between_a_quarter_and_four_times_its_length():
    bits, span = 0x1C05A3F4, MAINNET.pow_timespan
    interval = MAINNET.retarget_interval

    def after(seconds):
        first, last = header(1_000, bits), header(1_000 + seconds, bits)
        source = {0: first, interval - 1: last}
        return next_bits(SimpleNamespace(header_at=source.__getitem__), interval, 0, MAINNET)

    assert after(span) == bits
    assert after(span * 4) == after(span * 4 + 1) == after(span * 9)
    assert after(span * 4 - span // 1_000) != after(span * 4)
    assert after(span // 4) == after(span // 4 - 1) == after(-span)
    assert after(span // 4 + span // 1_000) != after(span // 4)
    assert bits_to_target(after(span * 4)) > bits_to_target(bits) > bits_to_target(after(span // 4))


# ── coins and signatures ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_subsidy_is_gone_after_64_halvings_however_large():
    params = replace(REGTEST, subsidy=1 << 64, halving_interval=1)
    assert [block_subsidy(height, params) for height in (0, 62, 63, 64, 65)] == [1 << 64, 4, 2, 0, 0]
    assert issued(100, replace(params, genesis_spendable=True)) == (1 << 65) - 2


@pytest.mark.parametrize("height", [0, 1, 149, 150, 151, 299, 300, 301])
def test_what_was_issued_counts_every_block(height):
    spendable = replace(REGTEST, genesis_spendable=True)
    assert issued(height, spendable) == sum(block_subsidy(at, REGTEST) for at in range(height + 1))
    assert issued(height, REGTEST) == issued(height, spendable) - REGTEST.subsidy


def test_a_relative_lock_by_time_counts_512_seconds():
    def lock(sequence, coin_height=5):
        tx = Transaction(2, (TxIn(PREVOUT, b"", sequence),), (TxOut(1, b""),))
        return sequence_locks(tx, [coin_height], lambda height: 1_000 * height)

    assert lock(0x400001).time == 4_000 + 511
    assert lock(0x40FFFF).time == 4_000 + 512 * 0xFFFF - 1
    assert lock(0x7F0001).time == 4_000 + 511
    assert lock(0x400001, coin_height=0).time == lock(0x400001, coin_height=1).time == 511
    assert not lock(0x400001).are_met(1, 4_511)
    assert lock(0x400001).are_met(1, 4_512)
    assert lock(0x80400001) == (-1, -1)


def test_of_several_locks_the_latest_counts():
    def locks(*sequences, heights):
        tx = Transaction(2, tuple(TxIn(PREVOUT, b"", sequence) for sequence in sequences), (TxOut(1, b""),))
        return sequence_locks(tx, heights, lambda height: 1_000 * height)

    assert locks(3, 1, heights=[10, 11]) == (12, -1)
    assert locks(1, 3, heights=[11, 10]) == (12, -1)
    assert locks(0x400002, 0x400001, heights=[5, 6]) == (-1, 5_511)
    assert locks(0x400001, 5, heights=[5, 6]) == (10, 4_511)


CHECKSIGS = bytes([op.OP_CHECKSIG, op.OP_CHECKSIGVERIFY])
MULTISIG = bytes([op.OP_CHECKMULTISIGVERIFY])


@pytest.mark.parametrize(
    ("script", "count"),
    [
        (CHECKSIGS, 2),
        (MULTISIG, 20),
        (bytes([op.OP_16]) + MULTISIG, 20),
        (p2pkh_script(bytes(20)), 1),
        (push_data(CHECKSIGS), 0),
        (CHECKSIGS + b"\x05" + CHECKSIGS, 2),
        (bytes([0xB0, 0xAB]), 0),
    ],
)
def test_signatures_outside_of_witnesses_are_counted_in_outputs_and_inputs(script, count):
    tx = Transaction(2, (TxIn(PREVOUT, script),) * 2, (TxOut(1, script),) * 3)
    assert legacy_sigops(tx) == 5 * count


def test_a_witness_costs_one_for_each_signature_and_the_rest_four():
    def cost(script, script_sig=b"", witness=(), flags=MANDATORY):
        tx = Transaction(2, (TxIn(PREVOUT, script_sig, witness=witness),), (TxOut(1, CHECKSIGS),))
        return sigop_cost(tx, [TxOut(1, script)], flags)

    three = bytes([op.OP_1 + 2, op.OP_CHECKMULTISIG])
    assert cost(b"\x51") == 8
    assert cost(p2wpkh_script(bytes(20))) == 9
    assert cost(p2wsh_script(sha256(three)), witness=(three,)) == 11
    assert cost(p2wsh_script(sha256(three)), witness=(three, b"")) == 8
    assert cost(p2sh_script(bytes(20)), push_data(three)) == 20
    assert cost(p2sh_script(bytes(20)), push_data(three), flags=Flags.WITNESS) == 8
    wrapped = push_data(p2wpkh_script(bytes(20)))
    assert cost(p2sh_script(bytes(20)), wrapped) == 9
    assert cost(p2sh_script(bytes(20)), wrapped, flags=Flags.P2SH) == 8
    assert cost(b"\x00\x15" + bytes(21), witness=(three,)) == 8
    assert cost(b"\x51\x20" + bytes(32), witness=(three,)) == 8
