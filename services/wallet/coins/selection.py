"""Selects the coins for a payment. Pure.

First branch and bound looks for coins that match the payment without change, as in Core: such a transaction is smaller,
cheaper and more private. Otherwise the largest coins are taken, the oldest first among equals, and the rest comes back
as change; change too small to be worth spending goes to the fee. The wallet's unconfirmed change is offered only if
confirmed coins do not suffice. The caller passes only coins that may be spent now: no immature coinbase, no unconfirmed
coin from another sender.

Sizes are in weight units, fee rates in satoshis per 1,000 virtual bytes, amounts in satoshis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from services.wallet.errors import BadInput, InsufficientFunds
from shared.consensus.amount import format_btc
from shared.policy import MAX_STANDARD_TX_WEIGHT, dust_threshold, fee_for
from shared.primitives.transaction import MIN_INPUT_SIZE, OutPoint, TxOut
from shared.primitives.weight import WITNESS_SCALE_FACTOR

INPUT_WEIGHT = MIN_INPUT_SIZE * WITNESS_SCALE_FACTOR + 1 + 1 + 71 + 1 + 33
"""An input that spends P2WPKH: outpoint, empty scriptSig, sequence; witness of a low-R signature and a key."""
_OVERHEAD_WEIGHT = (4 + 4) * WITNESS_SCALE_FACTOR + 2
_MAX_TRIES = 5_000
"""Find nearly every match among 300 coins, in less than a millisecond."""
_PARTS_PER_SATOSHI = 1_000 * WITNESS_SCALE_FACTOR
"""A weight unit at a fee rate of 1 costs 1/4000 satoshi: amounts in this unit are not rounded."""


@dataclass(frozen=True, slots=True)
class SpendableCoin:
    """A coin of the wallet that may be spent now, and the key that spends it."""

    outpoint: OutPoint
    output: TxOut
    height: int | None
    """None while unconfirmed."""
    branch: int
    index: int
    preference: tuple[bool, int, int, OutPoint] = field(init=False, repr=False, compare=False)
    """Orders confirmed coins before unconfirmed, then large before small, then old before new.

    Made once: a wallet may have thousands of coins, which are sorted for each payment."""

    def __post_init__(self) -> None:
        order = (self.height is None, -self.output.value, self.height or 0, self.outpoint)
        object.__setattr__(self, "preference", order)

    @property
    def value(self) -> int:
        """Satoshis."""
        return self.output.value


@dataclass(frozen=True, slots=True)
class Selection:
    """The coins to spend: inputs = payment + fee + change."""

    coins: tuple[SpendableCoin, ...]
    fee: int
    change: int
    """0 for a transaction without change."""


def select_coins(candidates: Sequence[SpendableCoin], payment: TxOut, change_script: bytes, feerate: int) -> Selection:
    """Return the coins for `payment` at `feerate`; `InsufficientFunds`, or `BadInput` if it needs too many coins."""
    confirmed = [coin for coin in candidates if coin.height is not None]
    costs = _Costs(payment, change_script, feerate)
    for offered in (confirmed, candidates):
        worth = costs.worth_spending(offered)
        coins = _exact_match(worth, costs) or _largest_first(worth, costs)
        if coins:
            return costs.settle(coins)
    raise _insufficient(costs.worth_spending(candidates), costs)


class _Costs:
    """The costs of one payment's inputs, outputs and change."""

    def __init__(self, payment: TxOut, change_script: bytes, feerate: int) -> None:
        self.payment = payment
        self.feerate = feerate
        self._change_size = len(TxOut(0, change_script).serialize())
        self._input_fee = -(-INPUT_WEIGHT * feerate // _PARTS_PER_SATOSHI)
        self._least_change = max(dust_threshold(TxOut(0, change_script)), self._input_fee)
        self.target = payment.value * _PARTS_PER_SATOSHI + self.weight_of(0, has_change=False) * feerate
        """Least sum of effective values, in 1/4000 satoshi."""
        self.cost_of_change = (WITNESS_SCALE_FACTOR * self._change_size + INPUT_WEIGHT) * feerate
        """Cost of making change now and spending it later, in 1/4000 satoshi."""

    def weight_of(self, inputs: int, *, has_change: bool) -> int:
        """Return the weight of the signed transaction with this number of inputs."""
        outputs = len(self.payment.serialize()) + (self._change_size if has_change else 0)
        counts = 1 + (1 if inputs < 253 else 3)
        return _OVERHEAD_WEIGHT + WITNESS_SCALE_FACTOR * (counts + outputs) + INPUT_WEIGHT * inputs

    def fee_of(self, inputs: int, *, has_change: bool) -> int:
        """Return the fee in satoshis of the signed transaction with this number of inputs."""
        vsize = -(-self.weight_of(inputs, has_change=has_change) // WITNESS_SCALE_FACTOR)
        return fee_for(vsize, self.feerate)

    def effective_values(self, coins: Sequence[SpendableCoin]) -> list[int]:
        """Return the value of each coin less the fee of its input, in 1/4000 satoshi."""
        fee = INPUT_WEIGHT * self.feerate
        return [coin.output.value * _PARTS_PER_SATOSHI - fee for coin in coins]

    def worth_spending(self, coins: Sequence[SpendableCoin]) -> list[SpendableCoin]:
        """Return the coins whose effective value is above zero."""
        return [coin for coin, value in zip(coins, self.effective_values(coins), strict=True) if value > 0]

    def covers(self, coins: Sequence[SpendableCoin]) -> bool:
        """Whether the coins pay the payment and the fee, without change."""
        total = sum(coin.value for coin in coins)
        return total >= self.payment.value + self.fee_of(len(coins), has_change=False)

    def settle(self, coins: Sequence[SpendableCoin]) -> Selection:
        """Return the selection of these coins, with change if the rest is worth it; `BadInput` for too many coins."""
        if self.weight_of(len(coins), has_change=True) > MAX_STANDARD_TX_WEIGHT:
            raise BadInput(
                "amount",
                "too-many-coins",
                f"this payment takes {len(coins)} small coins, more than one transaction may spend: send less",
            )
        rest = sum(coin.value for coin in coins) - self.payment.value
        fee = self.fee_of(len(coins), has_change=True)
        if rest - fee >= self._least_change:
            return Selection(tuple(coins), fee, rest - fee)
        return Selection(tuple(coins), rest, 0)


def _exact_match(candidates: Sequence[SpendableCoin], costs: _Costs) -> list[SpendableCoin]:
    """Return the coins that exceed the target by least, and by no more than change costs; empty if none are found."""
    coins = sorted(candidates, key=attrgetter("output.value"), reverse=True)
    values = costs.effective_values(coins)
    left = sum(values)
    if left < costs.target:
        return []
    best: list[int] = []
    best_waste = costs.cost_of_change + 1
    chosen: list[int] = []
    total, position = 0, 0
    for _ in range(_MAX_TRIES):
        waste = total - costs.target
        if total + left < costs.target or position == len(coins) or waste >= 0:
            # The fee is rounded up to satoshis, so a sum that just meets the target can still be too small.
            if 0 <= waste < best_waste and costs.covers([coins[i] for i in chosen]):
                best, best_waste = chosen.copy(), waste
                if waste == 0:
                    break
            # Go back to the last coin taken and leave it out.
            while chosen and position > chosen[-1] + 1:
                position -= 1
                left += values[position]
            if not chosen:
                break
            total -= values[chosen.pop()]
        elif position and values[position] == values[position - 1] and (not chosen or chosen[-1] != position - 1):
            left -= values[position]  # a coin of equal value was left out: taking this one repeats a combination
            position += 1
        else:
            chosen.append(position)
            total += values[position]
            left -= values[position]
            position += 1
    return [coins[i] for i in best]


def _largest_first(candidates: Sequence[SpendableCoin], costs: _Costs) -> list[SpendableCoin]:
    """Return coins that cover the payment, in the order of preference; empty if all together do not."""
    taken: list[SpendableCoin] = []
    total = 0
    for coin in sorted(candidates, key=attrgetter("preference")):
        taken.append(coin)
        total += coin.value
        if total >= costs.payment.value and costs.covers(taken):
            return taken
    return []


def _insufficient(worth: Sequence[SpendableCoin], costs: _Costs) -> InsufficientFunds:
    available = sum(coin.value for coin in worth)
    fee = costs.fee_of(len(worth) or 1, has_change=False)
    needed = costs.payment.value + fee
    return InsufficientFunds(
        f"insufficient funds: {format_btc(needed)} BTC needed ({format_btc(costs.payment.value)} and a fee of "
        f"{format_btc(fee)}), {format_btc(available)} BTC can be spent now",
        needed=needed,
        available=available,
    )
