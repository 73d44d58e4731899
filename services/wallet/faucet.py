"""The faucet of a test chain: pays test coins from the wallet `creator` to anyone, and returns `creator`'s addresses.

A wallet's page calls the faucet directly. The explorer, which has no keys, asks over the bus (`coins.requested`,
`address.requested`); the password stays in this service's file. A repeated request is paid once: the message id, or the
id in the page's form, is the payment's request id.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.wallet.errors import (
    BadInput,
    Busy,
    InsufficientFunds,
    MiningStopped,
    NoFaucet,
    Refused,
    UnknownWallet,
    WalletError,
    WrongPassword,
)
from services.wallet.payments.payments import PATIENCE, Order, Payments, Sent
from services.wallet.service import WalletService
from shared import trace
from shared.bus.events import AddressRequested, AddressResult, CoinsRequested, CoinsResult, Message
from shared.bus.mine import MAX_BLOCKS
from shared.bus.wallets import CREATOR
from shared.bus.worker import Handler, Incoming, each
from shared.consensus.limits import COIN
from shared.consensus.subsidy import block_subsidy
from shared.crypto.bip32 import ExtendedKey
from shared.errors import BrokerError, DecodeError, RequestFailed, RequestTimeout, Unroutable
from shared.logs import with_fields
from shared.primitives.hex import display_hash, parse_display_hash, parse_hex
from shared.process import waiting
from shared.process.waiting import Turns
from shared.reasons import Reason
from shared.script.script import MAX_SCRIPT_SIZE

log = logging.getLogger(__name__)

TEST_COINS = 10 * COIN
"""Satoshis that a wallet's page requests."""
UNAVAILABLE = "temporarily-unavailable"
_ROUNDS = 2
"""Times that blocks are mined for one payment."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Test coins that were paid."""

    txid_hex: str
    amount: int
    """Satoshis."""
    block_hex: str | None
    """Hash, in display order, of the block mined for the payment; None while the payment waits for a block."""


class _TooLate(Exception):
    """The requester has stopped waiting, was told so, and has perhaps asked again."""


class Faucet:
    """Pays test coins."""

    def __init__(self, wallets: WalletService, payments: Payments, password_file: Path, *, may_mine: bool) -> None:
        """`may_mine`: on a chain with cheap blocks, mine some when mature coins run short."""
        self._wallets = wallets
        self._payments = payments
        self._password_file = password_file
        self._may_mine = may_mine
        self._account: ExtendedKey | None = None
        self._mining = Turns()

    def is_available(self) -> bool:
        """Whether the wallet `creator` exists; chains with costly blocks have none."""
        return self._wallets.store.exists(CREATOR)

    async def grant(self, wallet_id: str, request_id: str | None) -> Grant:
        """Pay a wallet of this service and mine the payment, so that its coins can be spent at once.

        Raises `WalletError` or `BrokerError` if nothing was paid or the outcome is unknown.
        """
        script = self._wallets.current_key(self._wallets.load(wallet_id)).script_pubkey
        order = self._payments.order_for_script(script, TEST_COINS)
        # The wallet's id tells its requests from those of others, and stays when its newest address changes.
        own_id, terms = (f"{wallet_id}/{request_id}", f"test coins for {wallet_id}") if request_id else (None, None)
        sent = await self._send(order, await self._open(), own_id, terms)
        log.info("test coins paid", extra=with_fields(wallet=wallet_id, txid=sent.txid_hex))
        return Grant(sent.txid_hex, TEST_COINS, await self._block_of(parse_display_hash(sent.txid_hex)))

    async def _block_of(self, txid: bytes) -> str | None:
        """Return the hash (display order) of a payment's block, mined for it if blocks are cheap; None without one.

        Blocks are mined one after another, and a payment that is in the block of an earlier one needs none of its own.
        """
        ledger = self._wallets.ledger
        try:
            if self._may_mine and ledger.block_hash(txid) is None:
                with await self._mining.take(PATIENCE):
                    if ledger.block_hash(txid) is None:
                        await self._wallets.mine(CREATOR, 1)
        except (MiningStopped, BrokerError, TimeoutError) as error:
            log.warning("test coins wait for a block: %s", error)
        block_hash = ledger.block_hash(txid)
        return display_hash(block_hash) if block_hash else None

    def pay(self, batch: Sequence[Incoming[CoinsRequested]]) -> list[CoinsResult | None]:
        """Pay each request of the batch; None for one whose requester has stopped waiting meanwhile."""
        results = []
        for incoming in batch:
            with trace.within(incoming.traceparent):
                results.append(self._pay_in_time(incoming))
        return results

    def address(self, request: AddressRequested) -> AddressResult:
        """Return the newest address of `creator`, or if the request asks for a fresh one, a new one (see `GAP`)."""
        try:
            if request.fresh:
                key = self._wallets.new_address(CREATOR).key
            else:
                key = self._wallets.current_key(self._wallets.load(CREATOR))
        except UnknownWallet:
            return AddressResult(reason=NoFaucet.code, detail=str(_no_creator()))
        return AddressResult(address=key.address(self._wallets.params.address))

    def _pay_in_time(self, incoming: Incoming[CoinsRequested]) -> CoinsResult | None:
        """Pay, or stop waiting when the requester does: the next one waits for this thread."""
        try:
            return waiting.run(self._pay(incoming), incoming.seconds_left)
        except (_TooLate, TimeoutError):
            log.warning("nobody waits for these coins any more: the faucet has given them up")
            return None

    async def _pay(self, incoming: Incoming[CoinsRequested]) -> CoinsResult:
        request = incoming.message
        try:
            order = self._payments.order_for_script(_read_script(request.script_pubkey), request.amount)
            account = await self._open()
            sent = await self._send(order, account, incoming.message_id, is_late=lambda: incoming.is_late)
        except WalletError as error:
            log.info("the faucet pays nothing: %s", error, extra=with_fields(code=error.code))
            return CoinsResult(reason=error.code, detail=str(error), advice=advice(error))
        except (RequestTimeout, RequestFailed, Unroutable) as error:  # a request to the mempool failed
            log.warning("the faucet cannot pay: %s", error)
            return CoinsResult(reason=UNAVAILABLE, detail=str(error))
        return CoinsResult(txid=sent.txid_hex)

    async def _open(self) -> ExtendedKey:
        """Return the private key of `creator`'s account; it is unsealed once and kept."""
        if self._account is None:
            try:
                password = self._password_file.read_text(encoding="utf-8").strip()
                self._account = await self._wallets.open(CREATOR, password)
            except (UnknownWallet, FileNotFoundError):
                raise _no_creator() from None
        return self._account

    async def _send(
        self,
        order: Order,
        account: ExtendedKey,
        request_id: str | None,
        terms: str | None = None,
        is_late: Callable[[], bool] = lambda: False,
    ) -> Sent:
        """Pay; mine and retry while coins are immature or their cluster in the pool is full.

        Raises `_TooLate` instead of a payment once `is_late` says so.
        """

        async def pay() -> Sent:
            if is_late():
                raise _TooLate
            return await self._payments.send(CREATOR, order, account, request_id=request_id, terms=terms)

        try:
            return await pay()
        except (InsufficientFunds, Refused) as error:
            if not self._blocks_that_help(error):
                raise
        try:
            turn = await self._mining.take(PATIENCE)
        except TimeoutError:
            raise Busy("too many requests wait for the faucet's coins") from None
        with turn:  # the requests that waited for it find the coins of the first
            for _ in range(_ROUNDS):
                try:
                    return await pay()
                except (InsufficientFunds, Refused) as error:
                    count = self._blocks_that_help(error)
                    if not count:
                        raise
                await self._wallets.mine(CREATOR, count)
            return await pay()

    def _blocks_that_help(self, error: InsufficientFunds | Refused) -> int:
        """Return the number of blocks after which a payment may succeed; 0 if none may be mined or none would help."""
        match error:
            case InsufficientFunds() if self._may_mine and self._may_suffice(error.needed):
                return self._maturing_blocks
            case Refused(reason=Reason.TOO_LARGE_CLUSTER) if self._may_mine:
                return 1
        return 0

    @property
    def _maturing_blocks(self) -> int:
        return min(self._wallets.params.coinbase_maturity, MAX_BLOCKS)

    def _may_suffice(self, needed: int) -> bool:
        """Whether the balance, including immature coins, and the rewards of maturing them cover `needed` satoshis."""
        balance = self._wallets.ledger.balance(self._wallets.keys(self._wallets.load(CREATOR)))
        rewards = block_subsidy(balance.height + self._maturing_blocks, self._wallets.params) * self._maturing_blocks
        return balance.confirmed + max(0, balance.unconfirmed) + rewards >= needed


def advice(error: WalletError) -> str:
    """Return advice for a person whom the faucet did not pay; empty if the error's text suffices."""
    match error:
        case InsufficientFunds():
            return (
                f"The faucet is short of coins: it pays from the wallet {CREATOR}. Ask for less, or mine blocks to "
                f"{CREATOR}: their rewards can be spent once they are mature."
            )
        case WrongPassword():
            return (
                f"The faucet is locked: the password in the wallet service's file does not open {CREATOR}. Put the "
                "right one back there."
            )
        case NoFaucet():
            return "Mine to your own wallet instead: a reward can be spent once it is mature."
    return ""


def requests(faucet: Faucet) -> Mapping[type[Message], Handler[Message]]:
    """Return the handlers of the requests that the faucet answers."""
    table: dict[type[Message], Handler[Message]] = {
        CoinsRequested: faucet.pay,  # type: ignore[dict-item]
        AddressRequested: each(faucet.address),  # type: ignore[arg-type]
    }
    return table


def _read_script(text: str) -> bytes:
    try:
        script = parse_hex(text, "script")
    except DecodeError as error:
        raise BadInput("script_pubkey", "script-not-hex", str(error)) from None
    if not 0 < len(script) <= MAX_SCRIPT_SIZE:
        raise BadInput("script_pubkey", "script-size", f"a script has 1 to {MAX_SCRIPT_SIZE:,} bytes")
    return script


def _no_creator() -> NoFaucet:
    return NoFaucet(f"there is no faucet: no wallet {CREATOR!r} whose password the wallet service knows")
