import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.consensus.params import MAINNET, REGTEST, SIGNET, TESTNET4
from shared.consensus.pow import (
    bits_to_target,
    block_work,
    check_proof_of_work,
    difficulty,
    has_constant_bits,
    hash_rate,
    next_bits,
    target_to_bits,
)
from shared.consensus.subsidy import block_subsidy
from shared.errors import ValidationError
from shared.primitives.block import BlockHeader
from shared.reasons import Reason
from tests.unit.consensus.builders import Headers, header


@pytest.mark.parametrize(
    ("bits", "target"),
    [
        # From Core's arith_uint256_tests.cpp.
        (0x00000000, 0),
        (0x00123456, 0),
        (0x01003456, 0),
        (0x02000056, 0),
        (0x01123456, 0x12),
        (0x02123456, 0x1234),
        (0x03123456, 0x123456),
        (0x04123456, 0x12345600),
        (0x05009234, 0x92340000),
        (0x20123456, 0x123456 << 232),
        (0x04923456, 0),
        (0x01FEDCBA, 0),
        (0x1D00FFFF, 0xFFFF << 208),
        (0x207FFFFF, 0x7FFFFF << 232),
        (0xFF123456, 0),
        (0x23000001, 0),
        (0x22000001, 1 << 248),
    ],
)
def test_bits_stand_for_cores_targets(bits, target):
    assert bits_to_target(bits) == target


@given(st.integers(1, (1 << 256) - 1))
def test_a_compact_target_loses_only_low_bits(target):
    rounded = bits_to_target(target_to_bits(target))
    assert rounded <= target
    assert target - rounded < max(target >> 15, 1)
    assert target_to_bits(rounded) == target_to_bits(target)


@pytest.mark.parametrize(("target", "bits"), [(0, 0), (0x80, 0x02008000), (0x12, 0x01120000), (0x123456, 0x03123456)])
def test_targets_have_cores_bits(target, bits):
    assert target_to_bits(target) == bits


def test_work_is_the_hashes_expected():
    assert block_work(0x207FFFFF) == 2
    assert block_work(0x1D00FFFF) == 0x100010001
    assert block_work(0) == 0


@pytest.mark.parametrize("params", [MAINNET, TESTNET4, SIGNET, REGTEST], ids=lambda params: params.name)
def test_the_genesis_blocks_have_their_proof_of_work(params):
    check_proof_of_work(params.genesis.header, params)
    assert bits_to_target(params.genesis.header.bits) <= params.pow_limit


@pytest.mark.parametrize("bits", [0, 0x1D00FFFF, 0x04923456, 0xFF123456, 0x2100FFFF])
def test_a_hash_over_the_target_or_a_target_over_the_limit_is_refused(bits):
    bad = dataclasses.replace(REGTEST.genesis.header, bits=bits)
    with pytest.raises(ValidationError) as caught:
        check_proof_of_work(bad, REGTEST)
    assert caught.value.reason is Reason.HIGH_HASH


def test_an_easy_target_of_regtest_is_no_target_of_mainnet():
    with pytest.raises(ValidationError) as caught:
        check_proof_of_work(REGTEST.genesis.header, MAINNET)
    assert caught.value.reason is Reason.HIGH_HASH


class _Sparse:
    """The first and last header of a period, at their heights."""

    def __init__(self, headers):
        self._headers = headers

    def header_at(self, height):
        return self._headers[height]


@pytest.mark.parametrize(
    ("height", "first_time", "last_time", "bits", "expected"),
    [
        # From Core's pow_tests.cpp: real retargets of mainnet, and both limits of one step.
        (32256, 1261130161, 1262152739, 0x1D00FFFF, 0x1D00D86A),
        (2016, 1231006505, 1233061996, 0x1D00FFFF, 0x1D00FFFF),
        (68544, 1279008237, 1279297671, 0x1C05A3F4, 0x1C0168FD),
        (46368, 1263163443, 1269211443, 0x1C387F6F, 0x1D00E1FD),
    ],
)
def test_difficulty_adjusts_as_in_core(height, first_time, last_time, bits, expected):
    source = _Sparse({height - 2016: header(first_time, bits), height - 1: header(last_time, bits)})
    assert next_bits(source, height, last_time + 600, MAINNET) == expected


def test_within_a_period_mainnet_keeps_its_difficulty():
    source = Headers([header(0, 0x1C05A3F4)])
    assert next_bits(source, 1, 10**9, MAINNET) == 0x1C05A3F4


def test_regtest_never_retargets():
    source = Headers([header(0)] * 144)
    assert next_bits(source, 144, 1, REGTEST) == 0x207FFFFF


@pytest.mark.parametrize(
    ("changes", "constant"),
    [
        ({}, True),
        ({"pow_no_retargeting": False}, False),
        ({"pow_limit": REGTEST.pow_limit >> 1}, False),
        ({"pow_limit": REGTEST.pow_limit >> 1, "pow_allow_min_difficulty": False}, True),
    ],
)
def test_where_no_rule_can_change_the_difficulty_no_header_is_looked_at(changes, constant):
    params = dataclasses.replace(REGTEST, **changes)
    assert has_constant_bits(params) is constant
    no_headers = Headers([])
    for height in (1, 2, 143, 144, 145):
        if constant:
            assert next_bits(no_headers, height, 10**9, params) == 0x207FFFFF
        else:
            with pytest.raises(IndexError):
                next_bits(no_headers, height, 10**9, params)


def test_after_twenty_minutes_a_test_chain_allows_minimum_difficulty():
    hard = 0x1C05A3F4
    source = Headers([header(1000, hard), header(1600, hard)])
    assert next_bits(source, 2, 1600 + 1200, TESTNET4) == hard
    assert next_bits(source, 2, 1600 + 1201, TESTNET4) == 0x1D00FFFF


def test_after_a_minimum_difficulty_block_the_last_real_difficulty_returns():
    hard, easy = 0x1C05A3F4, 0x1D00FFFF
    source = Headers([header(0, easy), header(600, hard), header(3000, easy), header(5000, easy)])
    assert next_bits(source, 4, 5600, TESTNET4) == hard
    only_easy = Headers([header(0, easy), header(3000, easy)])
    assert next_bits(only_easy, 2, 3600, TESTNET4) == easy


def test_bip94_retargets_from_the_first_block_of_the_period():
    hard, easy = 0x1C05A3F4, 0x1D00FFFF
    week = 7 * 24 * 60 * 60
    source = _Sparse({0: header(0, hard), 2015: header(week, easy)})
    with_bip94 = next_bits(source, 2016, week + 1, TESTNET4)
    without = next_bits(source, 2016, week + 1, dataclasses.replace(TESTNET4, enforce_bip94=False))
    assert with_bip94 == target_to_bits(bits_to_target(hard) // 2)
    assert without == target_to_bits(bits_to_target(easy) // 2)


def test_a_retarget_never_passes_the_chains_limit():
    source = _Sparse({0: header(0, 0x1D00FFFF), 2015: header(10**9, 0x1D00FFFF)})
    assert next_bits(source, 2016, 10**9, MAINNET) == 0x1D00FFFF


def test_the_subsidy_halves_until_nothing_is_left():
    assert block_subsidy(0, MAINNET) == block_subsidy(209_999, MAINNET) == 5_000_000_000
    assert block_subsidy(210_000, MAINNET) == 2_500_000_000
    assert block_subsidy(149, REGTEST) == 5_000_000_000
    assert block_subsidy(150, REGTEST) == 2_500_000_000
    assert block_subsidy(32 * 210_000, MAINNET) == 1
    assert block_subsidy(33 * 210_000, MAINNET) == 0
    assert block_subsidy(64 * 210_000, MAINNET) == 0


def test_all_subsidies_together_are_just_under_21_million():
    total = sum(210_000 * block_subsidy(210_000 * halving, MAINNET) for halving in range(70))
    assert total == 2_099_999_997_690_000


def test_a_header_source_is_asked_only_for_what_is_needed():
    asked = []

    class Recorder:
        def header_at(self, height):
            asked.append(height)
            return BlockHeader(4, bytes(32), bytes(32), 0, 0x1C05A3F4, 0)

    next_bits(Recorder(), 100, 600, MAINNET)
    next_bits(Recorder(), 4032, 600, MAINNET)
    assert asked == [99, 4031, 2016]


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (MAINNET.genesis.header.bits, 1.0),
        (0x207FFFFF, 4.6565423739069247e-10),
        (0x1B0404CB, 16307.420938523983),
        (0, 0.0),
    ],
)
def test_difficulty_is_cores(bits, expected):
    assert difficulty(bits) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("times", "rate"),
    [([100, 150], 2.0), ([100, 90, 160, 140], 100 / 70), ([100, 100], 0.0), ([150, 100], 2.0), ([100], 0.0)],
)
def test_a_hash_rate_is_work_over_the_time_from_the_earliest_block_to_the_latest(times, rate):
    assert hash_rate(100, iter(times)) == rate
