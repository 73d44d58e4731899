"""The message of each topic, as a frozen struct with a JSON body.

Hashes are in display order (reversed hex), raw bytes are hex, amounts are satoshis, times are seconds since 1970.
Facts carry `seq`, the strictly increasing number of the commit's event: it and the natural key (txid, block hash) make
it harmless to handle a message twice. docs/topics.md is generated from this module.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

import msgspec

from shared.bus.topics import Topic
from shared.errors import DecodeError


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base of everything that travels on the bus; a reply has no topic."""

    topic: ClassVar[Topic | None] = None


class Removal(StrEnum):
    """Why a transaction left the pool."""

    MINED = "mined"
    REPLACED = "replaced"
    CONFLICT = "conflict"
    EVICTED = "evicted"
    EXPIRED = "expired"


# ── claims ──────────────────────────────────────────────────────────────────────────────────────────────────────


class TxSubmitted(Message, frozen=True, kw_only=True):
    """One transaction, or a package with every parent before its children. Answered with `TxVerdicts`."""

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
    """Whether they may take the place of transactions in the pool that spend the same coins."""


class BlockMined(Message, frozen=True, kw_only=True):
    """A template's solution (`template_id`, `header`, `coinbase`), or a whole `block`. Answered with `BlockVerdict`."""

    topic: ClassVar[Topic] = Topic.BLOCK_MINED
    template_id: str | None = None
    header: str | None = None
    """80 bytes in hex."""
    coinbase: str | None = None
    """The coinbase transaction in hex, without its witness."""
    block: str | None = None
    miner: str = ""
    """Name of the worker that found it."""
    test_only: bool = False
    """Check a whole block on the tip, its proof of work apart; it does not join the chain (BIP23's proposals)."""

    def __post_init__(self) -> None:
        """Refuse a message that is neither form, or both."""
        solution = (self.template_id, self.header, self.coinbase)
        if self.block is None and None in solution:
            raise ValueError("a solution needs template_id, header and coinbase")
        if self.block is not None and solution != (None, None, None):
            raise ValueError("either a solution or a whole block, not both")


class MineRequested(Message, frozen=True, kw_only=True):
    """Mine `count` blocks that pay `script_pubkey`. Answered with `MineResult` when they are on the chain."""

    topic: ClassVar[Topic] = Topic.MINE_REQUESTED
    count: int
    script_pubkey: str
    """In hex."""
    txs: tuple[str, ...] | None = None
    """For one block with exactly these transactions: txids of the pool, or raw transactions in hex."""


class ControlAction(StrEnum):
    """What `ChainControl` orders."""

    INVALIDATE = "invalidate"
    """Treat `block` as breaking a rule."""
    RECONSIDER = "reconsider"
    """Take that back, for `block` and its descendants."""
    PRECIOUS = "precious"
    """Prefer `block` over others with the same work."""
    SUBMIT_HEADER = "submit-header"
    """Check `header` and remember it."""
    PRIORITISE = "prioritise"
    """Let `txid` count as paying `fee_delta` satoshis more when blocks are made."""
    SET_TIME = "set-time"
    """Let the node's clock stand at `time`; 0 lets it run again."""


class ChainControl(Message, frozen=True, kw_only=True):
    """An order of the operator. Answered with `ControlResult` after the commit."""

    topic: ClassVar[Topic] = Topic.CHAIN_CONTROL
    action: ControlAction
    block: str = ""
    txid: str = ""
    header: str = ""
    """80 bytes in hex."""
    fee_delta: int = 0
    time: int = 0
    """Seconds."""


class CoinsRequested(Message, frozen=True, kw_only=True):
    """Pay `amount` from the faucet of a test chain. Answered with `CoinsResult`; paid once however often it comes."""

    topic: ClassVar[Topic] = Topic.COINS_REQUESTED
    script_pubkey: str
    """In hex."""
    amount: int


class AddressRequested(Message, frozen=True, kw_only=True):
    """Name an address of the wallet that the faucet of a test chain pays from. Answered with `AddressResult`."""

    topic: ClassVar[Topic] = Topic.ADDRESS_REQUESTED
    fresh: bool = True
    """One that nobody was told before; else the newest of those in use."""


class WalletsRequested(Message, frozen=True, kw_only=True):
    """Name the wallets that a form can offer as payees. Answered with `WalletsResult`."""

    topic: ClassVar[Topic] = Topic.WALLETS_REQUESTED


class TemplateRequested(Message, frozen=True, kw_only=True):
    """Show what the next block would be made of. Answered with `WorkTemplate`; nothing changes."""

    topic: ClassVar[Topic] = Topic.TEMPLATE_REQUESTED


# ── work ────────────────────────────────────────────────────────────────────────────────────────────────────────


class BlockTemplate(Message, frozen=True, kw_only=True):
    """Everything a miner needs to search for a block, and nothing else: it never sees the transactions."""

    topic: ClassVar[Topic] = Topic.BLOCK_TEMPLATE
    id: str
    height: int
    version: int
    previous_hash: str
    bits: int
    time: int
    """Seconds; the miner may move it forward, never below `min_time`."""
    min_time: int
    coinbase_prefix: str
    """Coinbase = prefix + extranonce + suffix, in hex, serialised without witness."""
    coinbase_suffix: str
    extranonce_size: int
    """Bytes that the miner fills in."""
    merkle_branch: tuple[str, ...]
    """Wire-order hex: hashes that join the coinbase's txid on the way to the merkle root."""


# ── facts, published after the commit ───────────────────────────────────────────────────────────────────────────


class TxAccepted(Message, frozen=True, kw_only=True):
    """A transaction entered the pool."""

    topic: ClassVar[Topic] = Topic.TX_ACCEPTED
    seq: int = 0
    txid: str
    wtxid: str
    fee: int
    vsize: int


class TxRemoved(Message, frozen=True, kw_only=True):
    """A transaction left the pool."""

    topic: ClassVar[Topic] = Topic.TX_REMOVED
    seq: int = 0
    txid: str
    why: Removal
    replaced_by: str = ""
    """Txid of the transaction that took its place, or that of one it depended on."""


class BlockConnected(Message, frozen=True, kw_only=True):
    """A block joined the best chain."""

    topic: ClassVar[Topic] = Topic.BLOCK_CONNECTED
    seq: int = 0
    hash: str
    height: int
    time: int
    tx_count: int


class BlockDisconnected(Message, frozen=True, kw_only=True):
    """A block left the best chain in a reorganisation."""

    topic: ClassVar[Topic] = Topic.BLOCK_DISCONNECTED
    seq: int = 0
    hash: str
    height: int
    time: int
    tx_count: int


Fact = TxAccepted | TxRemoved | BlockConnected | BlockDisconnected


# ── verdicts and replies ────────────────────────────────────────────────────────────────────────────────────────


class TxRejected(Message, frozen=True, kw_only=True):
    """A submitted transaction broke a rule."""

    topic: ClassVar[Topic] = Topic.TX_REJECTED
    txid: str
    reason: str
    detail: str = ""


class TxVerdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one submitted transaction: accepted, or the reason why not."""

    txid: str
    """Empty when the bytes are not a transaction."""
    wtxid: str
    accepted: bool
    reason: str = ""
    detail: str = ""
    fee: int | None = None
    vsize: int | None = None
    effective_feerate: int | None = None
    """Satoshis per 1,000 vbytes that it was judged by: its own, or its package's; None if it was in the pool before."""
    effective_includes: tuple[str, ...] = ()
    """The wtxids that this feerate is of."""
    other_wtxid: str = ""
    """Of the transaction of the pool that has the same txid and another witness."""
    replaced: tuple[str, ...] = ()
    """Txids of the transactions that left the pool for it."""


class TxVerdicts(Message, frozen=True, kw_only=True):
    """Reply to `TxSubmitted`: one verdict for each transaction, in order."""

    verdicts: tuple[TxVerdict, ...]
    package_error: str = ""
    """Why the submission as a whole was refused, or `transaction failed` if it was for one of them."""


class BlockVerdict(Message, frozen=True, kw_only=True):
    """Reply to `BlockMined`. A valid block that is not on the best chain is accepted with reason `inconclusive`."""

    hash: str
    accepted: bool
    reason: str = ""
    detail: str = ""


class MineResult(Message, frozen=True, kw_only=True):
    """Reply to `MineRequested`: hashes of the blocks mined for it; `error` says why there are fewer than asked for."""

    hashes: tuple[str, ...]
    error: str = ""


class ControlResult(Message, frozen=True, kw_only=True):
    """Reply to `ChainControl`: done, or the reason why not."""

    done: bool
    reason: str = ""
    detail: str = ""


class CoinsResult(Message, frozen=True, kw_only=True):
    """Reply to `CoinsRequested`: the payment, which the pool has taken, or the wallet's code for why there is none."""

    txid: str = ""
    reason: str = ""
    detail: str = ""
    advice: str = ""
    """For people: what to do about it."""


class AddressResult(Message, frozen=True, kw_only=True):
    """Reply to `AddressRequested`: the address, or the wallet's code for why there is none."""

    address: str = ""
    reason: str = ""
    detail: str = ""


class WalletName(msgspec.Struct, frozen=True, kw_only=True):
    """A wallet, and the newest of its addresses."""

    id: str
    address: str


class WalletsResult(Message, frozen=True, kw_only=True):
    """Reply to `WalletsRequested`: the wallet `creator`, if there is one, then the newest ones, not all if many."""

    wallets: tuple[WalletName, ...]


class TemplateTx(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction of a `WorkTemplate`."""

    data: str
    """In hex."""
    txid: str
    hash: str
    """Its wtxid."""
    depends: tuple[int, ...]
    """Places, counted from 1, of the transactions of the template that it spends from."""
    fee: int
    sigops: int
    """Signature operation cost."""
    weight: int


class WorkTemplate(Message, frozen=True, kw_only=True):
    """Reply to `TemplateRequested`: what `getblocktemplate` answers, field by field (BIP22, BIP23, BIP145)."""

    capabilities: tuple[str, ...]
    version: int
    rules: tuple[str, ...]
    vbavailable: dict[str, int]
    vbrequired: int
    previousblockhash: str
    transactions: tuple[TemplateTx, ...]
    coinbaseaux: dict[str, str]
    coinbasevalue: int
    longpollid: str
    target: str
    mintime: int
    mutable: tuple[str, ...]
    noncerange: str
    sigoplimit: int
    sizelimit: int
    weightlimit: int
    curtime: int
    bits: str
    """In hex."""
    height: int
    signet_challenge: str = ""
    default_witness_commitment: str
    """The scriptPubKey of the coinbase output that commits to the witnesses, in hex."""


class Failure(Message, frozen=True, kw_only=True):
    """Reply to a request whose message could not be decoded or crashed its handler."""

    error: str


BY_TOPIC: dict[str, type[Message]] = {
    cls.topic: cls
    for cls in (
        TxSubmitted,
        BlockMined,
        MineRequested,
        ChainControl,
        CoinsRequested,
        AddressRequested,
        WalletsRequested,
        TemplateRequested,
        BlockTemplate,
        TxAccepted,
        TxRemoved,
        BlockConnected,
        BlockDisconnected,
        TxRejected,
    )
}
REPLIES: dict[str, type[Message]] = {
    cls.__name__: cls
    for cls in (
        TxVerdicts,
        BlockVerdict,
        MineResult,
        ControlResult,
        WorkTemplate,
        CoinsResult,
        AddressResult,
        WalletsResult,
        Failure,
    )
}

_encoder = msgspec.json.Encoder()
_decoders = {name: msgspec.json.Decoder(cls) for name, cls in (BY_TOPIC | REPLIES).items()}


def message_type(message: Message) -> str:
    """Return the value of the `type` property: the topic, or the struct's name for a reply."""
    return str(message.topic) if message.topic else type(message).__name__


def encode(message: Message) -> bytes:
    """Return the JSON body."""
    return _encoder.encode(message)


def decode(type_name: str, body: bytes) -> Message:
    """Return the message of this `type` property; `DecodeError` says which field is wrong."""
    decoder = _decoders.get(type_name)
    if decoder is None:
        raise DecodeError(f"unknown message type {type_name!r}")
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:  # also msgspec.ValidationError
        raise DecodeError(f"{type_name}: {error}") from None
