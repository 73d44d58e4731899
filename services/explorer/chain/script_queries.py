"""Reads scripts by script hash: counters, histories, balance changes and coins, all a page at a time."""

from __future__ import annotations

from collections.abc import Sequence

from services.explorer.chain.block_queries import BlockQueries
from services.explorer.chain.models import BalanceChange, CoinPage, ListedCoin, TxInfo
from services.explorer.chain.pool_script_stats import PoolScriptStats
from services.explorer.chain.tx_queries import TxQueries
from services.explorer.errors import RequestError
from shared.chain.codec import BlockEntry
from shared.chain.view import ChainView, Moved, ScriptStats, Tip, TxRecord, Unspent, script_hash
from shared.crypto.address_search import ScriptRange
from shared.primitives.transaction import OutPoint

COINS_PER_PAGE = 25
MAX_POOL_WALK = 500
"""Unconfirmed transactions of a script that are searched at most for unspent outputs."""


class ScriptQueries:
    """Reads scripts by script hash."""

    def __init__(self, view: ChainView, blocks: BlockQueries, txs: TxQueries) -> None:
        self._view = view
        self._blocks = blocks
        self._txs = txs
        self._pool_stats = PoolScriptStats(view)

    def stats(self, script: bytes) -> tuple[ScriptStats, ScriptStats]:
        """Return the counters of a script: of confirmed transactions, and of unconfirmed ones alone."""
        return self._view.at_tip(lambda _: (self._view.scripts.stats([script])[0], self._pool_stats.stats(script)))

    def within(self, ranges: Sequence[ScriptRange], count: int) -> list[bytes]:
        """Return up to `count` known scriptPubKeys that have an address and lie within any of these ranges."""
        return self._view.scripts.with_prefix(ranges, count)

    # ── histories ───────────────────────────────────────────────────────────────────────────────────────────────

    def txs(self, script: bytes, pool_limit: int, chain_limit: int, after: bytes | None = None) -> list[TxInfo]:
        """Return a script's transactions, newest first: unconfirmed ones, then the confirmed ones following `after`."""

        def read(_: Tip) -> list[TxInfo]:
            txids = self._view.scripts.pool_txids(script, pool_limit) if pool_limit else []
            if chain_limit:
                txids += [item.txid for item in self._view.scripts.history(script, chain_limit, after)]
            return self._txs.listed(txids)

        return self._view.at_tip(read)

    def merged_txs(self, scripts: Sequence[bytes], count: int, after: bytes | None) -> list[TxInfo] | None:
        """Return transactions that touch any of these scripts, newest first, unconfirmed ones before confirmed ones.

        `after` is the last txid of the page before; None is returned if it touches none of the scripts.
        """

        def read(_: Tip) -> list[TxInfo] | None:
            txids = self._view.scripts.merged_pool_txids(scripts)
            last = after
            if last in txids:
                txids, last = txids[txids.index(last) + 1 :], None
            elif last is not None:
                if not self._view.scripts.is_in_history(scripts, last):
                    return None
                txids = []
            history = self._view.scripts.merged_history(scripts, count - len(txids), last) if len(txids) < count else []
            found = [*txids[:count], *(item.txid for item in history)]
            return self._txs.listed(found)

        return self._view.at_tip(read)

    def has_confirmed(self, script: bytes, txid: bytes) -> bool:
        """Whether a transaction is in a script's confirmed history."""
        return self._view.scripts.is_in_history([script], txid)

    def first_and_last_block(self, script: bytes) -> tuple[BlockEntry | None, BlockEntry | None]:
        """Return the blocks of a script's first and last confirmed transaction, None if it has none."""
        first, newest = self._view.scripts.first(script), self._view.scripts.history(script, 1)
        if first is None or not newest:
            return None, None
        first_block, last_block = self._blocks.entries_at([first.height, newest[0].height])
        return first_block, last_block

    def balance_changes(self, script: bytes, count: int, after: bytes | None) -> list[BalanceChange]:
        """Return the changes of a script's balance by confirmed transactions, newest first, following `after`."""

        def read(_: Tip) -> list[BalanceChange]:
            history = self._view.scripts.history(script, count, after)
            infos = self._txs.listed([item.txid for item in history])
            return [
                BalanceChange(item, info.gain_of(script), info.block.header.time)
                for item, info in zip(history, infos, strict=True)
                if info.block is not None
            ]

        return self._view.at_tip(read)

    # ── coins ───────────────────────────────────────────────────────────────────────────────────────────────────

    def unspent(self, script: bytes, most: int) -> list[tuple[Unspent, BlockEntry | None]] | None:
        """Return a script's unspent outputs, oldest first, each with the block that holds it; None if over `most`.

        Confirmed outputs that the pool spends count, too, as all are counted before any is read.
        """

        def read(_: Tip) -> list[tuple[Unspent, BlockEntry | None]] | None:
            if self._view.scripts.coin_count(script) > most:
                return None
            coins = self._view.scripts.unspent([script])
            if len(coins) > most:
                return None
            heights = list({coin.height: None for coin in coins if coin.height is not None})
            blocks = dict(zip(heights, self._blocks.entries_at(heights), strict=True))
            return [(coin, None if coin.height is None else blocks[coin.height]) for coin in coins]

        return self._view.at_tip(read)

    def coin_page(self, script: bytes, start: int) -> CoinPage:
        """Return a page of a script's coins, newest first, from the confirmed one at place `start`; 400 past the end.

        Only the coins of the page are read, however many there are.
        """
        return self._view.at_tip(lambda _: self._coin_page(script, start))

    def _coin_page(self, script: bytes, start: int) -> CoinPage:
        count = self._view.scripts.coin_count(script)
        if start and start >= count:
            raise RequestError(400, "start index out of range")
        coins = self._view.scripts.coins(script, start, COINS_PER_PAGE)
        spends = self._view.pool.spends([coin.outpoint for coin in coins])
        return CoinPage(
            start=start,
            confirmed_count=count,
            unconfirmed=[] if start else self._unconfirmed_coins(script),
            confirmed=[ListedCoin(coin, spend) for coin, spend in zip(coins, spends, strict=True)],
        )

    def _unconfirmed_coins(self, script: bytes) -> list[ListedCoin]:
        """Return the newest unspent outputs of the pool that pay a script."""
        found: list[ListedCoin] = []
        txids = self._view.scripts.pool_txids(script, MAX_POOL_WALK)
        for first in range(0, len(txids), COINS_PER_PAGE):
            part = txids[first : first + COINS_PER_PAGE]
            records = self._view.pool.present(part)
            if len(records) != len(part):
                raise Moved
            paid = [coin for record in records for coin in _coins_of(record, script)]
            spends = self._view.pool.spends([coin.outpoint for coin in paid])
            found += [ListedCoin(coin) for coin, spend in zip(paid, spends, strict=True) if spend is None]
            if len(found) >= COINS_PER_PAGE:
                break
        return found[:COINS_PER_PAGE]


def _coins_of(record: TxRecord, script: bytes) -> list[Unspent]:
    return [
        Unspent(OutPoint(record.tx.txid, vout), output, None, False)
        for vout, output in enumerate(record.tx.outputs)
        if script_hash(output.script_pubkey) == script
    ]
