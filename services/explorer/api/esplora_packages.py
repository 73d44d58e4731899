"""Several raw transactions at once: a package to submit, or transactions to try. Answers are bitcoind's, as in electrs.

Amounts in these answers are BTC and feerates BTC per 1,000 virtual bytes, since they are those of `submitpackage` and
`testmempoolaccept`.
"""

from __future__ import annotations

from decimal import Decimal, DecimalException
from typing import Any

import msgspec
from flask import Response, request

from services.explorer.api.parameters import read_texts
from services.explorer.api.responses import Route, json
from services.explorer.api.submit import TIMEOUT
from services.explorer.errors import RequestError
from shared.bus.broker import Broker
from shared.bus.events import TxSubmitted, TxVerdict
from shared.consensus.amount import format_btc
from shared.consensus.limits import COIN, MAX_MONEY
from shared.errors import DecodeError, RequestFailed
from shared.policy import DEFAULT_MAX_FEERATE, MAX_PACKAGE_COUNT
from shared.primitives.hex import parse_display_hash, parse_hex
from shared.primitives.transaction import Transaction
from shared.reasons import MISSING_OR_SPENT, Reason
from shared.script.standard import is_unspendable

MIN_HEX, MAX_HEX = 120, 800_000
"""Digits: more than 60 bytes, within the weight that the pool takes."""


class Packages:
    """The resources that take an array of raw transactions in hex."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def submit(self) -> Response:
        """Submit a child with its parents, which may pay too little without it; say what became of each."""
        limit = _feerate_limit()
        txs = _read_txs("submitpackage", request.get_data())
        burn_limit = _amount("maxburnamount", 0)
        burned = [output for tx in txs for output in tx.outputs if is_unspendable(output.script_pubkey)]
        if any(output.value > burn_limit for output in burned):
            raise _refusal(
                "submitpackage", -25, "Unspendable output exceeds maximum configured by user (maxburnamount)"
            )
        raw = tuple(tx.serialize().hex() for tx in txs)
        reply = self._broker.request(TxSubmitted(txs=raw, max_feerate=limit or None, package=True), TIMEOUT)
        results = {tx.wtxid_hex: _result(tx, verdict) for tx, verdict in zip(txs, reply.verdicts, strict=True)}
        message = reply.package_error or "success"
        replaced = sorted({txid for verdict in reply.verdicts for txid in verdict.replaced}, key=parse_display_hash)
        return json({"package_msg": message, "tx-results": results, "replaced-transactions": replaced})

    def test(self) -> Response:
        """Say for each transaction whether the pool would take it, after those before it; none enters the pool."""
        limit = _feerate_limit()
        txs = _read_txs("testmempoolaccept", request.get_data())
        raw = tuple(tx.serialize().hex() for tx in txs)
        reply = self._broker.request(TxSubmitted(txs=raw, max_feerate=limit or None, test_only=True), TIMEOUT)
        return json([_test_result(tx, verdict) for tx, verdict in zip(txs, reply.verdicts, strict=True)])

    def routes(self) -> tuple[Route, ...]:
        """Return every resource under its path."""
        return (Route("/txs/package", self.submit, "POST"), Route("/txs/test", self.test, "POST"))


def _read_txs(command: str, body: bytes) -> list[Transaction]:
    raw_hexes = read_texts(body)
    if len(raw_hexes) > MAX_PACKAGE_COUNT:
        raise RequestError(400, f"Exceeded maximum of {MAX_PACKAGE_COUNT} transactions")
    if not raw_hexes:
        raise _refusal(command, -8, f"Array must contain between 1 and {MAX_PACKAGE_COUNT} transactions.")
    raws = []
    for index, raw_hex in enumerate(raw_hexes):
        if not MIN_HEX <= len(raw_hex) < MAX_HEX:
            raise RequestError(400, f"Invalid transaction size for item {index}")
        try:
            raws.append(parse_hex(raw_hex, "transaction"))
        except DecodeError:
            raise RequestError(400, f"Invalid transaction hex for item {index}") from None
    return [_parse(command, raw) for raw in raws]


def _parse(command: str, raw: bytes) -> Transaction:
    try:
        tx = Transaction.parse(raw)
        if not tx.inputs:
            raise DecodeError("it has no inputs")
    except DecodeError as error:
        message = f"TX decode failed: {raw.hex()} Make sure the tx has at least one input. ({error})"
        raise _refusal(command, -22, message) from None
    return tx


def _feerate_limit() -> int:
    return _amount("maxfeerate", DEFAULT_MAX_FEERATE)


def _amount(name: str, default: int) -> int:
    """Return the satoshis of a query's amount in BTC; 400 if it is none."""
    text = request.args.get(name)
    if text is None:
        return default
    try:
        satoshis = Decimal(text) * COIN
        is_amount = 0 <= satoshis <= MAX_MONEY
    except DecimalException:  # no number, not a number, or one that is far out of range
        is_amount = False
    if not is_amount:
        raise RequestError(400, f"Invalid {name}")
    return int(satoshis)


def _result(tx: Transaction, verdict: TxVerdict) -> dict[str, Any]:
    """Return what became of one transaction of a package (Core's submitpackage)."""
    result: dict[str, Any] = {"txid": tx.txid_hex}
    if verdict.other_wtxid:
        return result | {"other-wtxid": verdict.other_wtxid}
    if not verdict.accepted:
        return result | {"error": verdict.refusal}
    return result | _costs(verdict)


def _test_result(tx: Transaction, verdict: TxVerdict) -> dict[str, Any]:
    """Return what would become of one transaction (Core's testmempoolaccept)."""
    result: dict[str, Any] = {"txid": tx.txid_hex, "wtxid": tx.wtxid_hex, "allowed": verdict.accepted}
    if verdict.accepted:
        return result | _costs(verdict)
    if verdict.reason in MISSING_OR_SPENT:
        return result | {"reject-reason": Reason.MISSING_INPUTS}
    return result | {"reject-reason": verdict.reason, "reject-details": verdict.refusal}


def _costs(verdict: TxVerdict) -> dict[str, Any]:
    if verdict.fee is None or verdict.vsize is None:
        raise RequestFailed(f"the verdict on {verdict.txid} has no fee")
    fees: dict[str, Any] = {"base": _btc(verdict.fee)}
    if verdict.effective_feerate is not None:
        fees["effective-feerate"] = _btc(verdict.effective_feerate)
        fees["effective-includes"] = list(verdict.effective_includes)
    return {"vsize": verdict.vsize, "fees": fees}


def _btc(satoshis: int) -> msgspec.Raw:
    """Return an amount as a JSON number with all its places."""
    return msgspec.Raw(format_btc(satoshis).encode())


def _refusal(command: str, code: int, message: str) -> RequestError:
    return RequestError(400, f"{command} RPC error {code}: {message}")
