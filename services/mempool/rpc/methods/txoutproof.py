"""RPC methods that prove transactions to be in a block, and check such proofs (rpc/txoutproof.cpp)."""

from __future__ import annotations

from services.mempool.rpc.json.block_json import stored_block
from services.mempool.rpc.server.context import NodeContext
from services.mempool.rpc.server.errors import RpcCode, RpcError
from services.mempool.rpc.server.method import Arg, Kind, Method
from services.mempool.rpc.server.values import Json, block_or_tx_hash, expect, hex_bytes
from shared.errors import DecodeError
from shared.primitives.hex import display_hash
from shared.primitives.merkle import merkle_tree
from shared.primitives.partial_merkle import decode_proof, encode_proof

_CATEGORY = "Blockchain"


def gettxoutproof(node: NodeContext, txid_hexes: list[object], block_hash_hex: str | None) -> str:
    """Return a proof, in hex, that transactions are in a block."""
    if not txid_hexes:
        raise RpcError(RpcCode.INVALID_PARAMETER, "Parameter 'txids' cannot be empty")
    txids: set[bytes] = set()
    for txid_hex in txid_hexes:
        expect(txid_hex, str)
        txid = block_or_tx_hash(str(txid_hex), "txid")
        if txid in txids:
            raise RpcError(RpcCode.INVALID_PARAMETER, f"Invalid parameter, duplicated txid: {txid_hex}")
        txids.add(txid)
    if block_hash_hex is not None:
        block_hash = node.block_entry(block_or_tx_hash(block_hash_hex, "blockhash")).hash
    else:
        location = next(filter(None, node.view.tx_locations(sorted(txids))), None)
        if location is None:
            raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Transaction not yet in block")
        block_hash = location.block_hash
    block = stored_block(node, block_hash)
    leaves = [tx.txid for tx in block.transactions]
    if not txids.issubset(leaves):
        message = "Not all transactions found in specified or retrieved block"
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, message)
    return encode_proof(block.header, merkle_tree(leaves), txids).hex()


def verifytxoutproof(node: NodeContext, proof_hex: str) -> Json:
    """Return the txids that a proof shows to be in a block of the best chain; none if it does not hold."""
    try:
        header, count, proven = decode_proof(hex_bytes(proof_hex, "proof"))
    except DecodeError as error:
        raise RpcError(RpcCode.MISC_ERROR, str(error)) from None
    if not proven:
        return []
    entry = node.view.block_entry(header.hash)
    if entry is None or not node.view.is_in_best_chain(entry):
        raise RpcError(RpcCode.INVALID_ADDRESS_OR_KEY, "Block not found in chain")
    # A proof for an inner node of the tree would have another number of transactions (CVE-2017-12842).
    return list(map(display_hash, proven)) if count == entry.tx_count else []


METHODS = (
    Method(
        "gettxoutproof",
        _CATEGORY,
        "Returns a proof, in hex, that transactions are in a block.",
        (
            Arg("txids", Kind.ARRAY, "The transaction ids"),
            Arg("blockhash", Kind.STRING, "The block in which to look", ""),
        ),
        gettxoutproof,
    ),
    Method(
        "verifytxoutproof",
        _CATEGORY,
        "Returns the txids that a proof shows to be in a block of the best chain, none if the proof does not hold.",
        (Arg("proof", Kind.STRING, "The proof in hex"),),
        verifytxoutproof,
    ),
)
