"""Handles facts about chain and pool: updates the records of the wallet's sends, and logs received coins.

A fact only triggers an update; the outcome of a send is read from the committed chain. So a fact may arrive twice, late
or out of order, and the next block makes up for a missed one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence, Set

import msgspec

from services.wallet.service import WalletService
from services.wallet.store import Send, SendStatus
from shared import trace
from shared.bus.events import (
    BlockConnected,
    BlockDisconnected,
    Message,
    Removal,
    TxAccepted,
    TxRemoved,
)
from shared.bus.worker import Handler, Incoming
from shared.chain.view import ChainView, TxRecord
from shared.logs import with_fields
from shared.primitives.hex import display_hash, parse_display_hash

log = logging.getLogger(__name__)

_FINAL_DEPTH = 100
"""Confirmations after which a send is no longer checked."""
_LOGGED_PER_WALLET = 100


class Inbox:
    """Handles the facts that the wallet subscribes to."""

    def __init__(self, wallets: WalletService, view: ChainView) -> None:
        self._wallets = wallets
        self._view = view

    def on_pool(self, batch: Sequence[Incoming[TxAccepted | TxRemoved]]) -> list[None]:
        """Update the sends that entered or left the pool."""
        removals = {
            parse_display_hash(incoming.message.txid): incoming.message.why
            for incoming in batch
            if isinstance(incoming.message, TxRemoved)
        }
        txids = list({parse_display_hash(incoming.message.txid): None for incoming in batch})
        self._reconcile(self._wallets.store.sends_by_txid(txids), removals)
        return [None] * len(batch)

    def on_blocks(self, batch: Sequence[Incoming[BlockConnected | BlockDisconnected]]) -> list[None]:
        """Update every send whose outcome is open, and log the coins that the connected blocks brought."""
        self._reconcile(self._wallets.store.open_sends(), {})
        connected = [incoming.message for incoming in batch if isinstance(incoming.message, BlockConnected)]
        if connected:
            self._log_receipts({message.height for message in connected})
        return [None] * len(batch)

    def _reconcile(self, sends: Mapping[bytes, tuple[str, Send]], removals: Mapping[bytes, Removal]) -> None:
        if not sends:
            return
        tip_height = self._view.tip().height
        records = self._view.txs.get_many(list(sends))
        changed: dict[bytes, tuple[str, Send]] = {}
        closed = []
        for (txid, (wallet_id, send)), record in zip(sends.items(), records, strict=True):
            now = _outcome(send, record, removals.get(txid))
            if now != send:
                changed[txid] = wallet_id, now
                if now.status is not SendStatus.PENDING:
                    with trace.within(send.traceparent or trace.current()):
                        log.info("payment %s", now.status, extra=_fields(wallet_id, txid, now))
            if now.height is not None and tip_height - now.height >= _FINAL_DEPTH:
                closed.append(txid)
        self._wallets.store.update_sends(changed, closed)

    def _log_receipts(self, heights: Set[int]) -> None:
        for wallet_id in self._wallets.store.ids():
            wallet = self._wallets.load(wallet_id)
            entries = self._wallets.ledger.confirmed_at(self._wallets.keys(wallet), heights, _LOGGED_PER_WALLET)
            amounts = [entry.amount for entry in entries if entry.amount > 0]
            if amounts:
                fields = with_fields(wallet=wallet_id, sats=sum(amounts), transactions=len(amounts))
                log.info("coins received", extra=fields)


def _outcome(send: Send, record: TxRecord | None, why: Removal | None) -> Send:
    """Return the send with its present status; `record` is its transaction in chain or pool, None if in neither."""
    if record is not None and record.block is not None:
        return msgspec.structs.replace(send, status=SendStatus.CONFIRMED, height=record.block.height, why="")
    if record is not None:
        return msgspec.structs.replace(send, status=SendStatus.UNCONFIRMED, height=None, why="")
    if why is not None and why is not Removal.MINED:
        return msgspec.structs.replace(send, status=SendStatus.DROPPED, height=None, why=str(why))
    if send.status is SendStatus.CONFIRMED:  # its block was disconnected, and the transaction is not back in the pool
        return msgspec.structs.replace(send, status=SendStatus.PENDING, height=None)
    return send


def _fields(wallet_id: str, txid: bytes, send: Send) -> dict[str, dict[str, object]]:
    fields: dict[str, object] = {"wallet": wallet_id, "txid": display_hash(txid)}
    if send.height is not None:
        fields["height"] = send.height
    if send.why:
        fields["why"] = send.why
    return with_fields(**fields)


def subscriptions(inbox: Inbox) -> Mapping[type[Message], Handler[Message]]:
    """Return the handlers of the facts that the wallet subscribes to."""
    table: dict[type[Message], Callable[..., list[None]]] = {
        TxAccepted: inbox.on_pool,
        TxRemoved: inbox.on_pool,
        BlockConnected: inbox.on_blocks,
        BlockDisconnected: inbox.on_blocks,
    }
    return table
