"""The page of a transaction: what it moves, how it was allowed to, where it is, and the proof of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import render_template, request

from services.explorer.arguments import read_hash, read_number
from services.explorer.errors import RequestError, transaction_not_found
from services.explorer.families import ancestors, descendants, effective_feerate
from services.explorer.fees import BLOCK_VSIZE, projected_place
from services.explorer.infos import TxInfo, TxPlace
from services.explorer.meanings import lock_time_meaning, printable, signals_replacement
from services.explorer.miners import miner_name
from services.explorer.paths import SIDES_PER_PAGE
from services.explorer.reads import ChainReads
from services.explorer.tx_view import input_rows, output_rows, picture, proof_steps, sigops
from shared.chain.codec import PoolEntry
from shared.crypto.address import AddressPrefix
from shared.primitives.transaction import Transaction

MAX_HEX_SHOWN = 20_000
"""Bytes of a transaction whose hex is on the page; that of a larger one is a click away."""
LISTED_RELATIVES = 25


@dataclass(frozen=True, slots=True)
class Family:
    """An unconfirmed transaction's relatives in the pool, and what a miner makes of them."""

    ancestors: list[tuple[Transaction, PoolEntry]]
    descendants: list[tuple[Transaction, PoolEntry]]
    feerate: float
    """Satoshis per virtual byte by which a miner judges the transaction."""
    place: int
    """The block, counted from the next as 1, that it would be in if nothing else came."""


class TxPage:
    """Shows transactions."""

    def __init__(self, reads: ChainReads, prefix: AddressPrefix) -> None:
        self._reads = reads
        self._prefix = prefix

    def show(self, txid: str) -> str:
        """Show a transaction, 50 inputs and 50 outputs at a time; `?block=` looks in a stale block too."""
        tx_id = read_hash(txid)
        start = read_number(request.args.get("start", "0"))
        stale = read_hash(request.args["block"]) if "block" in request.args else None
        window = slice(start, start + SIDES_PER_PAGE)
        return self._reads.snapshot(lambda: self._show(tx_id, stale, window))

    def _show(self, txid: bytes, stale: bytes | None, window: slice) -> str:
        info = self._find(txid, stale)
        tx = info.tx
        sides = max(len(tx.inputs), len(tx.outputs))
        if window.start >= sides:
            raise RequestError(400, "start index out of range")
        place = self._reads.merkle_proof(txid) if info.block else None
        in_chain = info.block is not None or info.pool is not None
        outspends = self._reads.outspends(txid, window) if in_chain else [None] * len(tx.outputs[window])
        inputs = input_rows(info, window, self._prefix)
        outputs = output_rows(info, window, outspends, self._prefix)
        return render_template(
            "tx.html",
            info=info,
            inputs=inputs,
            outputs=outputs,
            flow=picture(info, inputs, outputs) if window.start == 0 else None,
            start=window.start,
            step=SIDES_PER_PAGE,
            sides=sides,
            confirmations=self._reads.tip().height - info.block.height + 1 if info.block else 0,
            stale=self._reads.block(stale) if stale and not in_chain else None,
            sigops=sigops(info),
            lock_time=lock_time_meaning(tx),
            replaceable=signals_replacement(tx),
            family=self._family(txid, info.pool) if info.pool else None,
            most_relatives=LISTED_RELATIVES,
            raw=tx.serialize().hex() if tx.size <= MAX_HEX_SHOWN else "",
            **_proof(place),
            **_coinbase(tx),
        )

    def _find(self, txid: bytes, stale: bytes | None) -> TxInfo:
        try:
            return self._reads.tx(txid)
        except RequestError:
            if stale is None:
                raise
        txids = self._reads.layout(stale).txids
        if txid not in txids:
            raise transaction_not_found()
        return self._reads.block_txs(stale, txids.index(txid), 1)[0]

    def _family(self, txid: bytes, entry: PoolEntry) -> Family:
        members = self._reads.family(txid)
        above, below = (
            sorted((members[other] for other in find(members, txid)), key=lambda member: member[1].sequence)
            for find in (ancestors, descendants)
        )
        rate = effective_feerate(members, txid)
        return Family(above, below, rate, self._place(rate))

    def _place(self, rate: float) -> int:
        if self._reads.pool_stats().vsize <= BLOCK_VSIZE:
            return 1  # there is room for all, so nothing more has to be read
        return projected_place(self._reads.pool_entries().values(), rate)


def _proof(place: TxPlace | None) -> dict[str, Any]:
    return {"place": place, "proof": proof_steps(place) if place else []}


def _coinbase(tx: Transaction) -> dict[str, Any]:
    if not tx.is_coinbase:
        return {"miner": "", "coinbase_text": ""}
    script_sig = tx.inputs[0].script_sig
    return {"miner": miner_name(script_sig), "coinbase_text": printable(script_sig)}
