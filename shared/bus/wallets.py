"""Asks the wallet service which wallets there are, for the explorer and the node, which read no `wallet:*` keys.

Their forms offer the wallets wherever an address is asked for.
"""

from __future__ import annotations

import logging

from shared.bus.broker import Broker
from shared.bus.events import WalletName, WalletsRequested
from shared.errors import BrokerError

log = logging.getLogger(__name__)

CREATOR = "creator"
"""The wallet that a chain's first blocks pay, and its faucet pays from."""
_CREATOR_TIMEOUT = 5.0
"""Seconds that the wallet service may take to say where `creator` is paid."""
_OFFER_TIMEOUT = 1.0
"""Seconds that a page waits for the names, which it can do without."""


async def ask_wallets(broker: Broker, timeout: float) -> tuple[WalletName, ...]:
    """Return the wallets, `creator` first. Raises `BrokerError`."""
    return (await broker.ask(WalletsRequested(), timeout)).wallets


async def creators_address(broker: Broker) -> str:
    """Return the newest address of the wallet `creator`; empty on a chain without it. Raises `BrokerError`."""
    wallets = await ask_wallets(broker, _CREATOR_TIMEOUT)
    return next((wallet.address for wallet in wallets if wallet.id == CREATOR), "")


async def offered_wallets(broker: Broker) -> tuple[WalletName, ...]:
    """Return the wallets that a form offers; none while the wallet service does not answer."""
    try:
        return await ask_wallets(broker, _OFFER_TIMEOUT)
    except BrokerError as error:
        log.info("a form offers no wallets: %s", error)
        return ()
