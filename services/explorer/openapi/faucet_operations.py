"""Nigiri's operations, which are there on test chains whose faucet is on."""

from __future__ import annotations

from services.explorer.openapi.fields import ADDRESS, TXID, record
from services.explorer.openapi.operations import ADDRESS_ERRORS, JSON, Body, Operation, json_of

FAUCET = "Faucet"

_ORDER = {
    "type": "object",
    "properties": {
        "address": {"type": "string"},
        "amount": {"type": ["number", "string"], "description": "Bitcoins, 1 unless given"},
    },
    "required": ["address"],
    "examples": [{"address": ADDRESS["examples"][0], "amount": 0.5}],
}

OPERATIONS = (
    Operation(
        "/faucet",
        FAUCET,
        "Pay an address",
        json_of("The payment, once it is in a block of its own", record("Payment", {"txId": TXID})),
        errors={400: ("Malformed Request: …", *ADDRESS_ERRORS[400], "<reason>")},
        method="POST",
        body=Body("Whom to pay, and how much", JSON, _ORDER),
        about="Coins come from the wallet `creator`, as Nigiri's do from bitcoind's.",
    ),
    Operation(
        "/getnewaddress",
        FAUCET,
        "An address of the faucet's wallet",
        json_of("Another one each time", record("Address", {"address": ADDRESS})),
        errors={400: ("<reason>",)},
    ),
)
