"""Which coins a payment spends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.wallet.coins.selection import INPUT_WEIGHT, SpendableCoin, select_coins
from services.wallet.errors import BadInput, InsufficientFunds
from shared.primitives.transaction import OutPoint, TxOut
from tests.builders import key, p2wpkh

PAYEE = p2wpkh(key("payee"))
CHANGE = p2wpkh(key("change"))
OWN = p2wpkh(key("own"))
DUST = 294
RATE = 1_000


def coin(value: int, number: int = 0, height: int | None = 100) -> SpendableCoin:
    return SpendableCoin(OutPoint(number.to_bytes(32, "big"), 0), TxOut(value, OWN), height, 0, 0)


def coins(*values: int) -> list[SpendableCoin]:
    return [coin(value, number) for number, value in enumerate(values)]


def pay(candidates: list[SpendableCoin], amount: int, rate: int = RATE):
    return select_coins(candidates, TxOut(amount, PAYEE), CHANGE, rate)


def vsize(inputs: int, outputs: int) -> int:
    """Virtual size written out again: version, counts, inputs with their witnesses, P2WPKH outputs, lock time."""
    base = 4 + 1 + 41 * inputs + 1 + 31 * outputs + 4
    witness = 2 + (1 + 1 + 71 + 1 + 33) * inputs
    return (4 * base + witness + 3) // 4


def test_the_weight_of_an_input_is_that_of_a_p2wpkh_spend() -> None:
    assert INPUT_WEIGHT == 271


def test_one_coin_pays_and_the_rest_comes_back() -> None:
    selection = pay(coins(100_000), 30_000)
    assert selection.fee == vsize(1, 2) == 141
    assert selection.change == 100_000 - 30_000 - 141


def test_a_coin_that_fits_exactly_needs_no_change() -> None:
    fee = vsize(1, 1)
    selection = pay(coins(1_000_000, 50_000 + fee, 60_000), 50_000)
    assert [c.value for c in selection.coins] == [50_000 + fee]
    assert (selection.fee, selection.change) == (fee, 0)


@pytest.mark.parametrize("more", [[], [1_000], [25_000], [100]])
def test_coins_that_fit_to_the_last_part_of_a_satoshi_are_found(more: list[int]) -> None:
    selection = pay(coins(1_000_000, 20_000, 30_000, *more), 50_000 - vsize(2, 1))
    assert sorted(c.value for c in selection.coins) == [20_000, 30_000]
    assert (selection.fee, selection.change) == (vsize(2, 1), 0)


def test_the_match_that_wastes_least_is_taken() -> None:
    fee = vsize(1, 1)
    for values in ((50_000 + fee + 90, 50_000 + fee + 20), (50_000 + fee + 20, 50_000 + fee + 90)):
        selection = pay(coins(1_000_000, *values), 50_000)
        assert [c.value for c in selection.coins] == [50_000 + fee + 20]


def test_a_match_wastes_no_more_than_change_would_cost() -> None:
    """Making change costs 31 bytes now and an input of 271 weight units later: 98.75 satoshis."""
    fee = vsize(1, 1)
    assert pay(coins(1_000_000, 50_000 + fee + 98), 50_000).change == 0
    assert pay(coins(1_000_000, 50_000 + fee + 100), 50_000).change > 0


def test_coins_that_fit_together_are_found() -> None:
    amount = 10_000 + 20_000 + 40_000 - vsize(3, 1)
    selection = pay(coins(10_000, 15_000, 20_000, 40_000, 1_000_000), amount)
    assert sorted(c.value for c in selection.coins) == [10_000, 20_000, 40_000]
    assert selection.change == 0


def test_many_equal_coins_are_searched_in_no_time() -> None:
    selection = pay(coins(*[5_000_000_000] * 500), 7_500_000_000)
    assert len(selection.coins) == 2
    assert selection.change == 2_500_000_000 - selection.fee


def test_change_that_would_be_dust_goes_to_the_fee() -> None:
    with_change = vsize(1, 2)
    selection = pay(coins(50_000 + with_change + DUST - 1), 50_000)
    assert (selection.change, selection.fee) == (0, with_change + DUST - 1)
    selection = pay(coins(50_000 + with_change + DUST), 50_000)
    assert (selection.change, selection.fee) == (DUST, with_change)


def test_change_that_costs_more_to_spend_than_it_is_worth_goes_to_the_fee() -> None:
    rate = 20_000
    with_change = vsize(1, 2) * 20
    to_spend_it = -(-271 * 20 // 4)
    assert pay(coins(50_000 + with_change + to_spend_it - 1), 50_000, rate).change == 0
    assert pay(coins(50_000 + with_change + to_spend_it), 50_000, rate).change == to_spend_it


def test_the_largest_coins_are_taken_and_the_oldest_of_equals() -> None:
    young, old, small = coin(50_000, 1, 200), coin(50_000, 2, 100), coin(10_000, 3, 1)
    assert pay([small, young, old], 20_000).coins == (old,)


def test_unconfirmed_change_is_spent_only_where_confirmed_coins_do_not_do() -> None:
    unconfirmed, confirmed = coin(1_000_000, 1, None), coin(60_000, 2, 5)
    assert pay([unconfirmed, confirmed], 20_000).coins == (confirmed,)
    assert set(pay([unconfirmed, confirmed], 100_000).coins) == {unconfirmed, confirmed}


def test_coins_that_cost_more_than_they_are_worth_are_left_alone() -> None:
    with pytest.raises(InsufficientFunds) as caught:
        pay(coins(*[60] * 100), 1_000)
    assert caught.value.available == 0


def test_insufficient_funds_say_how_much_there_is() -> None:
    with pytest.raises(InsufficientFunds) as caught:
        pay(coins(30_000, 30_000), 60_000)
    assert caught.value.available == 60_000
    assert caught.value.needed == 60_000 + vsize(2, 1)
    assert "0.00060000 BTC can be spent now" in str(caught.value)


def test_everything_but_the_fee_can_be_sent() -> None:
    selection = pay(coins(30_000, 30_000), 60_000 - vsize(2, 1))
    assert (selection.fee, selection.change) == (vsize(2, 1), 0)


def test_no_coins_are_insufficient() -> None:
    with pytest.raises(InsufficientFunds):
        pay([], 1_000)


def test_a_payment_spends_as_many_coins_as_a_transaction_may_weigh() -> None:
    """The limit is 400,000 weight units, including a change output, which this number of coins may need."""
    most = (400_000 - 4 * (4 + 3 + 1 + 2 * 31 + 4) - 2) // 271
    selection = pay(coins(*[1_000] * 2_000), 1_000 * most - vsize(most, 1) - 2)  # two bytes for the longer count
    assert len(selection.coins) == most
    with pytest.raises(BadInput) as caught:
        pay(coins(*[1_000] * 2_000), 1_000 * most)
    assert caught.value.code == "too-many-coins"


@pytest.mark.parametrize(("count", "longer"), [(252, 0), (253, 2)])
def test_the_count_of_many_inputs_is_longer(count: int, longer: int) -> None:
    fee = vsize(count, 1) + longer
    selection = pay(coins(*[1_000] * count), 1_000 * count - fee)
    assert (len(selection.coins), selection.fee) == (count, fee)
    with pytest.raises(InsufficientFunds):
        pay(coins(*[1_000] * count), 1_000 * count - fee + 1)


@given(
    values=st.lists(st.integers(1, 2_000_000), min_size=1, max_size=30),
    amount=st.integers(300, 5_000_000),
    rate=st.integers(1_000, 50_000),
    unconfirmed=st.sets(st.integers(0, 29)),
)
def test_every_selection_balances_and_pays_its_fee_rate(
    values: list[int], amount: int, rate: int, unconfirmed: set[int]
) -> None:
    candidates = [
        coin(value, number, None if number in unconfirmed else 1 + number) for number, value in enumerate(values)
    ]
    input_fee = -(-271 * rate // 4000)
    try:
        selection = pay(candidates, amount, rate)
    except InsufficientFunds:
        worth = [value for value in values if value > input_fee]
        needed = amount + -(-vsize(len(worth), 1) * rate // 1000)
        assert not worth or sum(worth) < needed
        return
    chosen = [c.outpoint for c in selection.coins]
    assert len(set(chosen)) == len(chosen)
    assert set(selection.coins) <= set(candidates)
    assert sum(c.value for c in selection.coins) == amount + selection.fee + selection.change
    least = -(-vsize(len(chosen), 2 if selection.change else 1) * rate // 1000)
    assert selection.fee >= least
    assert selection.change == 0 or selection.change >= DUST
    # What is given away beyond the fee rate is never worth a change output of its own.
    assert selection.fee - least < max(DUST, input_fee) + -(-31 * rate // 1000) + 2
