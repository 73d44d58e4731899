"""Shared by API and pages: the services behind them, the session cookie, and the HTTP status of each error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flask import Response, request

from services.wallet.errors import (
    BadInput,
    Busy,
    Conflicted,
    FeeChanged,
    InsufficientFunds,
    Locked,
    MiningStopped,
    NoFaucet,
    OutcomeUnknown,
    Refused,
    RequestIdUsed,
    UnknownWallet,
    WalletError,
    WalletExists,
    WrongPassword,
)
from services.wallet.faucet import Faucet, Grant
from services.wallet.payments.payments import Payments
from services.wallet.service import WalletService
from services.wallet.sessions import LIFETIME, Sessions
from shared.bus.wallets import CREATOR
from shared.crypto.bip32 import ExtendedKey
from shared.web.clients import Network, client_of_request

_STATUS: dict[type[WalletError], int] = {
    BadInput: 400,
    Locked: 401,
    WrongPassword: 403,
    UnknownWallet: 404,
    NoFaucet: 404,
    WalletExists: 409,
    FeeChanged: 409,
    RequestIdUsed: 409,
    Conflicted: 409,
    InsufficientFunds: 422,
    Refused: 422,
    Busy: 503,
    MiningStopped: 503,
    OutcomeUnknown: 504,
}


@dataclass(frozen=True, slots=True)
class PasswordLocation:
    """The location of the password of the wallet `creator`, which its pages name; they never show the password."""

    file: Path
    command: str
    """Command that prints the password, in containers, where the file's path is of no use. May be empty."""

    def is_of(self, wallet_id: str) -> bool:
        """Whether the file has the password of this wallet."""
        return wallet_id == CREATOR and self.file.is_file()


@dataclass(frozen=True, slots=True)
class Web:
    """The services that the HTTP handlers call."""

    wallets: WalletService
    payments: Payments
    sessions: Sessions
    cookie: str
    """Name of the session cookie."""
    faucet: Faucet | None
    """None on a chain without a faucet."""
    creator_password: PasswordLocation
    proxies: Sequence[Network]
    """Proxies that forward the client's address."""

    def client(self) -> str:
        """Return the address of the client, whose wrong passwords are counted."""
        return client_of_request(self.proxies)

    def token(self) -> str | None:
        """Return the session's cookie."""
        return request.cookies.get(self.cookie)

    def set_token(self, response: Response, token: str) -> None:
        """Set the session's cookie, hidden from scripts and from requests of other sites."""
        response.set_cookie(
            self.cookie, token, httponly=True, samesite="Strict", secure=request.is_secure, path="/", max_age=None
        )

    def offers_test_coins(self, wallet_id: str) -> bool:
        """Whether the faucet can pay this wallet, which must not be the faucet's own."""
        return self.faucet is not None and wallet_id != CREATOR and self.faucet.is_available()

    async def test_coins(self, wallet_id: str, request_id: str | None) -> Grant:
        """Pay the wallet test coins, once for a request id. Raises `WalletError` or `BrokerError`."""
        self.wallets.load(wallet_id)
        if self.faucet is None:
            raise NoFaucet("there is no faucet on this chain")
        return await self.faucet.grant(wallet_id, request_id)

    async def unlock(self, wallet_id: str, password: object) -> str:
        """Unlock the wallet for this session; return the session's cookie from now on."""
        key = await self.wallets.open(wallet_id, password, self.client())
        return self.sessions.unlock(self.token(), wallet_id, key)

    async def is_owner(self, wallet_id: str, password: object = None) -> bool:
        """Whether the request is the owner's: it has the password, or its session has unlocked the wallet."""
        if password in (None, ""):
            return self.sessions.key(self.token(), wallet_id) is not None
        await self.wallets.open(wallet_id, password, self.client())
        return True

    async def signing_key(self, wallet_id: str, password: object) -> ExtendedKey:
        """Return the account's private key, by the password or without one from the session. Raises `Locked`."""
        if password in (None, ""):
            key = self.sessions.key(self.token(), wallet_id)
            if key is not None:
                return key
        return await self.wallets.open(wallet_id, password, self.client())


UNLOCK_MINUTES = int(LIFETIME // 60)


def status_of(error: WalletError) -> int:
    """Return the HTTP status of a refusal."""
    return _STATUS[type(error)]
