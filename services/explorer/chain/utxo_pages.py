"""A script's coins, a page at a time: as much is read as is shown, however many there are."""

from __future__ import annotations

from dataclasses import dataclass

from services.explorer.errors import RequestError
from shared.chain.codec import Spend
from shared.chain.view import ChainView, Moved, TxRecord, Unspent, script_hash
from shared.primitives.transaction import OutPoint

COINS_PER_PAGE = 25
MAX_POOL_WALK = 500
"""Unconfirmed transactions of a script that are looked through at most for what they pay it."""


@dataclass(frozen=True, slots=True)
class ListedCoin:
    """A coin, and the unconfirmed input that spends it."""

    coin: Unspent
    spend: Spend | None = None


@dataclass(frozen=True, slots=True)
class CoinPage:
    """Some of a script's coins."""

    start: int
    """Place of the first of the confirmed ones here, 0 for the newest."""
    confirmed_count: int
    """All that are confirmed, those that the pool spends too."""
    unconfirmed: list[ListedCoin]
    """The newest, on the first page only."""
    confirmed: list[ListedCoin]
    """The newest first."""

    @property
    def coins(self) -> list[ListedCoin]:
        """What the page lists, in its order."""
        return [*self.unconfirmed, *self.confirmed]


class CoinPages:
    """Reads pages of coins; to be called within `ChainView.at_tip`."""

    def __init__(self, view: ChainView) -> None:
        self._view = view

    def read(self, script: bytes, start: int) -> CoinPage:
        """Return the page of a script hash's coins that begins at a place; `RequestError` past their end."""
        count = self._view.scripts.coin_count(script)
        if start and start >= count:
            raise RequestError(400, "start index out of range")
        coins = self._view.scripts.coins(script, start, COINS_PER_PAGE)
        spends = self._view.pool.spends([coin.outpoint for coin in coins])
        return CoinPage(
            start=start,
            confirmed_count=count,
            unconfirmed=[] if start else self._unconfirmed(script),
            confirmed=[ListedCoin(coin, spend) for coin, spend in zip(coins, spends, strict=True)],
        )

    def _unconfirmed(self, script: bytes) -> list[ListedCoin]:
        """Return the newest outputs of the pool that pay a script and that nothing spends."""
        found: list[ListedCoin] = []
        txids = self._view.scripts.pool_txids(script, MAX_POOL_WALK)
        for first in range(0, len(txids), COINS_PER_PAGE):
            part = txids[first : first + COINS_PER_PAGE]
            records = self._view.pool.present(part)
            if len(records) != len(part):
                raise Moved
            paid = [coin for record in records for coin in _paid_by(record, script)]
            spends = self._view.pool.spends([coin.outpoint for coin in paid])
            found += [ListedCoin(coin) for coin, spend in zip(paid, spends, strict=True) if spend is None]
            if len(found) >= COINS_PER_PAGE:
                break
        return found[:COINS_PER_PAGE]


def _paid_by(record: TxRecord, script: bytes) -> list[Unspent]:
    return [
        Unspent(OutPoint(record.tx.txid, vout), output, None, False)
        for vout, output in enumerate(record.tx.outputs)
        if script_hash(output.script_pubkey) == script
    ]
