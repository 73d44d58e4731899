"""The part of mempool.space's REST API that clients use, under `/api/v1`. Fields and their order are its."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from flask import Response, request

from services.explorer.api import esplora_json
from services.explorer.api.parameters import read_hash, read_number
from services.explorer.api.responses import Route, json
from services.explorer.chain.fee_estimates import (
    ProjectedBlock,
    feerate,
    precise_fees,
    projected_blocks,
    recommended_fees,
)
from services.explorer.chain.miner_names import miner_name
from services.explorer.chain.models import BlockInfo
from services.explorer.chain.queries import ChainQueries
from services.explorer.chain.rbf_trees import version_json
from services.explorer.chain.retarget import difficulty_adjustment
from services.explorer.errors import RequestError
from shared.chain.block_fees import RATES, median_feerate
from shared.chain.codec import BlockFees, PoolEntry
from shared.consensus.subsidy import block_subsidy
from shared.crypto.address import decode_address, encode_address
from shared.errors import DecodeError
from shared.pool.snapshot import PooledTx
from shared.primitives.hex import display_hash
from shared.primitives.transaction import WITNESS_SCALE_FACTOR, Transaction
from shared.script.standard import ScriptType, classify, witness_program

BLOCKS_PER_PAGE = 15
MAX_TXIDS = 1_000
_SCRIPT_HASHES = (ScriptType.SCRIPTHASH, ScriptType.WITNESS_V0_SCRIPTHASH)


class MempoolSpace:
    """The resources."""

    def __init__(
        self,
        chain: ChainQueries,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._chain = chain
        self._replacements = chain.replacements
        self._params = chain.params
        self._clock = clock

    def recommended(self) -> Response:
        """Return feerates to pay, in whole satoshis per virtual byte, never one below the next."""
        return json(self._chain.pool.derive(recommended_fees))

    def precise(self) -> Response:
        """Return the same feerates with up to three decimals."""
        return json(self._chain.pool.derive(precise_fees))

    def projected(self) -> Response:
        """Return the blocks that the pool's transactions would make, best payers first; the last has all the rest."""
        stats = self._chain.pool.stats()
        bytes_per_vbyte = stats.size / stats.vsize if stats.vsize else 1.0
        blocks = self._chain.pool.derive(projected_blocks)
        return json([_projected_json(block, bytes_per_vbyte) for block in blocks])

    def cpfp(self, txid: str) -> Response:
        """Return a transaction's unconfirmed relatives and the feerate by which a miner judges it."""
        tx_id = read_hash(txid)
        found = self._chain.pool.cpfp(tx_id)
        if found is None:
            info = self._chain.txs.get(tx_id)
            rate = info.fee / info.tx.vsize
            return json(_cpfp_json([], [], rate) | {"fee": info.fee, "adjustedVsize": info.tx.vsize})
        entry = found.entry
        shown = _cpfp_json(found.ancestors, found.descendants, found.feerate)
        return json(shown | {"sigops": entry.sigop_cost, "fee": entry.fee, "adjustedVsize": entry.vsize})

    def rbf(self, txid: str) -> Response:
        """Return the tree of replacements that a transaction is in, and the transactions that it replaced itself."""
        tx_id = read_hash(txid)
        tree = self._replacements.tree(tx_id)
        replaces = [display_hash(replaced) for replaced in self._replacements.replaces(tx_id)]
        return json({"replacements": version_json(tree) if tree else None, "replaces": replaces or None})

    def replacements(self) -> Response:
        """Return the trees of replacements that grew last, newest first."""
        return json([version_json(tree) for tree in self._replacements.latest()])

    def full_replacements(self) -> Response:
        """Return the same of those trees in which a transaction did not signal that it may be replaced."""
        return json([version_json(tree) for tree in self._replacements.latest(full_rbf_only=True)])

    def validate_address(self, address: str) -> Response:
        """Return whether an address is one of this chain, and what it stands for (Core's validateaddress)."""
        try:
            script = decode_address(address, self._params.address)
        except DecodeError as error:
            return json({"isvalid": False, "error_locations": [], "error": str(error)})
        program = witness_program(script)
        shown: dict[str, Any] = {
            "isvalid": True,
            "address": encode_address(script, self._params.address),
            "scriptPubKey": script.hex(),
            "isscript": classify(script)[0] in _SCRIPT_HASHES,
            "iswitness": program is not None,
        }
        if program is not None:
            shown |= {"witness_version": program[0], "witness_program": program[1].hex()}
        return json(shown)

    def difficulty_adjustment(self) -> Response:
        """Return how far the difficulty period has come, and the outlook."""
        return json(difficulty_adjustment(self._chain.blocks.period(), self._params, self._clock()))

    def blocks(self, start: str = "") -> Response:
        """Return 15 blocks with what their miners earned, newest first, from a height or the tip downwards."""
        return json(self._with_extras(self._chain.blocks.page(read_number(start) if start else None, BLOCKS_PER_PAGE)))

    def block(self, block_hash: str) -> Response:
        """Return one such block."""
        return json(self._with_extras([self._chain.blocks.get(read_hash(block_hash))])[0])

    def _with_extras(self, blocks: Sequence[BlockInfo]) -> list[dict[str, Any]]:
        hashes = [block.entry.hash for block in blocks]
        coinbases, fees = self._chain.blocks.coinbases(hashes), self._chain.blocks.fees(hashes)
        return [
            esplora_json.block_json(block) | {"extras": self._extras(block, coinbase, paid)}
            for block, coinbase, paid in zip(blocks, coinbases, fees, strict=True)
        ]

    def transaction_times(self) -> Response:
        """Return when transactions entered the pool, in seconds; 0 for those that are not there."""
        txids = [read_hash(txid) for txid in request.args.getlist("txId[]")]
        if len(txids) > MAX_TXIDS:
            raise RequestError(400, "Too many txids requested")
        return json(self._chain.pool.entry_times(txids))

    def routes(self) -> tuple[Route, ...]:
        """Return every resource under its path below `/api/v1`."""
        return (
            Route("/fees/recommended", self.recommended),
            Route("/fees/precise", self.precise),
            Route("/fees/mempool-blocks", self.projected),
            Route("/cpfp/<txid>", self.cpfp),
            Route("/tx/<txid>/rbf", self.rbf),
            Route("/replacements", self.replacements),
            Route("/fullrbf/replacements", self.full_replacements),
            Route("/validate-address/<address>", self.validate_address),
            Route("/difficulty-adjustment", self.difficulty_adjustment),
            Route("/blocks/", self.blocks),
            Route("/blocks/<start>", self.blocks),
            Route("/block/<block_hash>", self.block),
            Route("/transaction-times", self.transaction_times),
        )

    def _extras(self, block: BlockInfo, coinbase: Transaction, paid: BlockFees | None) -> dict[str, Any]:
        entry = block.entry
        reward = sum(output.value for output in coinbase.outputs)
        fees = max(0, reward - block_subsidy(entry.height, self._params)) if entry.height else 0
        rates = paid.feerates if paid else (0.0,) * RATES
        name = miner_name(coinbase.inputs[0].script_sig) or "Unknown"
        return {
            "totalFees": fees,
            "medianFee": median_feerate(rates),
            "feeRange": rates,
            "avgFee": fees // max(1, entry.tx_count - 1),
            "avgFeeRate": WITNESS_SCALE_FACTOR * fees // entry.weight,
            "reward": reward,
            "coinbaseRaw": coinbase.inputs[0].script_sig.hex(),
            "pool": {"id": 0, "name": name, "slug": name.lower()},
            "avgTxSize": round(entry.size / entry.tx_count, 2),
            "virtualSize": entry.weight / WITNESS_SCALE_FACTOR,
            "header": entry.header.serialize().hex(),
        }


def _projected_json(block: ProjectedBlock, bytes_per_vbyte: float) -> dict[str, Any]:
    return {
        "blockSize": round(block.vsize * bytes_per_vbyte),
        "blockVSize": block.vsize,
        "nTx": block.count,
        "totalFees": block.fees,
        "medianFee": block.median,
        "feeRange": block.rates,
    }


def _cpfp_json(
    above: Sequence[PooledTx[PoolEntry]], below: Sequence[PooledTx[PoolEntry]], rate: float
) -> dict[str, Any]:
    best = max(below, key=lambda pooled: feerate(pooled.entry), default=None)
    return {
        "ancestors": [_relative_json(*pooled) for pooled in above],
        "bestDescendant": _relative_json(*best) if best else None,
        "descendants": [_relative_json(*pooled) for pooled in below],
        "effectiveFeePerVsize": rate,
    }


def _relative_json(tx: Transaction, entry: PoolEntry) -> dict[str, Any]:
    return {"txid": display_hash(tx.txid), "fee": entry.fee, "weight": entry.weight}
