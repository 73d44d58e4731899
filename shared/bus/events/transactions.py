"""Transactions submitted to the node, its verdicts on them, and the pool's facts."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

import msgspec

from shared.bus.events.message import Message, Request
from shared.bus.topics import Topic
from shared.errors import with_detail


class TxVerdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The verdict on one submitted transaction: accepted, or the reason of its refusal."""

    txid: str
    """Empty when the bytes are not a transaction."""
    wtxid: str
    accepted: bool
    reason: str = ""
    detail: str = ""
    fee: int | None = None
    vsize: int | None = None
    effective_feerate: int | None = None
    """Satoshis per 1,000 vbytes, of the transaction or its package; None if it was in the pool before."""
    effective_includes: tuple[str, ...] = ()
    """The wtxids of the transactions that share this feerate."""
    other_wtxid: str = ""
    """The pool's transaction with the same txid and another witness."""
    replaced: tuple[str, ...] = ()
    """Txids of the transactions that left the pool for it."""

    @property
    def refusal(self) -> str:
        """The reason and its detail, as bitcoind words them."""
        return with_detail(self.reason, self.detail)


class TxVerdicts(Message, frozen=True, kw_only=True):
    """Reply to `TxSubmitted`: one verdict for each transaction, in order."""

    verdicts: tuple[TxVerdict, ...]
    package_error: str = ""
    """Why the submission as a whole was refused; `transaction failed` if one transaction was the cause."""


class TxSubmitted(Request[TxVerdicts], frozen=True, kw_only=True):
    """One transaction, or a package with every parent before its children."""

    topic: ClassVar[Topic] = Topic.TX_SUBMITTED
    txs: tuple[str, ...]
    """Raw transactions in hex."""
    test_only: bool = False
    """Check only; nothing enters the pool."""
    max_feerate: int | None = None
    """Refuse a transaction that pays more than this, in satoshis per 1,000 vbytes."""
    package: bool = False
    """A child with its parents, which together pay for all of them (Core's submitpackage)."""
    may_replace: bool = True
    """Whether they may replace transactions of the pool that spend the same coins."""

    def is_answered_by(self, reply: TxVerdicts) -> bool:
        """Tell whether there is one verdict for each transaction."""
        return len(reply.verdicts) == len(self.txs)


class TxRejected(Message, frozen=True, kw_only=True):
    """A submitted transaction broke a rule."""

    topic: ClassVar[Topic] = Topic.TX_REJECTED
    txid: str
    reason: str
    detail: str = ""


class TxAccepted(Message, frozen=True, kw_only=True):
    """A transaction entered the pool."""

    topic: ClassVar[Topic] = Topic.TX_ACCEPTED
    seq: int = 0
    txid: str
    wtxid: str
    fee: int
    vsize: int


class Removal(StrEnum):
    """Why a transaction left the pool."""

    MINED = "mined"
    REPLACED = "replaced"
    CONFLICT = "conflict"
    EVICTED = "evicted"
    EXPIRED = "expired"


class TxRemoved(Message, frozen=True, kw_only=True):
    """A transaction left the pool."""

    topic: ClassVar[Topic] = Topic.TX_REMOVED
    seq: int = 0
    txid: str
    why: Removal
    replaced_by: str = ""
    """Txid of the transaction that replaced it, or that replaced one of its ancestors."""
