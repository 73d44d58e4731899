"""Several raw transactions at once: a package to submit, or transactions to test, answered as by bitcoind and electrs.

Amounts are BTC and feerates BTC per 1,000 virtual bytes, as in `submitpackage` and `testmempoolaccept`.
"""

from __future__ import annotations

from decimal import Decimal, DecimalException
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from services.explorer.api.answer import Answer
from services.explorer.api.fields import Btc, BtcLimit, Txid, VirtualBytes, Wtxid
from services.explorer.api.operation import Body, Operation, query
from services.explorer.api.parameters import read_texts
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


class PackageFees(Answer, frozen=True):
    """Fees of a transaction, in BTC."""

    base: Annotated[Btc, Meta(description="BTC that it pays itself")]
    effective_feerate: (
        Annotated[Btc, Meta(description="BTC per 1,000 virtual bytes by which it was judged")] | UnsetType
    ) = msgspec.field(name="effective-feerate", default=UNSET)
    effective_includes: (
        Annotated[list[Wtxid], Meta(description="Transactions that were judged together")] | UnsetType
    ) = msgspec.field(name="effective-includes", default=UNSET)


class PackageTx(Answer, frozen=True):
    """The outcome of one transaction of a package."""

    txid: Txid
    other_wtxid: (
        Annotated[Wtxid, Meta(description="Transaction in the pool with this txid and another witness")] | UnsetType
    ) = msgspec.field(name="other-wtxid", default=UNSET)
    vsize: VirtualBytes | UnsetType = UNSET
    fees: PackageFees | UnsetType = UNSET
    error: Annotated[str, Meta(description="Why it was refused", examples=["min relay fee not met"])] | UnsetType = (
        UNSET
    )


class PackageResult(Answer, frozen=True):
    """The outcome of a package, as bitcoind's submitpackage tells it."""

    package_msg: Annotated[str, Meta(description="`success`, or why not", examples=["success"])]
    tx_results: Annotated[dict[str, PackageTx], Meta(description="By wtxid")] = msgspec.field(name="tx-results")
    replaced_transactions: list[Txid] = msgspec.field(name="replaced-transactions")


class AcceptResult(Answer, frozen=True):
    """The outcome that a transaction would have, as bitcoind's testmempoolaccept tells it."""

    txid: Txid
    wtxid: Wtxid
    allowed: Annotated[bool, Meta(examples=[True])]
    vsize: VirtualBytes | UnsetType = UNSET
    fees: PackageFees | UnsetType = UNSET
    reject_reason: Annotated[str, Meta(description="Why not", examples=["missing-inputs"])] | UnsetType = msgspec.field(
        name="reject-reason", default=UNSET
    )
    reject_details: (
        Annotated[str, Meta(description="Why not, in full", examples=["min relay fee not met, 0 < 141"])] | UnsetType
    ) = msgspec.field(name="reject-details", default=UNSET)


class Packages:
    """The resources that take an array of raw transactions in hex."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def submit(
        self, body: bytes, maxfeerate: str | None = None, maxburnamount: str | None = None
    ) -> PackageResult:
        """Submit a child with its parents, which may pay too little without it; return the outcome of each."""
        limit = _amount("maxfeerate", maxfeerate, DEFAULT_MAX_FEERATE)
        txs = _read_txs("submitpackage", body)
        burn_limit = _amount("maxburnamount", maxburnamount, 0)
        burned = [output for tx in txs for output in tx.outputs if is_unspendable(output.script_pubkey)]
        if any(output.value > burn_limit for output in burned):
            raise _refusal(
                "submitpackage", -25, "Unspendable output exceeds maximum configured by user (maxburnamount)"
            )
        raw = tuple(tx.serialize().hex() for tx in txs)
        reply = await self._broker.ask(TxSubmitted(txs=raw, max_feerate=limit or None, package=True), TIMEOUT)
        results = {tx.wtxid_hex: _result(tx, verdict) for tx, verdict in zip(txs, reply.verdicts, strict=True)}
        replaced = sorted({txid for verdict in reply.verdicts for txid in verdict.replaced}, key=parse_display_hash)
        return PackageResult(reply.package_error or "success", results, replaced)

    async def test(self, body: bytes, maxfeerate: str | None = None) -> list[AcceptResult]:
        """Return whether the pool would accept each transaction after the earlier ones; none enters the pool."""
        limit = _amount("maxfeerate", maxfeerate, DEFAULT_MAX_FEERATE)
        txs = _read_txs("testmempoolaccept", body)
        raw = tuple(tx.serialize().hex() for tx in txs)
        reply = await self._broker.ask(TxSubmitted(txs=raw, max_feerate=limit or None, test_only=True), TIMEOUT)
        return [_test_result(tx, verdict) for tx, verdict in zip(txs, reply.verdicts, strict=True)]


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


def _amount(name: str, text: str | None, default: int) -> int:
    """Return the satoshis of an amount in BTC, `default` where there is none; 400 if the text is not an amount."""
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


def _result(tx: Transaction, verdict: TxVerdict) -> PackageTx:
    """Return the outcome of one transaction of a package (Core's submitpackage)."""
    if verdict.other_wtxid:
        return PackageTx(tx.txid_hex, verdict.other_wtxid)
    if not verdict.accepted:
        return PackageTx(tx.txid_hex, error=verdict.refusal)
    vsize, fees = _costs(verdict)
    return PackageTx(tx.txid_hex, vsize=vsize, fees=fees)


def _test_result(tx: Transaction, verdict: TxVerdict) -> AcceptResult:
    """Return the outcome that one transaction would have (Core's testmempoolaccept)."""
    if verdict.accepted:
        return AcceptResult(tx.txid_hex, tx.wtxid_hex, True, *_costs(verdict))
    if verdict.reason in MISSING_OR_SPENT:
        return AcceptResult(tx.txid_hex, tx.wtxid_hex, False, reject_reason=Reason.MISSING_INPUTS)
    return AcceptResult(tx.txid_hex, tx.wtxid_hex, False, reject_reason=verdict.reason, reject_details=verdict.refusal)


def _costs(verdict: TxVerdict) -> tuple[int, PackageFees]:
    """Return virtual bytes and fees of an accepted transaction."""
    if verdict.fee is None or verdict.vsize is None:
        raise RequestFailed(f"the verdict on {verdict.txid} has no fee")
    if verdict.effective_feerate is None:
        return verdict.vsize, PackageFees(_btc(verdict.fee))
    judged = _btc(verdict.effective_feerate), list(verdict.effective_includes)
    return verdict.vsize, PackageFees(_btc(verdict.fee), *judged)


def _btc(satoshis: int) -> msgspec.Raw:
    """Return an amount as a JSON number with all its places."""
    return msgspec.Raw(format_btc(satoshis).encode())


def _refusal(command: str, code: int, message: str) -> RequestError:
    return RequestError(400, f"{command} RPC error {code}: {message}")


_GROUP = "Transactions"
_MAX_FEERATE = query("maxfeerate", "BTC per 1,000 virtual bytes; 0.10 unless given, 0 for no limit", BtcLimit)
_MAX_BURN = query("maxburnamount", "BTC that an unspendable output may have; 0 unless given", BtcLimit)
_RAW_TXS = Body(
    "At most 25 raw transactions in hex, every parent before its children",
    Annotated[list[str], Meta(min_length=1, max_length=MAX_PACKAGE_COUNT, examples=[["02000000…"]])],
)
_ERRORS = (
    "Invalid JSON: …",
    "Exceeded maximum of 25 transactions",
    "Invalid transaction size for item N",
    "Invalid transaction hex for item N",
    "Invalid maxfeerate",
)

OPERATIONS = (
    Operation(
        "/txs/package",
        Packages.submit,
        _GROUP,
        "Submit a child with its parents",
        "The outcome of each",
        (_MAX_FEERATE, _MAX_BURN),
        {400: (*_ERRORS, "Invalid maxburnamount", "submitpackage RPC error -22: …")},
        "POST",
        _RAW_TXS,
        "The parents may pay too little without the child.",
    ),
    Operation(
        "/txs/test",
        Packages.test,
        _GROUP,
        "Ask whether the pool would take transactions",
        "One result for each",
        (_MAX_FEERATE,),
        {400: (*_ERRORS, "testmempoolaccept RPC error -22: …")},
        "POST",
        _RAW_TXS,
        "Nothing enters the pool.",
    ),
)
