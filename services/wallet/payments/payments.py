"""Makes payments: plans, signs, records and submits them, and handles the verdict.

A process chooses the coins of one payment of a wallet at a time, and waits for the verdicts of several: each spends
coins of its own, and one that finds too few left waits for the change of those before it. Another process, or another
wallet with the same words, may spend the coins first; then the mempool refuses the payment, and it is built again from
other coins. A payment is recorded before it is submitted, so the wallet always knows of it.

The record includes the request id and the terms of the payment: a repeated request is paid once, by whichever instance
receives it, and answered with the payment's present state. A payment that has left chain and pool is submitted again;
if its coins are spent otherwise, the answer says by which transactions, and the request id stays used: the payment
might come back with a reorganisation.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from msgspec.structs import replace

from services.wallet.coins.available import AvailableCoins, Choice, PaymentUnderWay
from services.wallet.coins.selection import Selection, SpendableCoin, select_coins
from services.wallet.errors import (
    BadInput,
    Busy,
    Conflicted,
    FeeChanged,
    InsufficientFunds,
    Locked,
    OutcomeUnknown,
    Refused,
    RequestIdUsed,
)
from services.wallet.keys.accounts import Keychain
from services.wallet.payments.amounts import parse_amount, parse_feerate
from services.wallet.payments.builder import build_payment, sign_payment
from services.wallet.payments.payee import Payee, parse_payee
from services.wallet.service import WalletService
from services.wallet.store import Begun, PaymentRequest, Send, SendStatus, Wallet
from shared import trace
from shared.bus.broker import Broker
from shared.bus.events import Removal, TxSubmitted, TxVerdict
from shared.chain.view import Tip
from shared.consensus.amount import format_btc
from shared.consensus.limits import MAX_MONEY
from shared.crypto.address import encode_address
from shared.crypto.bip32 import ExtendedKey
from shared.crypto.keys import PrivateKey
from shared.errors import BrokerError, BrokerUnavailable, Unroutable
from shared.logs import with_fields
from shared.policy import WALLET_FEERATE, dust_threshold
from shared.primitives.hex import display_hash
from shared.primitives.transaction import Transaction, TxOut
from shared.process.waiting import Turns, WaitFor
from shared.reasons import Reason

log = logging.getLogger(__name__)

VERDICT_TIMEOUT = 15.0
PATIENCE = 15.0
"""Seconds that a payment waits for earlier ones of its wallet."""
_TOO_MANY = "too many payments of this wallet wait for the mempool"
_COINS_TAKEN = frozenset(
    {Reason.BIP125_REPLACEMENT_DISALLOWED, Reason.BAD_TXNS_INPUTS_MISSINGORSPENT, Reason.MISSING_INPUTS}
)
"""Reject reasons that mean that another payment spent the coins first."""
_TRIES = 5
"""Attempts to choose coins while other payments spend them first."""
_KNOWN = frozenset({Reason.TXN_ALREADY_IN_MEMPOOL, Reason.TXN_ALREADY_KNOWN})


@dataclass(frozen=True, slots=True)
class Order:
    """A requested payment whose fields are checked. Amounts in satoshis, `feerate` per 1,000 virtual bytes."""

    payee: Payee
    amount: int
    feerate: int

    @property
    def output(self) -> TxOut:
        """The output that pays the payee."""
        return TxOut(self.amount, self.payee.script_pubkey)

    @property
    def terms(self) -> str:
        """A text that is the same for two orders of the same payment."""
        return f"{self.payee.script_pubkey.hex()} {self.amount} {self.feerate}"


@dataclass(frozen=True, slots=True)
class Sent:
    """A payment that is in the pool or in a block."""

    txid_hex: str
    amount: int
    fee: int
    change: int
    address: str
    status: SendStatus


@dataclass(frozen=True, slots=True)
class _Plan:
    wallet: Wallet
    choice: Choice
    change_script: bytes
    change_count: int
    """Change keys in use after this payment."""


@dataclass(frozen=True, slots=True)
class _Request:
    """A request that is to be paid once, and the terms of its payment."""

    id: str
    terms: str


class _MadeElsewhere(Exception):
    """Another instance, with the same request id, has made or may have made the payment."""


class Payments:
    """Makes the payments of all wallets of this process."""

    def __init__(
        self,
        wallets: WalletService,
        broker: Broker,
        clock: Callable[[], float] = time.time,
        timeout: float = VERDICT_TIMEOUT,
    ) -> None:
        self._wallets = wallets
        self._broker = broker
        self._clock = clock
        self._timeout = timeout
        self._coins = AvailableCoins(wallets.ledger)
        self._turns: dict[str, Turns] = {}

    def order(self, to: object, amount: object, feerate: object = None) -> Order:
        """Return the order that three fields of a form or request describe; `BadInput` names the wrong field."""
        payee = parse_payee(to, self._wallets.params.address)
        if amount in (None, "") and payee.amount is not None:
            sats = payee.amount
        else:
            sats = parse_amount(amount)
        if payee.amount not in (None, sats):
            text = f"the payment link asks for {format_btc(payee.amount or 0)} BTC, not {format_btc(sats)}"
            raise BadInput("amount", "amount-differs", text)
        rate = WALLET_FEERATE if feerate in (None, "") else parse_feerate(feerate)
        return _not_dust(Order(payee, sats, rate))

    def order_for_script(self, script_pubkey: bytes, sats: int) -> Order:
        """Return an order to pay a script at the usual fee rate; `BadInput` for an amount that cannot be paid."""
        if not 0 < sats <= MAX_MONEY:
            raise BadInput("amount", "amount-out-of-range", "the amount must be from 1 satoshi to 21,000,000 BTC")
        address = encode_address(script_pubkey, self._wallets.params.address)
        return _not_dust(Order(Payee(script_pubkey, address or script_pubkey.hex()), sats, WALLET_FEERATE))

    def quote(self, wallet_id: str, order: Order) -> int:
        """Return the present fee of the payment in satoshis. Raises `InsufficientFunds`."""
        return self._plan(self._wallets.load(wallet_id), order, self._wallets.ledger.tip()).choice.selection.fee

    async def send(
        self,
        wallet_id: str,
        order: Order,
        account: ExtendedKey,
        *,
        expected_fee: int | None = None,
        request_id: str | None = None,
        terms: str | None = None,
    ) -> Sent:
        """Make a payment, and return when the mempool has accepted it.

        With `expected_fee`, any other fee raises `FeeChanged`. A `request_id` that any instance has seen before is not
        paid again: the result is the present state of its payment, submitted once more if it is in neither chain nor
        pool. `terms` tell two payments apart, if not payee, amount and fee rate do.
        Raises `InsufficientFunds`, `Refused`, `RequestIdUsed`, `Conflicted`, `Busy` or `BrokerUnavailable` (nothing
        changed), or `OutcomeUnknown`.
        """
        request = _Request(request_id, terms or order.terms) if request_id else None
        while True:
            earlier = await self._earlier(wallet_id, order, request) if request else None
            if earlier is not None:
                return earlier
            with contextlib.suppress(_MadeElsewhere):
                return await self._send(wallet_id, order, account, expected_fee, request)

    async def _earlier(self, wallet_id: str, order: Order, request: _Request) -> Sent | None:
        """Return the payment made for this request; None if there is none, or none that ever was in the pool."""
        raw = self._wallets.store.requested(wallet_id, request.id)
        if raw is None:
            return None
        tx = Transaction.parse(raw)
        send = self._wallets.store.sends(wallet_id, [tx.txid]).get(tx.txid)
        if send is None:  # refused, and just now forgotten by another instance
            return None
        if not _is_for(send, order, request):
            raise RequestIdUsed(tx.txid_hex)
        status = self._wallets.ledger.status(tx.txid)
        if status is None:
            status = await self._hand_over_again(wallet_id, tx, send, request)
        if status is None:
            return None
        return Sent(tx.txid_hex, send.amount, send.fee, send.change, send.to, status)

    async def _hand_over_again(
        self, wallet_id: str, tx: Transaction, send: Send, request: _Request
    ) -> SendStatus | None:
        """Submit a payment that is in neither chain nor pool; return its status then.

        If it is refused and never was in the pool, delete its record and return None: it is paid anew. Another payment
        stays on record, for it may come back with a reorganisation: raises `Conflicted` or `Refused`.
        """
        ledger = self._wallets.ledger
        try:
            verdict = await self._verdict(tx)
        except Unroutable:
            raise
        except BrokerError:
            raise OutcomeUnknown(tx.txid_hex) from None
        if verdict.accepted or verdict.reason in _KNOWN:
            log.info("payment accepted again", extra=with_fields(wallet=wallet_id, txid=tx.txid_hex))
            return ledger.status(tx.txid) or SendStatus.UNCONFIRMED
        log.info("payment refused: %s", verdict.reason, extra=with_fields(wallet=wallet_id, txid=tx.txid_hex))
        if send.status is SendStatus.PENDING and not ledger.may_have_been_accepted(tx.txid, send.seq):
            self._wallets.store.forget_send(wallet_id, tx.txid, PaymentRequest(request.id, tx.serialize()))
            return None
        if conflicts := ledger.conflicts(tx):
            if send.status is not SendStatus.DROPPED:
                dropped = replace(send, status=SendStatus.DROPPED, height=None, why=Removal.CONFLICT)
                self._wallets.store.update_sends({tx.txid: (wallet_id, dropped)})
            raise Conflicted(tx.txid_hex, [display_hash(txid) for txid in conflicts])
        raise Refused(tx.txid_hex, verdict.reason, verdict.detail)

    def _plan(self, wallet: Wallet, order: Order, tip: Tip) -> _Plan:
        account = self._wallets.account(wallet)
        change_count = max(wallet.change_count, self._coins.change_count(wallet.id))
        wallet = dataclasses.replace(wallet, change_count=change_count)
        change = account.key(Keychain.CHANGE, change_count).script_pubkey

        def select(coins: Sequence[SpendableCoin]) -> Selection:
            return select_coins(coins, order.output, change, order.feerate)

        choice = self._coins.choose(wallet.id, self._wallets.keys(wallet), tip, select)
        return _Plan(wallet, choice, change, change_count + bool(choice.selection.change))

    async def _take_coins(
        self, wallet_id: str, order: Order, expected_fee: int | None, payment: PaymentUnderWay
    ) -> _Plan:
        """Return the plan of a payment, whose coins are its own now.

        Choices come in turn, and nothing is read meanwhile if it is known. If coins are lacking, the payment waits for
        the change of those that are under way.
        """
        tip, wallet = self._wallets.ledger.tip(), self._wallets.load(wallet_id)
        deadline = time.monotonic() + PATIENCE
        with await self._turn(wallet_id):
            while True:
                earlier = self._coins.oldest(wallet_id)
                try:
                    plan = self._plan(wallet, order, tip)
                    break
                except InsufficientFunds:
                    if earlier is None:
                        raise
                if not await WaitFor(earlier.done, deadline - time.monotonic()):
                    raise Busy(_TOO_MANY)
            if expected_fee not in (None, plan.choice.selection.fee):
                raise FeeChanged(plan.choice.selection.fee)
            self._coins.take(wallet_id, payment, plan.choice.selection.coins, plan.change_count)
            return plan

    async def _send(
        self, wallet_id: str, order: Order, account: ExtendedKey, expected_fee: int | None, request: _Request | None
    ) -> Sent:
        for _ in range(_TRIES - 1):
            try:
                return await self._send_once(wallet_id, order, account, expected_fee, request)
            except Refused as refused:
                if refused.reason not in _COINS_TAKEN:
                    raise
                log.info("coins were taken by another payment, choosing again", extra=with_fields(wallet=wallet_id))
        return await self._send_once(wallet_id, order, account, expected_fee, request)

    async def _send_once(
        self, wallet_id: str, order: Order, account: ExtendedKey, expected_fee: int | None, request: _Request | None
    ) -> Sent:
        if not self._broker.is_connected():
            raise BrokerUnavailable("the broker is away; nothing was sent")
        with self._coins.payment(wallet_id) as payment:
            plan = await self._take_coins(wallet_id, order, expected_fee, payment)
            if plan.choice.is_remembered and self._wallets.ledger.are_spent(plan.choice.selection.coins):
                self._coins.give_back(wallet_id, payment)
                plan = await self._take_coins(wallet_id, order, expected_fee, payment)
            selection = plan.choice.selection
            tx, begun = self._begin(order, plan, account, request)
            if begun is Begun.SAME_REQUEST:
                raise _MadeElsewhere
            if begun is Begun.SAME_TX:  # wait until the other payment is in the pool, then choose coins that it leaves
                await self._verdict(tx)
                raise Refused(
                    tx.txid_hex, Reason.BIP125_REPLACEMENT_DISALLOWED, "another payment is the same transaction"
                )
            await self._hand_over(plan.wallet, tx, plan.choice.tip.seq, request)
            payment.is_accepted = True
        address, status = order.payee.address, SendStatus.UNCONFIRMED
        return Sent(tx.txid_hex, order.amount, selection.fee, selection.change, address, status)

    def _begin(
        self, order: Order, plan: _Plan, account: ExtendedKey, request: _Request | None
    ) -> tuple[Transaction, Begun]:
        """Sign and record the payment; another lock time tells it from a payment that has left the pool."""
        selection, tip = plan.choice.selection, plan.choice.tip
        send = Send(
            order.payee.address,
            order.amount,
            selection.fee,
            selection.change,
            int(self._clock()),
            terms=request.terms if request else "",
            seq=tip.seq,
            traceparent=trace.current(),
        )
        for lock_time in range(tip.height, -1, -1):
            unsigned = build_payment(selection, order.output, plan.change_script, lock_time)
            tx = sign_payment(unsigned, selection.coins, lambda coin: _private_key(account, coin))
            stored = PaymentRequest(request.id, tx.serialize()) if request else None
            begun = self._wallets.store.begin_send(plan.wallet.id, tx.txid, send, plan.change_count, stored)
            if begun is not Begun.DROPPED_TX:
                return tx, begun
        raise Busy("as many payments as this chain has blocks have left the pool")

    async def _hand_over(self, wallet: Wallet, tx: Transaction, seq: int, request: _Request | None) -> None:
        """Submit a transaction to the mempool for the first time; delete its record if it is refused.

        Raises `Refused`, `OutcomeUnknown` or `Unroutable`, or `_MadeElsewhere`.
        """
        fields = with_fields(wallet=wallet.id, txid=tx.txid_hex)
        try:
            verdict = await self._verdict(tx)
        except Unroutable:  # no queue received the transaction
            self._forget(wallet.id, tx, seq, request)
            raise
        except BrokerError as error:
            log.warning("no verdict on a payment: %s", error, extra=fields)
            raise OutcomeUnknown(tx.txid_hex) from None
        if not verdict.accepted and verdict.reason not in _KNOWN:
            log.info("payment refused: %s", verdict.reason, extra=fields)
            self._forget(wallet.id, tx, seq, request)
            raise Refused(tx.txid_hex, verdict.reason, verdict.detail)
        log.info("payment accepted", extra=fields)

    def _forget(self, wallet_id: str, tx: Transaction, seq: int, request: _Request | None) -> None:
        """Delete the record of a payment that this instance could not bring into the pool.

        While it waited for the verdict, another instance that received the same request may have handed the payment
        over with success, or paid anew: raises `_MadeElsewhere` then.
        """
        store = self._wallets.store
        if request is None:
            store.forget_send(wallet_id, tx.txid)
            return
        if not self._wallets.ledger.may_have_been_accepted(tx.txid, seq):
            store.forget_send(wallet_id, tx.txid, PaymentRequest(request.id, tx.serialize()))
            if store.requested(wallet_id, request.id) is None:
                return
        raise _MadeElsewhere

    async def _verdict(self, tx: Transaction) -> TxVerdict:
        # `may_replace=False`: a payment never replaces another one that chose these coins a moment before.
        submission = TxSubmitted(txs=(tx.serialize().hex(),), may_replace=False)
        return (await self._broker.ask(submission, self._timeout)).verdicts[0]

    async def _turn(self, wallet_id: str) -> AbstractContextManager[None]:
        try:
            return await self._turns.setdefault(wallet_id, Turns()).take(PATIENCE)
        except TimeoutError:
            raise Busy(_TOO_MANY) from None


def _is_for(send: Send, order: Order, request: _Request) -> bool:
    """Whether a payment on record is the one that a request with its id asks for."""
    if send.terms:
        return send.terms == request.terms
    return (send.to, send.amount) == (order.payee.address, order.amount)  # recorded by an earlier version


def _not_dust(order: Order) -> Order:
    dust = dust_threshold(order.output)
    if order.amount < dust:
        raise BadInput(
            "amount", "amount-dust", f"the amount is dust: to this payee it must be at least {format_btc(dust)} BTC"
        )
    return order


def _private_key(account: ExtendedKey, coin: SpendableCoin) -> PrivateKey:
    private_key = account.child(coin.branch).child(coin.index).private_key
    if private_key is None:
        raise Locked
    return private_key
