"""The faucet's page: test coins for a wallet of this stack or any address, and the state of the payment.

`/faucet` is the page for browsers; for programs a POST there is Nigiri's call. A payment redirects to the page with its
txid, which shows the payment as the chain has it: a reload does not pay again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from urllib.parse import urlencode

from flask import Blueprint, Response, make_response, redirect, render_template, request
from werkzeug.exceptions import NotFound

from services.explorer.api.faucet_client import FaucetClient, FaucetRefused
from services.explorer.api.parameters import read_hash
from services.explorer.api.responses import Api
from services.explorer.chain.queries import ChainQueries
from services.explorer.errors import NoAnswer, RequestError
from services.explorer.pages.page_or_api import PageOrResource
from shared.bus.wallets import CREATOR
from shared.consensus.limits import COIN, MAX_MONEY
from shared.errors import BrokerError

log = logging.getLogger(__name__)

DEFAULT_AMOUNT = "10"
"""BTC."""
_MAX_TEXT = 32


@dataclass(frozen=True, slots=True)
class _Payment:
    """A payment as the chain has it now."""

    txid_hex: str
    amount: int
    """Satoshis."""
    height: int | None
    """None while it waits in the pool."""


@dataclass(frozen=True, slots=True)
class _FaucetProblem:
    """A failed request, as the page explains it."""

    text: str
    field: str = ""
    """The wrong field of the form, empty if none is wrong."""
    advice: str = ""


class FaucetPage:
    """Shows the form, pays, and shows the payment."""

    def __init__(self, chain: ChainQueries, faucet: FaucetClient) -> None:
        self._chain = chain
        self._faucet = faucet

    async def show(self) -> Response:
        """Show the form, filled in with `address`, and the payment `paid` to it."""
        address = _typed()
        return await self._page(200, paid=self._paid(request.args.get("paid", ""), address))

    def no_resource(self) -> Response:
        """Refuse a program's GET: Nigiri has none either."""
        raise NotFound

    async def pay(self) -> Response:
        """Pay, and have the payment mined."""
        if request.form.get("paid"):
            return await self._mine(_typed(), request.form["paid"])
        address = _typed()
        try:
            amount = _read_btc(request.form.get("amount", DEFAULT_AMOUNT).strip())
            if not address:
                return await self._page(400, _FaucetProblem("Choose a wallet or fill in an address.", "address"))
            script = self._faucet.script_of(address)
        except _BadAmount as error:
            return await self._page(400, _FaucetProblem(str(error), "amount"))
        except RequestError as error:
            return await self._page(400, _FaucetProblem(f"The address cannot be paid: {error}.", "address"))
        try:
            txid_hex = await self._faucet.pay(script, amount)
        except FaucetRefused as error:
            return await self._page(error.status, _FaucetProblem(f"No test coins came: {error}.", advice=error.advice))
        except NoAnswer as error:
            return await self._page(503, _FaucetProblem(f"No test coins came: {error}."))
        except RequestError as error:
            return await self._page(error.status, _FaucetProblem(f"{error}.", "amount"))
        except BrokerError as error:
            return await self._page(503, _FaucetProblem(f"No answer: {error}.", advice="Try again in a moment."))
        return await self._mine(address, txid_hex)

    async def _mine(self, address: str, txid_hex: str) -> Response:
        """Have a block mined and redirect to the payment's page, which also says if there was no block."""
        try:
            await self._faucet.mine(1)
        except (RequestError, BrokerError) as error:
            log.warning("test coins wait for a block: %s", error)
        query = urlencode({"address": address, "paid": txid_hex})
        return make_response(redirect(f"/faucet?{query}", 303))

    def _paid(self, txid_hex: str, address: str) -> _Payment | None:
        """Return a payment to an address; None if the transaction is unknown or does not pay it."""
        try:
            record = self._chain.txs.find(read_hash(txid_hex))
            script = self._faucet.script_of(address)
        except RequestError:
            return None
        if record is None:
            return None
        amount = sum(output.value for output in record.tx.outputs if output.script_pubkey == script)
        return _Payment(txid_hex, amount, record.block.height if record.block else None) if amount else None

    async def _page(self, status: int, problem: _FaucetProblem | None = None, paid: _Payment | None = None) -> Response:
        wallets = await self._faucet.wallets()
        page = render_template(
            "faucet.html",
            problem=problem,
            paid=paid,
            wallets=[wallet for wallet in wallets if wallet.id != CREATOR],
            address=_typed(),
            amount=request.values.get("amount", DEFAULT_AMOUNT),
        )
        response = make_response(page, status)
        if status == 503:
            response.headers["Retry-After"] = "1"
        return response

    def blueprint(self, name: str, api: Api) -> Blueprint:
        """Return the page under its path; `api` answers there for programs."""
        blueprint = Blueprint(name, __name__)
        blueprint.add_url_rule("/faucet", "show", PageOrResource(self.show, self.no_resource))
        blueprint.add_url_rule(
            "/faucet", "pay", PageOrResource(self.pay, api.view("/faucet", "POST")), methods=["POST"]
        )
        return blueprint


class _BadAmount(Exception):
    """The amount cannot be paid; the message is for the user."""


def _typed() -> str:
    """Return the typed address, or else the chosen wallet's; empty without either."""
    return request.values.get("address", "").strip() or request.values.get("wallet", "").strip()


def _read_btc(text: str) -> int:
    """Return the satoshis of an amount in BTC."""
    try:
        satoshis = Decimal(text) * COIN if len(text) <= _MAX_TEXT else None
    except InvalidOperation:
        satoshis = None
    if satoshis is None or not satoshis.is_finite():
        raise _BadAmount("The amount must be a number of BTC, written like 0.5.")
    if satoshis != satoshis.to_integral_value():
        raise _BadAmount("The amount has more than 8 decimals.")
    if not 0 < satoshis <= MAX_MONEY:
        raise _BadAmount("The amount must be from 1 satoshi to 21,000,000 BTC.")
    return int(satoshis)
