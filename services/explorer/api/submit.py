"""Asks the mempool service: to take a raw transaction, told of as by `sendrawtransaction`, or for a template."""

from __future__ import annotations

from services.explorer.errors import RequestError
from shared.bus.broker import Broker
from shared.bus.events import TemplateRequested, TxSubmitted, TxVerdict, WorkTemplate
from shared.errors import DecodeError, RequestTimeout
from shared.policy import DEFAULT_MAX_FEERATE
from shared.primitives.hex import parse_hex
from shared.primitives.transaction import Transaction
from shared.reasons import Reason

TIMEOUT = 20.0
"""Seconds to wait for the verdict."""

_ERROR = -25
_REJECTED = -26
_ALREADY_CONFIRMED = -27
_DECODING = -22


def submit(broker: Broker, raw_hex: str) -> str:
    """Return the txid (display order) once the transaction is in the pool.

    Raises `RequestError` with bitcoind's code and text if it is refused, `BrokerUnavailable`, or `RequestTimeout`.
    """
    try:
        tx = Transaction.parse(parse_hex(raw_hex.strip(), "transaction"))
        if not tx.inputs:
            raise DecodeError("it has no inputs")
    except DecodeError as error:
        raise refusal(_DECODING, f"TX decode failed. Make sure the tx has at least one input. ({error})") from None
    reply = broker.request(TxSubmitted(txs=(tx.serialize().hex(),), max_feerate=DEFAULT_MAX_FEERATE), TIMEOUT)
    error_of_verdict = verdict_error(reply.verdicts[0])
    if error_of_verdict is not None:
        raise error_of_verdict
    return tx.txid_hex


def ask_template(broker: Broker) -> WorkTemplate:
    """Return the mempool's template of the next block."""
    try:
        return broker.request(TemplateRequested(), TIMEOUT)
    except RequestTimeout:
        raise RequestError(503, "no template in time") from None


def verdict_error(verdict: TxVerdict) -> RequestError | None:
    """Return bitcoind's error for a verdict, None if the transaction is in the pool (it may have been before)."""
    if verdict.accepted or verdict.reason == Reason.TXN_ALREADY_IN_MEMPOOL:
        return None
    match verdict.reason:
        case Reason.MISSING_INPUTS | Reason.BAD_TXNS_INPUTS_MISSINGORSPENT:
            return refusal(_ERROR, Reason.BAD_TXNS_INPUTS_MISSINGORSPENT)
        case Reason.TXN_ALREADY_KNOWN:
            return refusal(_ALREADY_CONFIRMED, "Transaction outputs already in utxo set")
    return refusal(_REJECTED, with_detail(verdict))


def with_detail(verdict: TxVerdict) -> str:
    """Return the reason of a refusal as bitcoind shows it."""
    return f"{verdict.reason}, {verdict.detail}" if verdict.detail else verdict.reason


def refusal(code: int, message: str) -> RequestError:
    """Return the error that electrs passes on from bitcoind."""
    return RequestError(400, f"sendrawtransaction RPC error {code}: {message}")
