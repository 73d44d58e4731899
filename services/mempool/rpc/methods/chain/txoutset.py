"""RPC methods about all coins together (rpc/blockchain.cpp, kernel/coinstats.cpp).

They read the coins in slices while the node works on, and start over if the tip moved meanwhile. All coins are held in
memory for that: some 250 bytes each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from services.mempool.rpc.descriptors import parse
from services.mempool.rpc.json.tx_json import script_json
from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.method import Arg, Kind, Method
from services.mempool.rpc.server.values import Json, btc
from shared.chain.codec import decode_coin, decode_outpoint
from shared.chain.view import Tip
from shared.crypto import muhash
from shared.crypto.hashes import sha256
from shared.primitives.coin import Coin
from shared.primitives.hex import display_hash
from shared.primitives.serialize import pack_u32
from shared.primitives.transaction import OutPoint

_CATEGORY = "Blockchain"
_HASH_TYPES = ("hash_serialized_3", "muhash", "none")
_BOGO_OVERHEAD = 32 + 4 + 4 + 8 + 2
"""Bytes that Core counts for a coin beside its script (GetBogoSize)."""


def gettxoutsetinfo(node: NodeContext, hash_type: str | None, at: object, use_index: bool | None) -> Json:
    """Return the number, the sum and a hash of all coins."""
    kind = hash_type or _HASH_TYPES[0]
    if kind not in _HASH_TYPES:
        raise RpcError(RpcCode.INVALID_PARAMETER, f"'{kind}' is not a valid hash_type")
    if at is not None:
        message = "Querying specific block heights requires coinstatsindex"
        raise RpcError(RpcCode.INVALID_PARAMETER, message)
    return node.view.at_tip(lambda tip: _summary(node, tip, kind))


def _summary(node: NodeContext, tip: Tip, kind: str) -> Json:
    raw = node.view.txs.all_coins()
    coins = [decode_coin(value) for value in raw.values()]
    shown: dict[str, Json] = {
        "height": tip.height,
        "bestblock": display_hash(tip.hash),
        "txouts": len(raw),
        "bogosize": sum(_BOGO_OVERHEAD + len(coin.output.script_pubkey) for coin in coins),
    }
    if kind != "none":
        shown[kind] = display_hash(_HASHES[kind](raw))
    shown["total_amount"] = btc(sum(coin.output.value for coin in coins))
    shown["transactions"] = len({outpoint[:32] for outpoint in raw})
    shown["disk_size"] = sum(len(outpoint) + len(value) for outpoint, value in raw.items())
    return shown


def serialize_coin(outpoint: OutPoint, coin: Coin) -> bytes:
    """Return a coin as hashes of the whole set take it (TxOutSer)."""
    return outpoint.serialize() + pack_u32(coin.height << 1 | coin.is_coinbase) + coin.output.serialize()


def serialized_hash(raw: Mapping[bytes, bytes]) -> bytes:
    """Return `hash_serialized_3` of the stored coins by outpoint, wire order: in the order of txid and number."""
    digest = hashlib.sha256()
    for outpoint in sorted(map(decode_outpoint, raw)):
        digest.update(serialize_coin(outpoint, decode_coin(raw[outpoint.serialize()])))
    return sha256(digest.digest())


def set_hash(raw: Mapping[bytes, bytes]) -> bytes:
    """Return the MuHash of the stored coins by outpoint, wire order."""
    elements = (serialize_coin(decode_outpoint(key), decode_coin(value)) for key, value in raw.items())
    return muhash.finalize(muhash.product(elements))


_HASHES = {"hash_serialized_3": serialized_hash, "muhash": set_hash}


def scantxoutset(node: NodeContext, action: str, scan_objects: list[Any] | None) -> Json:
    """Return the coins that pay the scripts of descriptors; `status` and `abort` find no scan under way."""
    if action == "status":
        return None
    if action == "abort":
        return False
    if action != "start":
        raise RpcError(RpcCode.INVALID_PARAMETER, f"Invalid action '{action}'")
    if scan_objects is None:
        message = "scanobjects argument is required for the start action"
        raise RpcError(RpcCode.MISC_ERROR, message)
    wanted: set[bytes] = set()
    for text, first, last in parse.scan_objects(scan_objects):
        descriptor = parse.parse(text, node.params.address)
        for index in range(first, last + 1) if descriptor.is_ranged else range(1):
            wanted.update(descriptor.scripts(index))
    return node.view.at_tip(lambda tip: _scan(node, tip, wanted))


def _scan(node: NodeContext, tip: Tip, wanted: set[bytes]) -> Json:
    raw = node.view.txs.all_coins()
    found = [
        (decode_outpoint(outpoint), coin)
        for outpoint, value in raw.items()
        if (coin := decode_coin(value)).output.script_pubkey in wanted
    ]
    found.sort(key=lambda item: item[0])
    unspents = []
    for outpoint, coin in found:
        block_hash = node.view.block_hash(coin.height)
        unspents.append(
            {
                "txid": display_hash(outpoint.txid),
                "vout": outpoint.vout,
                "scriptPubKey": coin.output.script_pubkey.hex(),
                "desc": script_json(coin.output.script_pubkey, node.params.address)["desc"],
                "amount": btc(coin.output.value),
                "coinbase": coin.is_coinbase,
                "height": coin.height,
                "blockhash": display_hash(block_hash or b""),
                "confirmations": tip.height - coin.height + 1,
            }
        )
    return {
        "success": True,
        "txouts": len(raw),
        "height": tip.height,
        "bestblock": display_hash(tip.hash),
        "unspents": unspents,
        "total_amount": btc(sum(coin.output.value for _, coin in found)),
    }


METHODS = (
    Method(
        "gettxoutsetinfo",
        _CATEGORY,
        "Returns the number, the sum and a hash of all unspent outputs. Reads them all.",
        (
            Arg("hash_type", Kind.STRING, "hash_serialized_3, muhash or none", "hash_serialized_3"),
            Arg("hash_or_height", Kind.ANY, "Not offered: there is no index of it", ""),
            Arg("use_index", Kind.BOOL, "Ignored", "true"),
        ),
        gettxoutsetinfo,
    ),
    Method(
        "scantxoutset",
        _CATEGORY,
        "Returns the unspent outputs whose scripts are those of descriptors. Reads all of them.",
        (
            Arg("action", Kind.STRING, "start, abort or status"),
            Arg("scanobjects", Kind.ARRAY, "Descriptors, or objects with desc and range", ""),
        ),
        scantxoutset,
    ),
)
