"""Requests to the wallet service: coins of a test chain's faucet, payees for forms."""

from __future__ import annotations

from typing import ClassVar

import msgspec

from shared.bus.events.message import Message, Request
from shared.bus.topics import Topic


class CoinsResult(Message, frozen=True, kw_only=True):
    """Reply to `CoinsRequested`: a payment that the pool has accepted, or the wallet's code for why there is none."""

    txid: str = ""
    reason: str = ""
    detail: str = ""
    advice: str = ""
    """For people: how to get coins all the same."""


class CoinsRequested(Request[CoinsResult], frozen=True, kw_only=True):
    """Pay `amount` from the faucet of a test chain; it is paid once however often the request comes."""

    topic: ClassVar[Topic] = Topic.COINS_REQUESTED
    expires: ClassVar[bool] = True
    needs_message_id: ClassVar[bool] = True
    script_pubkey: str
    """In hex."""
    amount: int


class AddressResult(Message, frozen=True, kw_only=True):
    """Reply to `AddressRequested`: the address, or the wallet's code for why there is none."""

    address: str = ""
    reason: str = ""
    detail: str = ""


class AddressRequested(Request[AddressResult], frozen=True, kw_only=True):
    """Name an address of the wallet that the faucet of a test chain pays from."""

    topic: ClassVar[Topic] = Topic.ADDRESS_REQUESTED
    expires: ClassVar[bool] = True
    fresh: bool = True
    """A new address, or the newest one while none of the last 20 has been paid; if false, the newest one in use."""


class WalletName(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet, and the newest of its addresses."""

    id: str
    address: str


class WalletsResult(Message, frozen=True, kw_only=True):
    """Reply to `WalletsRequested`: the wallet `creator`, if there is one, then the newest ones, up to a limit."""

    wallets: tuple[WalletName, ...]


class WalletsRequested(Request[WalletsResult], frozen=True, kw_only=True):
    """Name the wallets that a form can offer as payees."""

    topic: ClassVar[Topic] = Topic.WALLETS_REQUESTED
    expires: ClassVar[bool] = True
