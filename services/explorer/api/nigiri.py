"""What Nigiri's proxy (chopsticks) adds to Esplora: a faucet, and addresses of its wallet. On test chains only.

`POST /tx` stays Esplora's and mines nothing.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
from flask import Response, request

from services.explorer.api.faucet_client import FaucetClient
from services.explorer.api.responses import Route, json
from services.explorer.errors import RequestError
from shared.consensus.limits import COIN, MAX_MONEY


class _Order(msgspec.Struct):
    """Other fields, such as Liquid's `asset`, are passed over."""

    address: str
    amount: Decimal = Decimal(1)
    """BTC."""


class Nigiri:
    """The resources."""

    def __init__(self, faucet: FaucetClient) -> None:
        self._faucet = faucet

    def pay(self) -> Response:
        """Pay an address, 1 BTC unless told otherwise, and have the payment mined."""
        try:
            order = msgspec.json.decode(request.get_data(), type=_Order)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RequestError(400, f"Malformed Request: {error}") from None
        if not order.amount.is_finite() or not 0 < order.amount <= MAX_MONEY // COIN:
            raise RequestError(400, "Malformed Request: amount must be a number of BTC")
        txid_hex = self._faucet.pay(self._faucet.script_of(order.address), round(order.amount * COIN))
        self._faucet.mine(1)
        return json({"txId": txid_hex})

    def new_address(self) -> Response:
        """Return an address of the faucet's wallet that nobody was told before."""
        return json({"address": self._faucet.address(fresh=True)})

    def routes(self) -> tuple[Route, ...]:
        """Return the resources under their paths."""
        return (Route("/faucet", self.pay, "POST"), Route("/getnewaddress", self.new_address))
