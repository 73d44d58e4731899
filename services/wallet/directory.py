"""Lists the wallets of this stack by name, so that every form that takes an address can offer them.

The wallet's own pages call `names`; the explorer and the node ask over the bus, as only this service reads `wallet:*`.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.wallet.service import WalletService
from services.wallet.store import Wallet
from shared.bus.events import Message, WalletName, WalletsRequested, WalletsResult
from shared.bus.wallets import CREATOR
from shared.bus.worker import Handler, each

MAX_NAMES = 50
"""The most wallets to list; a stack for tests may have thousands."""


def names(wallets: WalletService) -> tuple[WalletName, ...]:
    """Return `creator`, if it exists, then the newest wallets, each with its newest address."""
    ids = wallets.store.ids()
    newest = [wallet_id for wallet_id in reversed(ids) if wallet_id != CREATOR]
    chosen = ([CREATOR] if CREATOR in ids else []) + newest
    return tuple(_name(wallets, wallet) for wallet in wallets.store.load_many(chosen[:MAX_NAMES]))


def requests(wallets: WalletService) -> Mapping[type[Message], Handler[Message]]:
    """Return the handlers of the requests that the directory answers."""

    def answer(request: WalletsRequested) -> WalletsResult:
        return WalletsResult(wallets=names(wallets))

    table: dict[type[Message], Handler[Message]] = {WalletsRequested: each(answer)}  # type: ignore[arg-type]
    return table


def _name(wallets: WalletService, wallet: Wallet) -> WalletName:
    key = wallets.current_key(wallet)
    return WalletName(id=wallet.id, address=key.address(wallets.params.address))
