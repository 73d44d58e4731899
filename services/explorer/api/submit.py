"""Asks the mempool service to take a raw transaction, with `sendrawtransaction`'s errors, or for a template."""

from __future__ import annotations

from services.explorer.errors import RequestError
from shared.bus.broker import Broker
from shared.bus.events import TemplateRequested, TxSubmitted, WorkTemplate
from shared.errors import DecodeError, RequestTimeout
from shared.policy import DEFAULT_MAX_FEERATE
from shared.primitives.hex import parse_hex
from shared.primitives.transaction import Transaction
from shared.web.sendrawtransaction import send_error

TIMEOUT = 20.0
"""Seconds to wait for the verdict."""

_DECODING = -22


async def submit(broker: Broker, raw_hex: str) -> str:
    """Return the txid (display order) once the transaction is in the pool.

    Raises `RequestError` with bitcoind's code and text if it is refused, `BrokerUnavailable`, or `RequestTimeout`.
    """
    try:
        tx = Transaction.parse(parse_hex(raw_hex.strip(), "transaction"))
        if not tx.inputs:
            raise DecodeError("it has no inputs")
    except DecodeError as error:
        raise refusal(_DECODING, f"TX decode failed. Make sure the tx has at least one input. ({error})") from None
    reply = await broker.ask(TxSubmitted(txs=(tx.serialize().hex(),), max_feerate=DEFAULT_MAX_FEERATE), TIMEOUT)
    refused = send_error(reply.verdicts[0])
    if refused is not None:
        raise refusal(*refused)
    return tx.txid_hex


async def ask_template(broker: Broker) -> WorkTemplate:
    """Return the mempool's template of the next block."""
    try:
        return await broker.ask(TemplateRequested(), TIMEOUT)
    except RequestTimeout:
        raise RequestError(503, "no template in time") from None


def refusal(code: int, message: str) -> RequestError:
    """Return the error that electrs passes on from bitcoind."""
    return RequestError(400, f"sendrawtransaction RPC error {code}: {message}")
