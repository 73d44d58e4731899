"""The page of an address, or of the hash of a script that has none: balance, coins and history."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

import segno
from flask import Response, render_template, request

from services.explorer.api.parameters import read_address, read_hash, read_number, read_script_hash
from services.explorer.chain.models import CoinPage, TxInfo
from services.explorer.chain.queries import ChainQueries
from services.explorer.chain.script_queries import COINS_PER_PAGE
from services.explorer.pages.links import TXS_PER_PAGE
from services.explorer.pages.transaction.input_script import script_label
from shared.chain.codec import BlockEntry
from shared.chain.view import ScriptStats
from shared.crypto.address import decode_address
from shared.script.script import to_rust_asm

POOL_TXS = 25
"""Unconfirmed transactions shown at a time."""
MAX_WALK = 200
"""Confirmed transactions read at most to work out the balance in the middle of a history."""


@dataclass(frozen=True, slots=True)
class ScriptDetails:
    """An address or script as its page shows it, read from one state of the chain."""

    confirmed: ScriptStats
    unconfirmed: ScriptStats
    first: BlockEntry | None
    """The block of its first confirmed transaction."""
    last: BlockEntry | None
    txs: list[TxInfo]
    """The transactions shown, newest first."""
    pool_balance: int | None
    """Satoshis after the first unconfirmed one of `txs`; None if not added up."""
    chain_balance: int | None
    """Satoshis after the first confirmed one of `txs`; None if not added up."""
    coins: CoinPage


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """A transaction of a script's history."""

    info: TxInfo
    gain: int
    """Satoshis received less satoshis spent."""
    balance: int | None
    """Satoshis after it; None if too many later transactions would have to be added up."""


class ScriptPage:
    """Shows addresses and script hashes."""

    def __init__(self, chain: ChainQueries, clock: Callable[[], float] = time.time) -> None:
        self._chain = chain
        self._clock = clock
        self._prefix = chain.params.address

    def address(self, name: str) -> str:
        """Show an address."""
        script = read_address(name, self._prefix)
        return self._show(script, name, decode_address(name, self._prefix))

    def script_hash(self, name: str) -> str:
        """Show a script hash."""
        return self._show(read_script_hash(name), "", None)

    def address_qr(self, name: str) -> Response:
        """Draw an address as a QR code."""
        read_address(name, self._prefix)
        drawing = io.BytesIO()
        segno.make(name, error="m", micro=False).save(drawing, kind="svg", border=1, scale=4, dark="#20241f")
        return Response(drawing.getvalue(), content_type="image/svg+xml")

    def _show(self, script: bytes, address: str, script_pubkey: bytes | None) -> str:
        after = read_hash(request.args["after"]) if "after" in request.args else None
        start = read_number(request.args.get("coins", "0"))
        seen = self._chain.at_tip(lambda _: self._read(script, after, start))
        if script_pubkey is None:
            script_pubkey = next((pubkey for info in seen.txs for pubkey in info.scripts_of(script)), None)
        rows = history_rows(seen.txs, script, seen.pool_balance, seen.chain_balance)
        waiting, in_blocks = ([row for row in rows if bool(row.info.block) is kind] for kind in (False, True))
        return render_template(
            "address.html",
            now=self._clock(),
            address=address,
            script_hash=script.hex(),
            resource=f"/api/address/{address}" if address else f"/api/scripthash/{script.hex()}",
            here=f"/address/{address}" if address else f"/scripthash/{script.hex()}",
            kind=script_label(script_pubkey) if script_pubkey is not None else "",
            script_pubkey=script_pubkey.hex() if script_pubkey is not None else "",
            asm=to_rust_asm(script_pubkey) if script_pubkey is not None else "",
            confirmed=seen.confirmed,
            unconfirmed=seen.unconfirmed,
            first=seen.first,
            last=seen.last,
            rows=rows,
            waiting=waiting,
            in_blocks=in_blocks,
            has_balances=any(row.balance is not None for row in rows),
            coin_count=_coin_count(seen.confirmed) + _coin_count(seen.unconfirmed),
            coins=seen.coins,
            coin_step=COINS_PER_PAGE,
            coins_asked_for="coins" in request.args,
            after=after,
            is_full=len(rows if after else in_blocks) == TXS_PER_PAGE,
        )

    def _read(self, script: bytes, after: bytes | None, start: int) -> ScriptDetails:
        confirmed, unconfirmed = self._chain.scripts.stats(script)
        first, last = self._chain.scripts.first_and_last_block(script)
        return ScriptDetails(
            confirmed=confirmed,
            unconfirmed=unconfirmed,
            first=first,
            last=last,
            txs=self._txs(script, after),
            pool_balance=None if after else confirmed.balance + unconfirmed.balance,
            chain_balance=self._balance_after(script, after, confirmed),
            coins=self._chain.scripts.coin_page(script, start),
        )

    def _txs(self, script: bytes, after: bytes | None) -> list[TxInfo]:
        """Return the newest transactions of pool and chain, or the next ones of the list that `after` is in."""
        if after is None:
            return self._chain.scripts.txs(script, POOL_TXS, TXS_PER_PAGE)
        if self._chain.scripts.has_confirmed(script, after):
            return self._chain.scripts.txs(script, 0, TXS_PER_PAGE, after)
        return self._chain.scripts.merged_txs([script], TXS_PER_PAGE, after) or []

    def _balance_after(self, script: bytes, after: bytes | None, confirmed: ScriptStats) -> int | None:
        """Return the confirmed balance before the transaction `after`, or the present one; None if too far back."""
        if after is None or not self._chain.scripts.has_confirmed(script, after):
            return confirmed.balance
        changes = self._chain.scripts.balance_changes(script, MAX_WALK, None)
        balances = accumulate((-change.value for change in changes), initial=confirmed.balance)
        next(balances)
        for change, balance in zip(changes, balances, strict=True):
            if change.item.txid == after:
                return balance
        return None


def history_rows(
    txs: list[TxInfo], script: bytes, pool_balance: int | None, chain_balance: int | None
) -> list[HistoryRow]:
    """Return a row for each transaction, newest first; the balances are those after the first of pool and chain."""
    rows = []
    balances = {False: pool_balance, True: chain_balance}
    for info in txs:
        gain = info.gain_of(script)
        is_confirmed = info.block is not None
        balance = balances[is_confirmed]
        rows.append(HistoryRow(info, gain, balance))
        balances[is_confirmed] = None if balance is None else balance - gain
    return rows


def _coin_count(stats: ScriptStats) -> int:
    return stats.funded_count - stats.spent_count
