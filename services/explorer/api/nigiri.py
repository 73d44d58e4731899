"""The resources that Nigiri's proxy (chopsticks) adds to Esplora: a faucet, and addresses of its wallet.

On test chains only. `POST /tx` stays Esplora's and mines nothing.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from services.explorer.api.answer import Answer
from services.explorer.api.faucet_client import FaucetClient
from services.explorer.api.fields import ADDRESS_EXAMPLE, Address, Txid
from services.explorer.api.operation import ADDRESS_ERRORS, Body, Operation
from services.explorer.errors import RequestError
from shared.consensus.limits import COIN, MAX_MONEY


class FaucetOrder(msgspec.Struct, frozen=True):
    """A requested payment. Other fields, such as Liquid's `asset`, are ignored."""

    address: str
    amount: Annotated[
        Decimal, Meta(description="BTC, 1 unless given", extra_json_schema={"type": ["number", "string"]})
    ] = Decimal(1)


class FaucetPayment(Answer, frozen=True):
    """The payment of a faucet."""

    txid: Txid = msgspec.field(name="txId")


class FaucetAddress(Answer, frozen=True):
    """An address of the faucet's wallet."""

    address: Address


class Nigiri:
    """Pays from the faucet's wallet."""

    def __init__(self, faucet: FaucetClient) -> None:
        self._faucet = faucet

    async def pay(self, body: bytes) -> FaucetPayment:
        """Pay an address, 1 BTC by default, and mine the payment."""
        try:
            order = msgspec.json.decode(body, type=FaucetOrder)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RequestError(400, f"Malformed Request: {error}") from None
        if not order.amount.is_finite() or not 0 < order.amount <= MAX_MONEY // COIN:
            raise RequestError(400, "Malformed Request: amount must be a number of BTC")
        txid_hex = await self._faucet.pay(self._faucet.script_of(order.address), round(order.amount * COIN))
        await self._faucet.mine(1)
        return FaucetPayment(txid_hex)

    async def new_address(self) -> FaucetAddress:
        """Return a new address of the faucet's wallet."""
        return FaucetAddress(await self._faucet.address(fresh=True))


_GROUP = "Faucet"

OPERATIONS = (
    Operation(
        "/faucet",
        Nigiri.pay,
        _GROUP,
        "Pay an address",
        "The payment, once it is in a block of its own",
        errors={400: ("Malformed Request: …", *ADDRESS_ERRORS[400], "<reason>")},
        method="POST",
        body=Body(
            "Whom to pay, and how much",
            Annotated[FaucetOrder, Meta(examples=[{"address": ADDRESS_EXAMPLE, "amount": 0.5}])],
        ),
        about="Coins come from the wallet `creator`, as Nigiri's do from bitcoind's.",
    ),
    Operation(
        "/getnewaddress",
        Nigiri.new_address,
        _GROUP,
        "An address of the faucet's wallet",
        "Another one each time",
        errors={400: ("<reason>",)},
    ),
)
