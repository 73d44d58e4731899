"""The writer's state in memory: block tree, pool, jobs. It always equals the committed state, or is loaded anew.

Handlers compute a change, `commit` it, and only then apply it to the state. After a commit with an unknown outcome
`load` reads everything from Redis again: that is the only repair.
"""

from __future__ import annotations

import logging
import time

from services.mempool import mining_job
from services.mempool.block_tree import BlockTree, Branch
from services.mempool.mining_job import Jobs
from services.mempool.pool.acceptance import AcceptContext, Acceptor
from services.mempool.pool.orphanage import Orphanage
from services.mempool.pool.pool import Pool
from services.mempool.pool.script_cache import Verifier
from shared.chain.codec import BlockEntry
from shared.chain.commit import Committer, Delta, PoolRecord
from shared.chain.genesis import genesis_delta
from shared.chain.overlay import CoinSource, Overlay
from shared.chain.redis_keys import Keys
from shared.chain.store import StoreClient
from shared.chain.view import ChainView
from shared.consensus.params import ChainParams
from shared.errors import UnsafeStore
from shared.logs import with_fields
from shared.mining_mode import MiningSetting

log = logging.getLogger(__name__)


class NodeState:
    """The validating node's state, for one epoch of writing."""

    tree: BlockTree
    pool: Pool
    jobs: Jobs
    mining: MiningSetting
    """The mode of mining and its payee; an order sets another object, equal or not."""
    prioritised: dict[bytes, int]
    """Txid → fee delta in satoshis."""
    next_sequence: int
    """Order of entry of the next transaction that enters the pool."""

    def __init__(self, client: StoreClient, keys: Keys, params: ChainParams) -> None:
        self._redis = client
        self._keys = keys
        self.params = params
        self.view = ChainView(client, keys)
        self.verifier = Verifier()
        self.orphans = Orphanage()
        self._clock: int | None = None

    def load(self, epoch: int) -> None:
        """Read everything from Redis, to write with this epoch; a new chain gets its genesis block."""
        if not self.view.has_chain():
            self._committer = Committer(self._redis, self._keys, epoch, b"", 0)
            self._committer.commit(genesis_delta(self.params, self.view.txs))
        tip = self.view.tip()
        self._committer = Committer(self._redis, self._keys, epoch, tip.hash, tip.seq)
        self._committer.confirm()  # the replicas may lack what a writer committed that died or gave up waiting for them
        if self.view.block_hash(0) != self.params.genesis.hash:
            raise UnsafeStore(f"this Redis holds another chain by the name of {self.params.name}")
        self.tree = BlockTree(self.view.blocks.all_entries(), tip.hash)
        self.prioritised = self.view.pool.prioritised()
        self._clock = self.view.clock()
        self.mining = self.view.mining()
        self._load_pool()
        stored: dict[bytes, bytes] = self._redis.hgetall(self._keys.jobs)  # type: ignore[assignment]
        self.jobs = Jobs(map(mining_job.decode, stored.values()))
        log.info("chain loaded", extra=with_fields(height=tip.height, pool=len(self.pool), epoch=epoch))

    def commit(self, delta: Delta) -> None:
        """Write one change. After any error call `load` before anything else."""
        delta.time = self.now()
        self._committer.commit(delta)

    def acceptor(self, pool: Pool | None = None, coins: CoinSource | None = None) -> Acceptor:
        """Return an acceptor for the block after the tip; a reorganisation passes its own pool and coins."""
        context = self.context(self.tree.tip, Overlay(self.view.txs) if coins is None else coins)
        return Acceptor(context, self.pool if pool is None else pool, self.verifier)

    def context(self, tip: BlockEntry, coins: CoinSource) -> AcceptContext:
        """Return the facts that acceptance needs about the chain that ends with `tip`."""
        return AcceptContext(
            params=self.params,
            coins=coins,
            mtp_at=Branch(self.tree, tip).median_time_at,
            height=tip.height + 1,
            median_time_past=self.tree.median_time_past(tip),
            now=self.now(),
            prioritised=self.prioritised,
        )

    def take_sequence(self) -> int:
        """Return the next order of entry."""
        self.next_sequence += 1
        return self.next_sequence - 1

    def now(self) -> int:
        """Return the time in seconds since 1970 by the node's clock, which an operator may have stopped."""
        return int(time.time()) if self._clock is None else self._clock

    def set_clock(self, seconds: int) -> None:
        """Stop the clock at a time in seconds since 1970; 0 lets it run."""
        self._clock = seconds or None

    def prioritise(self, txid: bytes, delta: int) -> None:
        """Set the fee delta of a transaction in satoshis; 0 removes it."""
        if delta:
            self.prioritised[txid] = delta
        else:
            self.prioritised.pop(txid, None)
        self.pool.reprioritise(txid)

    def _load_pool(self) -> None:
        stored, spends = self.view.pool.stored()
        self.pool = Pool.stored(map(PoolRecord.stored, stored), spends, self.prioritised)
        self.next_sequence = 1 + max((tx.entry.sequence for tx in stored), default=0)
