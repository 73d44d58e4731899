"""The messages of the bus, each a frozen struct with a JSON body: everything is imported from here.

Hashes are in display order (reversed hex), raw bytes are hex, amounts are satoshis, times are seconds since 1970.
A claim is a `Request[Reply]`: its type says which reply it has. Facts carry `seq`, the strictly increasing number of
the commit's event: it and the natural key (txid, block hash) make it harmless to handle a message twice.
docs/topics.md is generated from these modules.
"""

from shared.bus.events.blocks import BlockConnected, BlockDisconnected, BlockMined, BlockVerdict, SolvedBlock
from shared.bus.events.codec import BY_TOPIC, REPLIES, decode, encode, message_type
from shared.bus.events.control import ChainControl, ControlAction, ControlResult
from shared.bus.events.message import DEADLINE_HEADER, SCHEMA_HEADER, SCHEMA_VERSION, Failure, Message, Reply, Request
from shared.bus.events.mining import (
    BlockTemplate,
    MineRequested,
    MineResult,
    MinerReport,
    NextBlock,
    TemplateRequested,
    TemplateTx,
    WorkEnded,
    WorkTemplate,
)
from shared.bus.events.transactions import (
    Removal,
    TxAccepted,
    TxRejected,
    TxRemoved,
    TxSubmitted,
    TxVerdict,
    TxVerdicts,
)
from shared.bus.events.wallets import (
    AddressRequested,
    AddressResult,
    CoinsRequested,
    CoinsResult,
    WalletName,
    WalletsRequested,
    WalletsResult,
)

Fact = TxAccepted | TxRemoved | BlockConnected | BlockDisconnected
"""Published after the commit that it tells of."""

__all__ = [
    "BY_TOPIC",
    "DEADLINE_HEADER",
    "REPLIES",
    "SCHEMA_HEADER",
    "SCHEMA_VERSION",
    "AddressRequested",
    "AddressResult",
    "BlockConnected",
    "BlockDisconnected",
    "BlockMined",
    "BlockTemplate",
    "BlockVerdict",
    "ChainControl",
    "CoinsRequested",
    "CoinsResult",
    "ControlAction",
    "ControlResult",
    "Fact",
    "Failure",
    "Message",
    "MineRequested",
    "MineResult",
    "MinerReport",
    "NextBlock",
    "Removal",
    "Reply",
    "Request",
    "SolvedBlock",
    "TemplateRequested",
    "TemplateTx",
    "TxAccepted",
    "TxRejected",
    "TxRemoved",
    "TxSubmitted",
    "TxVerdict",
    "TxVerdicts",
    "WalletName",
    "WalletsRequested",
    "WalletsResult",
    "WorkEnded",
    "WorkTemplate",
    "decode",
    "encode",
    "message_type",
]
