"""Takes submitted transactions into the pool: checks a micro-batch one by one, and commits it at once."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from services.mempool.pool.acceptance import Acceptor, Origin
from services.mempool.state import NodeState
from services.mempool.transactions.announcements import Announcements
from services.mempool.transactions.package import PackageCheck, check_well_formed
from services.mempool.transactions.pool_change import PoolChange
from services.mempool.transactions.verdicts import accepted_as, refusal
from shared import trace
from shared.bus.events import Fact, TxAccepted, TxRejected, TxRemoved, TxSubmitted, TxVerdict, TxVerdicts
from shared.chain.commit import PoolRecord
from shared.chain.overlay import Overlay
from shared.errors import DecodeError, ValidationError
from shared.logs import with_fields
from shared.policy import MAX_PACKAGE_COUNT, feerate
from shared.primitives.hex import parse_hex
from shared.primitives.transaction import Transaction
from shared.reasons import Reason

log = logging.getLogger(__name__)

DECODE_FAILED = "TX decode failed"
_MISSING = Reason.BAD_TXNS_INPUTS_MISSINGORSPENT


@dataclass(slots=True)
class _Batch:
    """The changes of one commit to the pool, and the verdicts on its transactions."""

    acceptor: Acceptor
    pool_change: PoolChange
    rejected: Announcements[TxRejected] = field(default_factory=Announcements)


def submit(
    node: NodeState, submissions: Sequence[TxSubmitted], traceparents: Sequence[str] = ()
) -> tuple[list[TxVerdicts], Announcements[TxRejected]]:
    """Check and commit a batch; return a reply for each submission, and the refusals to publish.

    `traceparents` has one for each submission; without, all belong to the present work.
    Within a submission parents come before children, and a child sees its parents. A transaction with missing inputs
    is refused, and kept for a while in case its parents arrive.
    """
    parsed = [submission.parsed or [_parse(raw) for raw in submission.txs] for submission in submissions]
    coins = Overlay(node.view.txs)
    coins.prefetch(txin.prevout for txs in parsed for tx in txs if isinstance(tx, Transaction) for txin in tx.inputs)
    batch = _Batch(node.acceptor(coins=coins), PoolChange(node))
    replies = []
    traceparents = traceparents or [trace.current()] * len(submissions)
    for submission, txs, traceparent in zip(submissions, parsed, traceparents, strict=True):
        with trace.within(traceparent):
            replies.append(_check_submission(node, batch, submission, txs))
    _commit(node, batch)
    return replies, batch.rejected


def retry_orphans(node: NodeState, txids: Iterable[bytes]) -> Announcements[TxRejected]:
    """Check the orphans that wait for any of these transactions; commit the valid ones."""
    batch = _Batch(node.acceptor(), PoolChange(node))
    _retry_orphans(node, batch, txids)
    _commit(node, batch)
    return batch.rejected


def _commit(node: NodeState, batch: _Batch) -> None:
    delta = batch.pool_change.delta()
    if delta is not None:
        node.commit(delta)
        for event, traceparent in zip(delta.events, delta.traceparents, strict=True):
            _log_event(event, traceparent)


def _log_event(event: Fact, traceparent: str) -> None:
    level = trace.detail_level(traceparent)
    if not log.isEnabledFor(level):
        return
    with trace.within(traceparent):
        match event:
            case TxAccepted():
                log.log(level, "transaction accepted", extra=with_fields(txid=event.txid, fee=event.fee))
            case TxRemoved():
                log.log(level, "transaction replaced", extra=with_fields(txid=event.txid, by=event.replaced_by))


def _parse(raw: str) -> Transaction | DecodeError:
    try:
        return Transaction.parse(parse_hex(raw, "transaction"))
    except DecodeError as error:
        return error


def _check_submission(
    node: NodeState, batch: _Batch, submission: TxSubmitted, txs: Sequence[Transaction | DecodeError]
) -> TxVerdicts:
    decoded = [tx for tx in txs if isinstance(tx, Transaction)]
    if submission.package and len(decoded) == len(txs) and decoded:
        return _check_package(node, batch, submission, decoded)
    try:
        if submission.test_only or len(txs) > MAX_PACKAGE_COUNT:
            check_well_formed(decoded)
    except ValidationError as error:
        verdicts = [_undecoded(tx) if isinstance(tx, DecodeError) else refusal(tx, error) for tx in txs]
        return TxVerdicts(verdicts=tuple(verdicts), package_error=error.reject_reason)
    return _check_each(node, batch, submission, txs)


def _check_package(node: NodeState, batch: _Batch, submission: TxSubmitted, txs: Sequence[Transaction]) -> TxVerdicts:
    pool_change = PoolChange(node) if submission.test_only else batch.pool_change
    check = PackageCheck(node, batch.acceptor, pool_change, submission.max_feerate)
    verdicts = check.run(txs)
    if submission.test_only:
        pool_change.take_back()
        return verdicts
    for verdict in verdicts.verdicts:
        if not verdict.accepted:
            batch.rejected.add(TxRejected(txid=verdict.txid, reason=verdict.reason, detail=verdict.detail))
    _retry_orphans(node, batch, check.entered)
    return verdicts


def _check_each(
    node: NodeState, batch: _Batch, submission: TxSubmitted, txs: Sequence[Transaction | DecodeError]
) -> TxVerdicts:
    pool_change = PoolChange(node) if submission.test_only else batch.pool_change
    # As in Core, of several that are tried none may replace anything (PackageTestAccept).
    may_replace = submission.may_replace and not (submission.test_only and len(txs) > 1)
    origin = Origin.SUBMITTED if may_replace else Origin.KEEPING
    verdicts = []
    for tx in txs:
        if isinstance(tx, DecodeError):
            verdicts.append(_undecoded(tx))
            continue
        try:
            candidate = batch.acceptor.accept(tx, node.next_sequence, origin, max_feerate=submission.max_feerate)
        except ValidationError as error:
            verdicts.append(_refused(node, batch, tx, error, test_only=submission.test_only))
            continue
        verdicts.append(_accepted_alone(node, candidate.record, pool_change.enter(candidate)))
        if not submission.test_only:
            _retry_orphans(node, batch, [tx.txid])
    if submission.test_only:
        pool_change.take_back()
    return TxVerdicts(verdicts=tuple(verdicts))


def _retry_orphans(node: NodeState, batch: _Batch, txids: Iterable[bytes]) -> None:
    pending = list(txids)
    while pending:
        for tx in node.orphans.take_children([pending.pop()]):
            try:
                candidate = batch.acceptor.accept(tx, node.next_sequence)
            except ValidationError as error:
                _refused(node, batch, tx, error, test_only=False)
                continue
            batch.pool_change.enter(candidate)
            pending.append(tx.txid)


def _refused(node: NodeState, batch: _Batch, tx: Transaction, error: ValidationError, *, test_only: bool) -> TxVerdict:
    known = node.pool.get(tx.txid) if error.reason is Reason.TXN_ALREADY_IN_MEMPOOL else None
    if known is not None and not test_only:
        return _accepted_alone(node, known)  # submitted before: the answer is the same
    if not test_only:
        if error.reason is _MISSING:
            node.orphans.add(tx, node.now())
        batch.rejected.add(TxRejected(txid=tx.txid_hex, reason=error.reject_reason, detail=error.detail))
        log.info("transaction refused", extra=with_fields(txid=tx.txid_hex, reason=error.reject_reason))
    return refusal(tx, error)


def _accepted_alone(node: NodeState, record: PoolRecord, replaced: tuple[str, ...] = ()) -> TxVerdict:
    fee = record.entry.fee + node.prioritised.get(record.tx.txid, 0)
    return accepted_as(record, record.tx, feerate(fee, record.entry.vsize), (record.tx.wtxid_hex,), replaced)


def _undecoded(error: DecodeError) -> TxVerdict:
    return TxVerdict(txid="", wtxid="", accepted=False, reason=DECODE_FAILED, detail=str(error))
