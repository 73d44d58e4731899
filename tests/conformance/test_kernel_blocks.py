"""Blocks of random payments and faults get the same verdict, with the same reason, from Core's engine and from us."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis as redis_py
from hypothesis import given
from hypothesis import strategies as st

from shared.primitives.transaction import OutPoint, Transaction
from tests.conformance.duel import Draft, Duel
from tests.conformance.faults import BLOCK_FAULTS, TX_FAULTS
from tests.conformance.payments import KINDS, ODD_OUTPUTS, Coin, spend
from tests.properties import FACTOR, PROPERTY_SECONDS, examples

SCRIPTS = {name: kind.script_pubkey for name, kind in KINDS.items()} | ODD_OUTPUTS

small = st.integers(0, 2**16)
payments = st.fixed_dictionaries(
    {
        "coins": st.lists(small, min_size=1, max_size=3),
        "outputs": st.lists(st.sampled_from(sorted(SCRIPTS)), min_size=1, max_size=4),
        "fault": st.one_of(st.none(), st.none(), st.none(), st.sampled_from(sorted(TX_FAULTS))),
        "number": small,
        "version": st.sampled_from([2, 2, 2, 1]),
        "lock_time": st.sampled_from(["none", "none", "none", "height", "next height", "median", "before the median"]),
        "sequence": st.one_of(st.none(), st.none(), st.none(), st.sampled_from([0, 1, 2, 5, 0x400000, 0x400001])),
    }
)
recipes = st.fixed_dictionaries(
    {
        "payments": st.lists(payments, max_size=4),
        "payee": st.sampled_from(sorted(KINDS)),
        "fault": st.one_of(st.none(), st.none(), st.sampled_from(sorted(BLOCK_FAULTS))),
        "number": small,
        "young": st.sampled_from([False] * 9 + [True]),
    }
)


def cook(duel: Duel, recipe: dict[str, Any]) -> Draft:
    """Assemble a block; later payments may spend coins of earlier ones."""
    available = duel.coins[-5:] if recipe["young"] else duel.mature()
    txs: list[Transaction] = []
    fees = 0
    draft = duel.draft()
    lock_times = {
        "none": 100,
        "height": duel.height - 1,
        "next height": duel.height,
        "median": draft.mtp,
        "before the median": draft.mtp - 1,
    }
    for order in recipe["payments"]:
        numbers = order["coins"][: len(available)]
        coins = [available.pop(number % len(available)) for number in numbers]
        if not coins:
            continue
        tx = spend(
            coins,
            [SCRIPTS[name] for name in order["outputs"]],
            version=order["version"],
            lock_time=lock_times[order["lock_time"]],
            sequence=order["sequence"],
        )
        fees += sum(coin.output.value for coin in coins) - sum(output.value for output in tx.outputs)
        if order["fault"]:
            tx = TX_FAULTS[order["fault"]](tx, order["number"])
        txs.append(tx)
        for vout, (output, name) in enumerate(zip(tx.outputs, order["outputs"], strict=False)):
            if name in KINDS:
                available.append(Coin(OutPoint(tx.txid, vout), output, KINDS[name], duel.height))
    draft = duel.draft(txs, fees, recipe["payee"])
    if recipe["fault"]:
        BLOCK_FAULTS[recipe["fault"]](draft, recipe["number"])
    return draft


@pytest.mark.hypothesis
@pytest.mark.timeout(PROPERTY_SECONDS * FACTOR)
def test_both_agree_on_blocks_of_any_kind(redis: redis_py.Redis, tmp_path: Path) -> None:
    duel = Duel(redis, tmp_path)

    @examples(250)
    @given(recipes)
    def judge(recipe: dict[str, Any]) -> None:
        duel.judge(cook(duel, recipe).build())

    judge()
    assert duel.accepted > 50, "blocks with payments were accepted"
    assert len(duel.refused) >= 10, duel.refused
