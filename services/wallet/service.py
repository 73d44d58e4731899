"""The use cases behind API and pages: creates wallets, reads their state, exports keys, mines. `payments` pays.

Mining is a request to the mempool, which replies after the commit, so the result can be read as soon as the reply is
there. Refusals are `WalletError`s and change nothing.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from services.wallet.coins.ledger import Balance, HistoryEntry, Ledger, merge_unmined
from services.wallet.errors import BadInput, Locked, MiningStopped, UnknownWallet, WalletExists
from services.wallet.keys.accounts import Account, Keychain, WalletKey
from services.wallet.keys.keystore import OURSELVES, Keystore, check_new_password
from services.wallet.store import Record, Wallet, WalletStore
from shared.bus.broker import Broker
from shared.bus.events import MineRequested
from shared.bus.mine import MAX_BLOCKS, mine_blocks
from shared.consensus.params import ChainParams
from shared.crypto.bip32 import ExtendedKey
from shared.crypto.pem import private_key_to_pem, public_key_to_pem
from shared.errors import DecodeError
from shared.logs import with_fields
from shared.primitives.hex import parse_display_hash

log = logging.getLogger(__name__)

RESERVED_IDS = frozenset({"api", "static", "shared", "healthz", "readyz", "metrics"})
MAX_HISTORY = 100
GAP = 20
"""Unpaid addresses in a row after which only the owner gets a new one: the gap limit of BIP44, beyond which other
software does not look for coins when it restores a wallet from its words."""
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Created:
    """A new wallet. `repr` omits its mnemonic, which is stored nowhere."""

    id: str
    mnemonic: str
    key: WalletKey

    def __repr__(self) -> str:
        return f"Created({self.id!r})"


@dataclass(frozen=True, slots=True)
class NewAddress:
    """The answer to a request for a new receive address."""

    key: WalletKey
    is_new: bool
    """False if it was given before, because nobody has paid the last `GAP` addresses."""


@dataclass(frozen=True, slots=True)
class Info:
    """The public facts about a wallet, which need no password."""

    id: str
    balance: Balance
    key: WalletKey
    """The newest receive key."""
    address: str
    public_key_pem: str


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A page of a wallet's history, newest first."""

    entries: list[HistoryEntry]
    after: bytes | None
    """The last txid of this page, to request the next page with; None on the last page."""


def check_wallet_id(value: object) -> str:
    """Return a wallet id: 1 to 64 letters, digits, `_` or `-`, and not the name of a page; else `BadInput`."""
    if not isinstance(value, str) or not value:
        raise BadInput("id", "wallet-id-missing", "choose a wallet id")
    if not _ID.fullmatch(value):
        raise BadInput("id", "wallet-id-invalid", "a wallet id is 1 to 64 letters, digits, '_' or '-'")
    if value.lower() in RESERVED_IDS:
        raise BadInput("id", "wallet-id-reserved", f"{value!r} is the name of a page, choose another wallet id")
    return value


class WalletService:
    """The use cases of wallets, except payments (see `Payments`)."""

    def __init__(
        self,
        params: ChainParams,
        store: WalletStore,
        ledger: Ledger,
        keystore: Keystore,
        broker: Broker,
        mine_timeout: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.params = params
        self.store = store
        self.ledger = ledger
        self._keystore = keystore
        self._broker = broker
        self._mine_timeout = mine_timeout
        self._clock = clock
        self._accounts: dict[str, Account] = {}

    # ── wallets ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def create(self, wallet_id: object, password: object, client: str = OURSELVES) -> Created:
        """Create a wallet. Raises `BadInput`, `WalletExists` (the existing wallet is unchanged) or `Busy`."""
        name = check_wallet_id(wallet_id)
        secret = check_new_password(password)
        if self.store.exists(name):  # checked before the costly scrypt; `store.create` checks again
            raise WalletExists(name)
        new = await self._keystore.create(name, secret, client)
        self.store.create(name, Record(new.sealed, new.xpub, int(self._clock())))
        log.info("wallet created", extra=with_fields(wallet=name))
        return Created(name, new.mnemonic, self.account(self.load(name)).key(Keychain.RECEIVE, 0))

    def load(self, wallet_id: str) -> Wallet:
        """Return a wallet; `UnknownWallet` if there is none."""
        if not _ID.fullmatch(wallet_id):
            raise UnknownWallet(wallet_id[:64])
        return self.store.load(wallet_id)

    def account(self, wallet: Wallet) -> Account:
        """Return the public side of the wallet's keys."""
        account = self._accounts.get(wallet.id)
        if account is None:
            account = Account(ExtendedKey.parse(wallet.record.xpub, self.params.address))
            self._accounts[wallet.id] = account
        return account

    def keys(self, wallet: Wallet) -> list[WalletKey]:
        """Return all keys of the wallet that are in use."""
        account = self.account(wallet)
        receive = account.keys(Keychain.RECEIVE, wallet.receive_count)
        return receive + account.keys(Keychain.CHANGE, wallet.change_count)

    def current_key(self, wallet: Wallet) -> WalletKey:
        """Return the newest receive key."""
        return self.account(wallet).key(Keychain.RECEIVE, wallet.receive_count - 1)

    def info(self, wallet_id: str) -> Info:
        """Return balance and address."""
        wallet = self.load(wallet_id)
        key = self.current_key(wallet)
        balance = self.ledger.balance(self.keys(wallet))
        return Info(wallet.id, balance, key, key.address(self.params.address), public_key_to_pem(key.public_key))

    def addresses(self, wallet_id: str) -> list[str]:
        """Return the receive addresses in use, newest first."""
        wallet = self.load(wallet_id)
        keys = self.account(wallet).keys(Keychain.RECEIVE, wallet.receive_count)
        return [key.address(self.params.address) for key in reversed(keys)]

    def new_address(self, wallet_id: str, *, by_owner: bool = False) -> NewAddress:
        """Take the next receive address into use.

        Anyone may ask for one. So that strangers cannot let a wallet grow without end, they get the newest one again
        while none of the last `GAP` has been paid.
        """
        wallet = self.load(wallet_id)
        account = self.account(wallet)
        newest = account.newest(Keychain.RECEIVE, wallet.receive_count, GAP)
        if not by_owner and len(newest) == GAP and not self.ledger.has_used(newest):
            return NewAddress(newest[-1], is_new=False)
        return NewAddress(account.key(Keychain.RECEIVE, self.store.add_receive_key(wallet.id)), is_new=True)

    def history(self, wallet_id: str, limit: int = 25, after_hex: str | None = None) -> HistoryPage:
        """Return a page of `limit` mined transactions; the first page has all unmined transactions before them."""
        if not 1 <= limit <= MAX_HISTORY:
            raise BadInput("limit", "limit-out-of-range", f"limit must be from 1 to {MAX_HISTORY}")
        wallet = self.load(wallet_id)
        keys = self.keys(wallet)
        if after_hex is None:
            unmined = merge_unmined(self.ledger.unconfirmed(keys), self.store.unmined_sends(wallet.id, MAX_HISTORY))
            confirmed = self.ledger.confirmed(keys, limit + 1)
        else:
            unmined = []
            confirmed = self.ledger.confirmed(keys, limit + 1, _parse_after(after_hex))
        mined = {entry.txid for entry in confirmed}  # a transaction may be mined between the two reads
        unmined = [entry for entry in unmined if entry.txid not in mined]
        after = confirmed[limit - 1].txid if len(confirmed) > limit else None
        return HistoryPage(unmined + confirmed[:limit], after)

    # ── secrets ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def open(self, wallet_id: str, password: object, client: str = OURSELVES) -> ExtendedKey:
        """Return the account's private key. Raises `Locked` without a password, `WrongPassword` or `Busy`."""
        wallet = self.load(wallet_id)
        if password is None or password == "":
            raise Locked
        return await self._keystore.open(wallet.id, wallet.record.sealed, password, client)

    async def export_key(self, wallet_id: str, password: object, client: str = OURSELVES) -> bytes:
        """Return the private key of the newest receive address as PKCS#8 PEM, encrypted with the wallet's password."""
        account = await self.open(wallet_id, password, client)
        key = self.current_key(self.load(wallet_id))
        private_key = account.child(key.branch).child(key.index).private_key
        if private_key is None or not isinstance(password, str):
            raise Locked
        log.info("private key exported, encrypted", extra=with_fields(wallet=wallet_id))
        return private_key_to_pem(private_key, password)

    # ── mining ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def mine(self, wallet_id: str, count: object) -> tuple[str, ...]:
        """Mine blocks that pay the wallet; when they are on the chain, return their hashes (display order).

        Raises `MiningStopped`, with the blocks mined so far, if there are fewer than `count`.
        """
        wallet = self.load(wallet_id)
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MAX_BLOCKS:
            raise BadInput("count", "count-out-of-range", f"count must be a whole number from 1 to {MAX_BLOCKS}")
        script = self.current_key(wallet).script_pubkey
        request = MineRequested(count=count, script_pubkey=script.hex())
        result = await mine_blocks(self._broker, request, self._mine_timeout)
        if result.error:
            raise MiningStopped(result.hashes, result.error)
        log.info("blocks mined", extra=with_fields(wallet=wallet.id, count=count, tip=result.hashes[-1]))
        return result.hashes


def _parse_after(text: str) -> bytes:
    try:
        return parse_display_hash(text)
    except DecodeError:
        raise BadInput("after", "after-invalid", "after must be a txid") from None
