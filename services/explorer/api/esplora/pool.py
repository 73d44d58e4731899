"""Esplora's resources of the pool, of fees and of the next block."""

from __future__ import annotations

from bisect import bisect_right
from typing import Annotated

from msgspec import Meta

from services.explorer.api.esplora.answers import PoolSummary, RecentTransaction
from services.explorer.api.esplora.build import recent_of
from services.explorer.api.fields import TXID_EXAMPLE, Feerate, Txid
from services.explorer.api.operation import HEX_ERRORS, LAST_TXID, Operation, query
from services.explorer.api.parameters import read_count, read_hash
from services.explorer.api.submit import ask_template
from services.explorer.chain.fee_estimates import TARGETS, PoolFees, fee_estimates, fee_histogram
from services.explorer.chain.queries import ChainQueries
from shared.bus.broker import Broker
from shared.bus.events import WorkTemplate
from shared.primitives.hex import display_hash

RECENT_TXS = 10
MAX_TXIDS = 10_000
"""Txids of one page of the pool."""

FeeEstimates = Annotated[
    dict[str, Feerate],
    Meta(
        min_length=len(TARGETS),
        max_length=len(TARGETS),
        description="Blocks to wait → satoshis per virtual byte",
        examples=[{str(target): 1.5 for target in TARGETS}],
    ),
]
TemplateAnswer = Annotated[
    WorkTemplate,
    Meta(
        description="As bitcoind's getblocktemplate (BIP22, BIP23, BIP145)",
        examples=[
            {
                "capabilities": ["proposal"],
                "version": 536870912,
                "rules": ["csv", "!segwit", "taproot"],
                "vbavailable": {},
                "vbrequired": 0,
                "previousblockhash": "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
                "transactions": [
                    {
                        "data": "02000000…",
                        "txid": TXID_EXAMPLE,
                        "hash": TXID_EXAMPLE,
                        "depends": [],
                        "fee": 141,
                        "sigops": 1,
                        "weight": 561,
                    }
                ],
                "coinbaseaux": {},
                "coinbasevalue": 5_000_000_141,
                "longpollid": "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e22067",
                "target": "7fffff" + "00" * 29,
                "mintime": 1296688603,
                "mutable": ["time", "transactions", "prevblock"],
                "noncerange": "00000000ffffffff",
                "sigoplimit": 80_000,
                "sizelimit": 4_000_000,
                "weightlimit": 4_000_000,
                "curtime": 1296689202,
                "bits": "207fffff",
                "height": 1,
                "default_witness_commitment": "6a24aa21a9ed" + "00" * 32,
            }
        ],
    ),
]


class PoolResources:
    """Reads the pool; `block_template` asks the mempool service."""

    def __init__(self, chain: ChainQueries, broker: Broker) -> None:
        self._chain = chain
        self._broker = broker

    def totals(self) -> PoolSummary:
        """Return the pool's totals and its feerates."""
        return self._chain.pool.derive(_totals)

    def txids(self) -> list[Txid]:
        """Return every unconfirmed txid, newest first."""
        return [display_hash(txid) for txid in self._chain.pool.txids()]

    def txid_page(self, last: str = "", max_txs: str | None = None) -> list[Txid]:
        """Return a page of the pool's txids in the order of their bytes, so that arrivals shift no page."""
        count = read_count(max_txs, MAX_TXIDS, MAX_TXIDS)
        txids = sorted(self._chain.pool.txids())
        start = bisect_right(txids, read_hash(last)) if last else 0
        return [display_hash(txid) for txid in txids[start : start + count]]

    def recent(self) -> list[RecentTransaction]:
        """Return the ten transactions that entered the pool last."""
        return [recent_of(record.tx, record.pool) for record in self._chain.pool.newest(RECENT_TXS) if record.pool]

    def fee_estimates(self) -> FeeEstimates:
        """Return the feerate for each number of blocks to wait."""
        return self._chain.pool.derive(fee_estimates)

    async def block_template(self) -> TemplateAnswer:
        """Return a template of the next block, as bitcoind's getblocktemplate."""
        return await ask_template(self._broker)


def _totals(pool: PoolFees) -> PoolSummary:
    count = len(pool)
    return PoolSummary(count, pool.vsize(0, count), pool.fees(0, count), fee_histogram(pool))


_GROUP = "Pool and fees"
_MAX_TXS = query("max_txs", "How many, at most 10,000; a text that is not a number changes nothing", sample="100")

OPERATIONS = (
    Operation("/mempool", PoolResources.totals, _GROUP, "Totals and feerates of the pool", "Pool"),
    Operation("/mempool/txids", PoolResources.txids, _GROUP, "All txids, newest first", "Txids"),
    Operation(
        "/mempool/txids/page",
        PoolResources.txid_page,
        _GROUP,
        "The first page of txids, in the order of their bytes",
        "Txids",
        (_MAX_TXS,),
    ),
    Operation(
        "/mempool/txids/page/{last}",
        PoolResources.txid_page,
        _GROUP,
        "The page after it",
        "Txids",
        (LAST_TXID, _MAX_TXS),
        HEX_ERRORS,
        about="Transactions that come and go meanwhile shift no page.",
    ),
    Operation("/mempool/recent", PoolResources.recent, _GROUP, "The last ten transactions", "Newest first"),
    Operation(
        "/fee-estimates",
        PoolResources.fee_estimates,
        _GROUP,
        "Feerates to be mined within so many blocks",
        "Always for all of these targets; 0.1, the least that is relayed, where blocks have room",
    ),
    Operation(
        "/block-template",
        PoolResources.block_template,
        _GROUP,
        "A template of the next block",
        "bitcoind's getblocktemplate",
        about="For miners; send the solved block to `submitblock` of the JSON-RPC.",
    ),
)
