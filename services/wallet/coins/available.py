"""The coins that payments may choose from: remembered until the tip moves, without those of payments under way.

Reading a wallet's coins takes the longer the more addresses and unconfirmed transactions it has, so they are not read
for each payment. Confirmed coins are added by blocks alone. Another instance, or a wallet with the same words, may have
spent one: the caller looks that up before it uses a chosen coin, and the next payment need not wait for it.
Unconfirmed change, which is offered when confirmed coins do not suffice, is read each time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from operator import attrgetter

from services.wallet.coins.ledger import Ledger
from services.wallet.coins.selection import Selection, SpendableCoin
from services.wallet.errors import WalletError
from services.wallet.keys.accounts import WalletKey
from shared.chain.view import Tip
from shared.primitives.transaction import OutPoint

_MOST_COINS = 100_000
"""Coins remembered in all: about 50 MB."""

_Coins = dict[OutPoint, SpendableCoin]


@dataclass(slots=True, eq=False)
class PaymentUnderWay:
    """A payment until its verdict."""

    coins: Sequence[SpendableCoin] = ()
    """Empty until they are chosen."""
    is_accepted: bool = False
    """Whether its coins are spent for certain; else they are read again."""
    done: Future[None] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class Choice:
    """The coins chosen for a payment."""

    selection: Selection
    tip: Tip
    is_remembered: bool
    """Whether the coins were not read for it: another instance may have spent them (`Ledger.are_spent`)."""


@dataclass(slots=True)
class _UnderWay:
    """The payments of one wallet."""

    payments: dict[PaymentUnderWay, None] = field(default_factory=dict)
    change_count: int = 0
    """Change keys in use with all that have been here; the records of some may not be written yet."""


class AvailableCoins:
    """Offers the coins of all wallets of this process. The caller lets the choices of one wallet come in turn."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._remembered: OrderedDict[str, tuple[int, _Coins]] = OrderedDict()
        """Wallet id → moves of the tip at which they were read, and its confirmed coins that no payment spends."""
        self._under_way: dict[str, _UnderWay] = {}
        self._lock = threading.Lock()

    @contextmanager
    def payment(self, wallet_id: str) -> Iterator[PaymentUnderWay]:
        """Make a payment inside; the coins that it takes are offered to no other one until the end."""
        payment = PaymentUnderWay()
        with self._lock:
            of_wallet = self._under_way.setdefault(wallet_id, _UnderWay())
            of_wallet.payments[payment] = None
        try:
            yield payment
        finally:
            with self._lock:
                del of_wallet.payments[payment]
                if not of_wallet.payments:
                    del self._under_way[wallet_id]
                if payment.coins and not payment.is_accepted:
                    self._remembered.pop(wallet_id, None)
            payment.done.set_result(None)

    def take(self, wallet_id: str, payment: PaymentUnderWay, coins: Sequence[SpendableCoin], change_count: int) -> None:
        """Offer these coins to no other payment until this one is over; `change_count` change keys are in use then."""
        with self._lock:
            payment.coins = coins
            of_wallet = self._under_way[wallet_id]
            of_wallet.change_count = max(of_wallet.change_count, change_count)
            _, remembered = self._remembered.get(wallet_id, (0, {}))
            for coin in coins:
                remembered.pop(coin.outpoint, None)

    def change_count(self, wallet_id: str) -> int:
        """Return the number of change keys that payments have taken since none was under way; 0 if none is."""
        with self._lock:
            return self._under_way.get(wallet_id, _UnderWay()).change_count

    def oldest(self, wallet_id: str) -> PaymentUnderWay | None:
        """Return the wallet's payment that has had its coins for the longest time."""
        with self._lock:
            payments = self._under_way.get(wallet_id, _UnderWay()).payments
            return next((payment for payment in payments if payment.coins), None)

    def choose(
        self,
        wallet_id: str,
        keys: Sequence[WalletKey],
        tip: Tip,
        select: Callable[[Sequence[SpendableCoin]], Selection],
    ) -> Choice:
        """Return what `select` chooses of the wallet's coins that may be spent now.

        `keys` are all keys of the wallet in use, `tip` is a moment old. Raises what `select` raises.
        """
        moves, remembered = self._remembered.get(wallet_id, (-1, {}))
        if moves == tip.moves:
            with suppress(WalletError):  # other coins may do
                return Choice(select(list(remembered.values())), tip, is_remembered=True)
        with self._lock:  # before the coins are read: those of a payment that ends meanwhile are spent by then, or free
            taken = self._taken(wallet_id)
        coins, tip = self._ledger.spendable(keys)
        offered = [coin for coin in coins if coin.outpoint not in taken]
        offered.sort(key=attrgetter("preference"))  # remembered in order, they are sorted in no time
        self._remember(wallet_id, tip, offered)
        return Choice(select(offered), tip, is_remembered=False)

    def give_back(self, wallet_id: str, payment: PaymentUnderWay) -> None:
        """Take the coins from a payment, and read those of the wallet again for the next choice."""
        with self._lock:
            payment.coins = ()
            self._remembered.pop(wallet_id, None)

    def _taken(self, wallet_id: str) -> set[OutPoint]:
        payments = self._under_way.get(wallet_id, _UnderWay()).payments
        return {coin.outpoint for payment in payments for coin in payment.coins}

    def _remember(self, wallet_id: str, tip: Tip, offered: Sequence[SpendableCoin]) -> None:
        """Remember the confirmed coins among these, without those that were taken since they were read."""
        with self._lock:
            taken = self._taken(wallet_id)
            coins = {coin.outpoint: coin for coin in offered if coin.height is not None and coin.outpoint not in taken}
            self._remembered.pop(wallet_id, None)
            self._remembered[wallet_id] = (tip.moves, coins)
            count = sum(len(coins) for _, coins in self._remembered.values())
            while count > _MOST_COINS:
                _, (_, forgotten) = self._remembered.popitem(last=False)
                count -= len(forgotten)
