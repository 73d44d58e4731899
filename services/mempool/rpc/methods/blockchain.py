"""RPC methods about the best chain, its blocks and its coins (rpc/blockchain.cpp)."""

from __future__ import annotations

from services.mempool.rpc.json.block_json import block_json, header_json, stored_block, target_hex
from services.mempool.rpc.json.tx_json import script_json
from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.method import Arg, Kind, Method
from services.mempool.rpc.server.values import Json, block_or_tx_hash, btc, integer, real, verbosity
from shared.chain.view import Tip
from shared.consensus.pow import difficulty
from shared.primitives.coin import Coin
from shared.primitives.hex import display_hash
from shared.primitives.transaction import OutPoint

_CATEGORY = "Blockchain"


def getblockcount(node: NodeContext) -> int:
    """Return the height of the tip."""
    return node.view.tip().height


def getbestblockhash(node: NodeContext) -> str:
    """Return the hash of the tip."""
    return display_hash(node.view.tip().hash)


def getblockhash(node: NodeContext, height: object) -> str:
    """Return the hash of the best chain's block at a height."""
    block_hash = node.view.block_hash(integer(height))
    if block_hash is None:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Block height out of range")
    return display_hash(block_hash)


def getblockheader(node: NodeContext, hash_hex: str, verbose: bool | None) -> Json:
    """Return a header as hex or as an object."""
    entry = node.block_entry(block_or_tx_hash(hash_hex, "hash"))
    if verbose is False:
        return entry.header.serialize().hex()
    return node.at_tip(lambda tip: header_json(node, entry, tip))


def getblock(node: NodeContext, hash_hex: str, level_or_flag: object) -> Json:
    """Return a block as hex or as an object of growing detail."""
    block_hash = block_or_tx_hash(hash_hex, "blockhash")
    level = verbosity(level_or_flag, default=1)
    entry = node.block_entry(block_hash)
    block = stored_block(node, block_hash)
    if level <= 0:
        return block.serialize().hex()
    return node.at_tip(lambda tip: block_json(node, entry, block, tip, level))


def getblockchaininfo(node: NodeContext) -> Json:
    """Return where the chain stands."""
    return node.at_tip(lambda tip: _chain_info(node, tip))


def _chain_info(node: NodeContext, tip: Tip) -> Json:
    entry = node.block_entry(tip.hash)
    info: dict[str, Json] = {
        "chain": node.params.name,
        "blocks": tip.height,
        "headers": tip.height,
        "bestblockhash": entry.header.hash_hex,
        "bits": f"{entry.header.bits:08x}",
        "target": target_hex(entry.header.bits),
        "difficulty": real(difficulty(entry.header.bits)),
        "time": entry.header.time,
        "mediantime": node.median_time_past(entry),
        "verificationprogress": 1,
        "initialblockdownload": False,
        "chainwork": f"{tip.chain_work:064x}",
        "size_on_disk": node.chain_size.at(tip),
        "pruned": False,
    }
    if node.params.signet_challenge:
        info["signet_challenge"] = node.params.signet_challenge.hex()
    info["warnings"] = []
    return info


def getdifficulty(node: NodeContext) -> Json:
    """Return how hard the tip was to find."""
    return real(difficulty(node.block_entry(node.view.tip().hash).header.bits))


def gettxout(node: NodeContext, txid_hex: str, vout: object, include_mempool: bool | None) -> Json:
    """Return a coin, null if it is spent or was never there."""
    outpoint = OutPoint(block_or_tx_hash(txid_hex, "txid"), integer(vout, 0, 0xFFFFFFFF))
    with_pool = include_mempool is not False
    return node.at_tip(lambda tip: _coin(node, outpoint, with_pool, tip))


def _coin(node: NodeContext, outpoint: OutPoint, with_pool: bool, tip: Tip) -> Json:
    coin = node.view.coins([outpoint])[0]
    confirmations = tip.height - coin.height + 1 if coin else 0
    if with_pool:
        if coin is None:
            record = node.view.transaction(outpoint.txid)
            if record is not None and record.pool is not None and outpoint.vout < len(record.tx.outputs):
                coin = Coin(record.tx.outputs[outpoint.vout], tip.height + 1, False)
        if coin is not None and node.view.pool_spends([outpoint])[0] is not None:
            coin = None
    if coin is None:
        return None
    return {
        "bestblock": display_hash(tip.hash),
        "confirmations": confirmations,
        "value": btc(coin.output.value),
        "scriptPubKey": script_json(coin.output.script_pubkey, node.params.address),
        "coinbase": coin.is_coinbase,
    }


_BLOCK_HASH = Arg("blockhash", Kind.STRING, "The block hash")

METHODS = (
    Method("getbestblockhash", _CATEGORY, "Returns the hash of the tip of the most-work chain.", (), getbestblockhash),
    Method(
        "getblock",
        _CATEGORY,
        "Returns a block: hex (verbosity 0), its fields and txids (1), with transactions and fees (2), and with the\n"
        "outputs that these spend (3).",
        (_BLOCK_HASH, Arg("verbosity|verbose", Kind.LEVEL, "0 to 3; true is 1 and false is 0", "1")),
        getblock,
    ),
    Method("getblockchaininfo", _CATEGORY, "Returns the state of the chain.", (), getblockchaininfo),
    Method("getblockcount", _CATEGORY, "Returns the height of the most-work chain.", (), getblockcount),
    Method(
        "getblockhash",
        _CATEGORY,
        "Returns the hash of the most-work chain's block at a height.",
        (Arg("height", Kind.NUMBER, "The height; the genesis block has 0"),),
        getblockhash,
    ),
    Method(
        "getblockheader",
        _CATEGORY,
        "Returns a block header, as an object or as hex.",
        (_BLOCK_HASH, Arg("verbose", Kind.BOOL, "true for an object, false for hex", "true")),
        getblockheader,
    ),
    Method("getdifficulty", _CATEGORY, "Returns the proof-of-work difficulty of the tip.", (), getdifficulty),
    Method(
        "gettxout",
        _CATEGORY,
        "Returns details of an unspent transaction output, null if there is none.",
        (
            Arg("txid", Kind.STRING, "The transaction id"),
            Arg("n", Kind.NUMBER, "The number of the output"),
            Arg("include_mempool", Kind.BOOL, "Whether unconfirmed transactions count", "true"),
        ),
        gettxout,
    ),
)
