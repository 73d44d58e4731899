"""How many blocks a new chain gets for its creator."""

from __future__ import annotations

import pytest

from services.wallet.bootstrap import first_blocks
from shared.consensus.params import BUILT_IN, MAINNET, REGTEST, SIGNET, TESTNET4, ChainParams


def test_a_chain_whose_blocks_are_cheap_gets_what_is_wanted() -> None:
    assert first_blocks(REGTEST, 110) == 110
    assert first_blocks(REGTEST, 0) == 0


@pytest.mark.parametrize("chain", [MAINNET, TESTNET4, SIGNET], ids=lambda chain: chain.name)
def test_a_chain_with_real_work_gets_none(chain: ChainParams) -> None:
    assert first_blocks(chain, 110) == 0


def test_regtest_is_the_only_built_in_chain_that_begins_with_blocks() -> None:
    assert [chain.name for chain in BUILT_IN.values() if first_blocks(chain, 1)] == ["regtest"]
