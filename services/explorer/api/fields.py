"""The kinds of values that answers and parameters have, each with its description, limits and an example.

A field of an answer that means more than its kind says so in an `Annotated` of its own, which goes before the kind's.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from shared.primitives.transaction import MAX_VOUT

TXID_EXAMPLE = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
ADDRESS_EXAMPLE = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
SCRIPT_EXAMPLE = "0014751e76e8199196d454941c45d1b3a323f1433bd6"
_BLOCK_EXAMPLE = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
_HASH = "^[0-9a-f]{64}$"
_HEX = "^([0-9a-f]{2})*$"

# ── of answers ──────────────────────────────────────────────────────────────────────────────────────────────────────

Txid = Annotated[str, Meta(pattern=_HASH, description="Transaction id", examples=[TXID_EXAMPLE])]
Wtxid = Annotated[
    str, Meta(pattern=_HASH, description="Hash of the transaction with its witnesses", examples=[TXID_EXAMPLE])
]
BlockHash = Annotated[str, Meta(pattern=_HASH, description="Block hash", examples=[_BLOCK_EXAMPLE])]
MerkleHash = Annotated[str, Meta(pattern=_HASH, description="Merkle root", examples=[TXID_EXAMPLE])]
Hex = Annotated[str, Meta(pattern=_HEX, description="Bytes in hex", examples=["01000000"])]
HeaderHex = Annotated[str, Meta(pattern="^[0-9a-f]{160}$", description="Header, 80 bytes in hex", examples=["00" * 80])]
ScriptHex = Annotated[str, Meta(pattern=_HEX, description="scriptPubKey in hex", examples=[SCRIPT_EXAMPLE])]
Address = Annotated[str, Meta(description="Address", examples=[ADDRESS_EXAMPLE])]
Satoshis = Annotated[int, Meta(ge=0, description="Satoshis", examples=[5_000_000_000])]
Feerate = Annotated[float, Meta(ge=0, description="Satoshis per virtual byte", examples=[1.5])]
FeeRange = Annotated[
    tuple[Feerate, ...], Meta(min_length=7, max_length=7, description="Seven feerates, the lowest first")
]
Btc = Annotated[
    msgspec.Raw, Meta(description="BTC", examples=[0.0001], extra_json_schema={"type": "number", "minimum": 0})
]
"""A number that is written with all its eight decimals, as bitcoind does."""
Time = Annotated[int, Meta(ge=0, description="Seconds since 1970", examples=[1296688602])]
Milliseconds = Annotated[int, Meta(ge=0, description="Milliseconds", examples=[600_000])]
Percent = Annotated[float, Meta(description="Percent", examples=[0.0])]
Height = Annotated[int, Meta(ge=0, description="Height", examples=[7])]
Position = Annotated[int, Meta(ge=0, description="Index, from 0", examples=[0])]
Count = Annotated[int, Meta(ge=0, description="Number of them", examples=[1])]
VirtualBytes = Annotated[int, Meta(ge=0, description="Virtual bytes", examples=[141])]
Weight = Annotated[int, Meta(ge=0, description="Weight units", examples=[561])]
Bytes = Annotated[int, Meta(ge=0, description="Bytes", examples=[222])]
SigopCost = Annotated[int, Meta(ge=0, description="Cost of signature operations", examples=[1])]
Bits = Annotated[int, Meta(ge=0, description="Target in compact form", examples=[545259519])]

# ── of parameters ───────────────────────────────────────────────────────────────────────────────────────────────────

HashText = Annotated[str, Meta(pattern="^[0-9a-fA-F]{64}$")]
Number = Annotated[int, Meta(ge=0, extra_json_schema={"maximum": (1 << 64) - 1})]
"""A number of 64 bits without sign; msgspec's own limits end at 63."""
OutputIndex = Annotated[int, Meta(ge=0, le=MAX_VOUT)]
BtcLimit = Annotated[float, Meta(ge=0, le=21_000_000)]
Seconds = Annotated[float, Meta(ge=0)]
RawTxHex = Annotated[str, Meta(examples=["02000000…"])]
