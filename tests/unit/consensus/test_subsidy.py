"""How many coins there may be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.consensus.params import MAINNET, REGTEST
from shared.consensus.subsidy import block_subsidy, issued


@pytest.mark.parametrize(
    "params", [REGTEST, replace(REGTEST, genesis_spendable=True), replace(REGTEST, halving_interval=7)]
)
def test_what_was_issued_is_the_sum_of_all_subsidies(params):
    first = 0 if params.genesis_spendable else 1
    for height in (0, 1, 6, 7, 149, 150, 151, 1_000):
        assert issued(height, params) == sum(block_subsidy(number, params) for number in range(first, height + 1))


def test_the_main_chain_ends_below_21_million():
    assert issued(10_000_000, MAINNET) == 2_099_999_997_690_000 - 50 * 100_000_000
