"""The page of an address, or of the hash of a script that has none: balance, coins and history."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass
from itertools import accumulate

import segno
from flask import Response, render_template, request

from services.explorer.arguments import read_address, read_hash, read_script_hash
from services.explorer.esplora import TXS_PER_PAGE
from services.explorer.infos import TxInfo
from services.explorer.reads import ChainReads
from services.explorer.spending import script_label
from shared.chain.codec import BlockEntry
from shared.chain.view import ChainView, ScriptStats, Unspent
from shared.crypto.address import AddressPrefix, decode_address
from shared.script.script import to_rust_asm

POOL_TXS = 50
LISTED_COINS = 100
MAX_WALK = 200
"""Confirmed transactions that are read at most to tell the balance in the midst of a history."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is read of a script, all from one state of the chain."""

    confirmed: ScriptStats
    unconfirmed: ScriptStats
    first: BlockEntry | None
    """The block of its first confirmed transaction."""
    last: BlockEntry | None
    txs: list[TxInfo]
    """Those that are shown, newest first."""
    balance: int | None
    """Satoshis after the first of these."""
    coin_count: int
    coins: list[tuple[Unspent, BlockEntry | None]]
    """Empty where there are too many to show."""


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """A transaction of a script's history."""

    info: TxInfo
    gain: int
    """Satoshis received less satoshis spent."""
    balance: int | None
    """Satoshis after it; None where too much came later to add it up."""


class ScriptPage:
    """Shows addresses and script hashes."""

    def __init__(self, view: ChainView, reads: ChainReads, prefix: AddressPrefix) -> None:
        self._view = view
        self._reads = reads
        self._prefix = prefix

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
        seen = self._reads.snapshot(lambda: self._read(script, after))
        if script_pubkey is None:
            script_pubkey = next((pubkey for info in seen.txs for pubkey in info.scripts_of(script)), None)
        in_blocks = [info for info in seen.txs if info.block]
        return render_template(
            "address.html",
            now=time.time(),
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
            rows=history_rows(seen.txs, script, seen.balance),
            coin_count=seen.coin_count,
            coins=seen.coins,
            listed_pool=POOL_TXS,
            after=after,
            next_after=in_blocks[-1].tx.txid_hex if len(in_blocks) == TXS_PER_PAGE else None,
        )

    def _read(self, script: bytes, after: bytes | None) -> Seen:
        confirmed, unconfirmed = self._reads.script_stats(script)
        coin_count = confirmed.funded_count - confirmed.spent_count + unconfirmed.funded_count - unconfirmed.spent_count
        first, last = self._first_and_last_use(script)
        return Seen(
            confirmed=confirmed,
            unconfirmed=unconfirmed,
            first=first,
            last=last,
            txs=self._reads.script_txs(script, 0 if after else POOL_TXS, TXS_PER_PAGE, after),
            balance=self._balance_after(script, after, confirmed, unconfirmed),
            coin_count=coin_count,
            coins=self._reads.unspent(script) if 0 < coin_count <= LISTED_COINS else [],
        )

    def _first_and_last_use(self, script: bytes) -> tuple[BlockEntry | None, BlockEntry | None]:
        """Return the blocks of the first and the last confirmed transaction, None for what was never used."""
        first, newest = self._view.script_first(script), self._view.script_history(script, 1)
        if first is None or not newest:
            return None, None
        hashes = [self._reads.block_hash(item.height) for item in (first, newest[0])]
        first_block, last_block = self._view.block_entries(hashes)
        return first_block, last_block

    def _balance_after(
        self, script: bytes, after: bytes | None, confirmed: ScriptStats, unconfirmed: ScriptStats
    ) -> int | None:
        """Return the balance before the transaction `after`, or the one of now; None if it lies too far back."""
        if after is None:
            return confirmed.balance + unconfirmed.balance if unconfirmed.tx_count <= POOL_TXS else None
        movements = self._reads.movements(script, MAX_WALK, None)
        balances = accumulate((-movement.value for movement in movements), initial=confirmed.balance)
        next(balances)
        for movement, balance in zip(movements, balances, strict=True):
            if movement.item.txid == after:
                return balance
        return None


def history_rows(txs: list[TxInfo], script: bytes, balance: int | None) -> list[HistoryRow]:
    """Return the rows of transactions, newest first; `balance` is what was there after the first of them."""
    rows = []
    for info in txs:
        gain = info.gain_of(script)
        rows.append(HistoryRow(info, gain, balance))
        if balance is not None:
            balance -= gain
    return rows
