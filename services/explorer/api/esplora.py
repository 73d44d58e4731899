"""Esplora's HTTP API: every method of `Esplora` is one resource, the table at the end says under which path.

Mounted under `/api` and, for clients that expect it there, under `/`. docs/http-api-explorer.md is its reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import Response, request

from services.explorer.api import esplora_json
from services.explorer.api.parameters import read_count, read_hash, read_number, read_script, read_script_ranges
from services.explorer.api.responses import SCRIPT, Route, immutable, json, octets, plain
from services.explorer.api.submit import ask_template, submit
from services.explorer.chain.fee_estimates import fee_estimates, fee_histogram
from services.explorer.chain.models import TxInfo
from services.explorer.chain.pool_fee_cache import PoolFee
from services.explorer.chain.queries import ChainQueries
from services.explorer.errors import RequestError, too_many_coins
from shared.bus.broker import Broker
from shared.consensus.partial_merkle import encode_proof
from shared.crypto.address import AddressPrefix, encode_address
from shared.primitives.hex import display_hash
from shared.primitives.merkle import branch_of
from shared.primitives.transaction import MAX_VOUT, OutPoint

BLOCKS_PER_PAGE = 10
TXS_PER_PAGE = 25
POOL_TXS_PER_PAGE = 50
MAX_TXS = 1_000
"""Whole transactions of one answer, where a request may say how many."""
MAX_COINS = 20_000
"""Unspent outputs of one answer; electrs gives 500."""
RECENT_TXS = 10
ADDRESSES_FOUND = 10


class Esplora:
    """The resources, read from the chain; `post_tx` alone asks for a change."""

    def __init__(self, chain: ChainQueries, broker: Broker, prefix: AddressPrefix) -> None:
        self._chain = chain
        self._broker = broker
        self._prefix = prefix

    # ── blocks ──────────────────────────────────────────────────────────────────────────────────────────────────

    def tip_hash(self) -> Response:
        """Return the tip's hash."""
        return plain(display_hash(self._chain.tip().hash))

    def tip_height(self) -> Response:
        """Return the tip's height."""
        return plain(str(self._chain.tip().height))

    def block_at(self, height: str) -> Response:
        """Return the hash of the best chain's block at a height."""
        return plain(display_hash(self._chain.blocks.hash_at(read_number(height))))

    def blocks(self, start: str = "") -> Response:
        """Return ten blocks, newest first, from a height or the tip downwards; what is not a number means the tip."""
        try:
            height = read_number(start)
        except RequestError:
            return json([esplora_json.block_json(block) for block in self._chain.blocks.page(None, BLOCKS_PER_PAGE)])
        return json([esplora_json.block_json(block) for block in self._chain.blocks.page(height, BLOCKS_PER_PAGE)])

    def block(self, block_hash: str) -> Response:
        """Return a block's summary."""
        return immutable(json(esplora_json.block_json(self._chain.blocks.get(read_hash(block_hash)))))

    def block_header(self, block_hash: str) -> Response:
        """Return a block's header in hex."""
        return immutable(plain(self._chain.blocks.get(read_hash(block_hash)).entry.header.serialize().hex()))

    def block_raw(self, block_hash: str) -> Response:
        """Return a block's bytes."""
        return immutable(octets(self._chain.blocks.raw(read_hash(block_hash))))

    def block_status(self, block_hash: str) -> Response:
        """Return whether a block is on the best chain."""
        return json(esplora_json.block_status_json(self._chain.blocks.find(read_hash(block_hash))))

    def block_txids(self, block_hash: str) -> Response:
        """Return a block's txids, in its order."""
        return immutable(json([display_hash(txid) for txid in self._chain.blocks.txids(read_hash(block_hash))]))

    def block_txid(self, block_hash: str, index: str) -> Response:
        """Return the txid at an index of a block."""
        txid = self._chain.blocks.txid_at(read_hash(block_hash), read_number(index))
        if txid is None:
            raise RequestError(404, "tx index out of range")
        return immutable(plain(display_hash(txid)))

    def block_txs(self, block_hash: str, start: str = "") -> Response:
        """Return 25 transactions of a block, from an index that is a multiple of 25."""
        block_id = read_hash(block_hash)
        self._chain.blocks.check(block_id)  # a block that is not known comes before a wrong index
        try:
            index = read_number(start)
        except RequestError:
            index = 0
        if index % TXS_PER_PAGE:
            raise RequestError(400, f"start index must be a multiple of {TXS_PER_PAGE}")
        return self._txs(self._chain.blocks.txs(block_id, index, TXS_PER_PAGE))

    # ── transactions ────────────────────────────────────────────────────────────────────────────────────────────

    def tx(self, txid: str) -> Response:
        """Return a transaction."""
        return json(esplora_json.tx_json(self._chain.txs.get(read_hash(txid)), self._prefix))

    def tx_hex(self, txid: str) -> Response:
        """Return a transaction's bytes in hex."""
        return plain(self._chain.txs.record(read_hash(txid)).tx.serialize().hex())

    def tx_raw(self, txid: str) -> Response:
        """Return a transaction's bytes."""
        return octets(self._chain.txs.record(read_hash(txid)).tx.serialize())

    def tx_status(self, txid: str) -> Response:
        """Return whether a transaction is confirmed, and where."""
        record = self._chain.txs.find(read_hash(txid))
        return json(esplora_json.status_json(record.block if record else None))

    def tx_merkle_proof(self, txid: str) -> Response:
        """Return the siblings on a transaction's way to its block's merkle root, as electrum servers do."""
        proof = self._chain.txs.proof(read_hash(txid))
        branch = [display_hash(node) for node in branch_of(proof.tree, proof.position)]
        return json({"block_height": proof.block.height, "merkle": branch, "pos": proof.position})

    def tx_merkle_block_proof(self, txid: str) -> Response:
        """Return the merkle block that proves a transaction, in hex (BIP37, bitcoind's gettxoutproof)."""
        proof = self._chain.txs.proof(read_hash(txid))
        return plain(encode_proof(proof.block.header, proof.tree, {read_hash(txid)}).hex())

    def tx_outspend(self, txid: str, vout: str) -> Response:
        """Return what spends an output."""
        index = read_number(vout)
        if index > MAX_VOUT:
            raise RequestError(400, "Invalid number")
        return json(esplora_json.found_outspend_json(self._chain.txs.outspend(OutPoint(read_hash(txid), index))))

    def tx_outspends(self, txid: str) -> Response:
        """Return what spends each output of a transaction."""
        return json([esplora_json.found_outspend_json(found) for found in self._chain.txs.outspends(read_hash(txid))])

    def post_tx(self) -> Response:
        """Take a raw transaction in hex and return its txid once it is in the pool."""
        return plain(submit(self._broker, request.get_data().decode("utf-8", "replace")))

    def broadcast(self) -> Response:
        """Do the same as `post_tx` for old clients that send `?tx=`."""
        if "tx" not in request.args:
            raise RequestError(400, "Missing tx")
        return plain(submit(self._broker, request.args["tx"]))

    # ── addresses and script hashes ─────────────────────────────────────────────────────────────────────────────

    def script(self, kind: str, name: str) -> Response:
        """Return the counters of an address or script hash."""
        confirmed, unconfirmed = self._chain.scripts.stats(read_script(kind, name, self._prefix))
        stats = {
            "chain_stats": esplora_json.stats_json(confirmed),
            "mempool_stats": esplora_json.stats_json(unconfirmed),
        }
        return json({kind: name, **stats})

    def address(self, name: str) -> Response:
        """Return the counters of an address."""
        return self.script("address", name)

    def script_hash(self, name: str) -> Response:
        """Return the counters of a script hash."""
        return self.script("scripthash", name)

    def script_chain_txs(self, kind: str, name: str, last: str = "") -> Response:
        """Return 25 confirmed transactions, or `max_txs`, newest first, after the last txid of the page before."""
        script = read_script(kind, name, self._prefix)
        count = read_count(request.args.get("max_txs"), TXS_PER_PAGE, MAX_TXS)
        try:
            after = read_hash(last)
        except RequestError:
            return self._txs(self._chain.scripts.txs(script, 0, count))
        return self._txs(self._chain.scripts.txs(script, 0, count, after))

    def script_pool_txs(self, kind: str, name: str) -> Response:
        """Return up to 50 unconfirmed transactions, or `max_txs`, newest first."""
        count = read_count(request.args.get("max_txs"), POOL_TXS_PER_PAGE, MAX_TXS)
        return self._txs(self._chain.scripts.txs(read_script(kind, name, self._prefix), count, 0))

    def script_unspent(self, kind: str, name: str) -> Response:
        """Return the unspent outputs, less those that the pool spends; at most 20,000."""
        found = self._chain.scripts.unspent(read_script(kind, name, self._prefix), MAX_COINS)
        if found is None:
            raise too_many_coins(MAX_COINS)
        return json([esplora_json.unspent_json(coin.outpoint, coin.output.value, block) for coin, block in found])

    def addresses(self, start: str) -> Response:
        """Return up to ten known addresses that begin with a text."""
        scripts = self._chain.scripts.within(read_script_ranges(start, self._prefix), ADDRESSES_FOUND)
        return json(sorted(filter(None, (encode_address(script, self._prefix) for script in scripts))))

    def _txs(self, infos: list[TxInfo]) -> Response:
        return json([esplora_json.tx_json(info, self._prefix) for info in infos])

    # ── the pool ────────────────────────────────────────────────────────────────────────────────────────────────

    def pool(self) -> Response:
        """Return the pool's totals and its feerates."""
        return json(self._chain.pool.derive(_pool_json))

    def pool_txids(self) -> Response:
        """Return every unconfirmed txid."""
        return json([display_hash(txid) for txid in self._chain.pool.txids()])

    def pool_recent(self) -> Response:
        """Return the ten transactions that entered the pool last."""
        records = self._chain.pool.newest(RECENT_TXS)
        return json([esplora_json.recent_json(record.tx, record.pool) for record in records if record.pool])

    def fee_estimates(self) -> Response:
        """Return the feerate for each number of blocks to wait."""
        return json(self._chain.pool.derive(fee_estimates))

    def block_template(self) -> Response:
        """Return what the next block would be made of, as bitcoind's getblocktemplate."""
        return json(ask_template(self._broker))

    # ── routes ──────────────────────────────────────────────────────────────────────────────────────────────────

    def routes(self) -> tuple[Route, ...]:
        """Return every resource under its path."""
        return (
            Route("/blocks/tip/hash", self.tip_hash),
            Route("/blocks/tip/height", self.tip_height),
            Route("/blocks/", self.blocks),
            Route("/blocks/<start>", self.blocks),
            Route("/block-height/<height>", self.block_at),
            Route("/block/<block_hash>", self.block),
            Route("/block/<block_hash>/header", self.block_header),
            Route("/block/<block_hash>/raw", self.block_raw),
            Route("/block/<block_hash>/status", self.block_status),
            Route("/block/<block_hash>/txids", self.block_txids),
            Route("/block/<block_hash>/txid/<index>", self.block_txid),
            Route("/block/<block_hash>/txs/", self.block_txs),
            Route("/block/<block_hash>/txs/<start>", self.block_txs),
            Route("/tx/<txid>", self.tx),
            Route("/tx/<txid>/hex", self.tx_hex),
            Route("/tx/<txid>/raw", self.tx_raw),
            Route("/tx/<txid>/status", self.tx_status),
            Route("/tx/<txid>/merkle-proof", self.tx_merkle_proof),
            Route("/tx/<txid>/merkleblock-proof", self.tx_merkle_block_proof),
            Route("/tx/<txid>/outspend/<vout>", self.tx_outspend),
            Route("/tx/<txid>/outspends", self.tx_outspends),
            Route("/tx", self.post_tx, "POST"),
            Route("/broadcast", self.broadcast),
            Route(f"/{SCRIPT}", self.script),
            Route(f"/{SCRIPT}/txs/chain/", self.script_chain_txs),
            Route(f"/{SCRIPT}/txs/chain/<last>", self.script_chain_txs),
            Route(f"/{SCRIPT}/txs/mempool", self.script_pool_txs),
            Route(f"/{SCRIPT}/utxo", self.script_unspent),
            Route("/address-prefix/<start>", self.addresses),
            Route("/mempool", self.pool),
            Route("/mempool/txids", self.pool_txids),
            Route("/mempool/recent", self.pool_recent),
            Route("/fee-estimates", self.fee_estimates),
            Route("/block-template", self.block_template),
        )


def _pool_json(pool: Sequence[PoolFee]) -> dict[str, Any]:
    return {
        "count": len(pool),
        "vsize": sum(item.vsize for item in pool),
        "total_fee": sum(item.fee for item in pool),
        "fee_histogram": fee_histogram(pool),
    }
