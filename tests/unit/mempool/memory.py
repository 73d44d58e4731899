"""A writer's node without Redis: commits change dictionaries, and are kept for tests to inspect.

It stores blocks, undo data and coins of each commit, so that a reorganisation can read them back.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.mempool.block_tree import BlockTree
from services.mempool.blocks.accept_block import accept_block
from services.mempool.mining_job import Jobs
from services.mempool.pool.orphanage import Orphanage
from services.mempool.pool.pool import Pool
from services.mempool.pool.script_cache import Verifier
from services.mempool.state import NodeState
from services.mempool.transactions.submit import submit
from shared import trace
from shared.bus.events import BlockVerdict, TxSubmitted, TxVerdict, TxVerdicts
from shared.chain import codec
from shared.chain.codec import BlockEntry, BlockStatus
from shared.chain.commit import Delta, PoolRecord
from shared.consensus.params import REGTEST, ChainParams
from shared.consensus.pow import block_work
from shared.crypto.keys import PrivateKey
from shared.mining_mode import MANUAL
from shared.primitives.block import Block
from shared.primitives.coin import Coin
from shared.primitives.transaction import OutPoint, Transaction, TxOut
from tests.builders import Spendable, key, make_block, output_of, p2wpkh, spend

NOW = REGTEST.genesis.header.time + 100_000
"""The clock of every node here stands still."""
ALICE, BOB, MINER = key("alice"), key("bob"), key("miner")


class MemoryView:
    """Committed state in dictionaries: as much of a `ChainView` as the writer reads."""

    def __init__(self) -> None:
        self.unspent: dict[OutPoint, Coin] = {}
        self.raw_blocks: dict[bytes, Block] = {}
        self.raw_undos: dict[bytes, bytes] = {}
        self.pool: dict[bytes, PoolRecord] = {}
        self.blocks = self.txs = self

    def coins(self, outpoints: Sequence[OutPoint]) -> list[Coin | None]:
        return [self.unspent.get(outpoint) for outpoint in outpoints]

    def get(self, block_hash: bytes) -> Block | None:
        return self.raw_blocks.get(block_hash)

    def get_many(self, hashes: Sequence[bytes]) -> list[Block | None]:
        return [self.raw_blocks.get(block_hash) for block_hash in hashes]

    def undos(self, hashes: Sequence[bytes]) -> list[list[list[Coin]] | None]:
        return [codec.decode_undo(self.raw_undos[key]) if key in self.raw_undos else None for key in hashes]

    def pool_in_order(self) -> list[bytes]:
        """Txids by the order of entry that is stored, as the next writer would load them."""
        return [txid for txid, _ in sorted(self.pool.items(), key=lambda item: item[1].entry.sequence)]

    def apply(self, delta: Delta) -> None:
        if delta.overlay is not None:
            for outpoint, coin in delta.overlay.coin_changes().items():
                if coin is None:
                    del self.unspent[outpoint]
                else:
                    self.unspent[outpoint] = coin
        self.raw_blocks |= {block_hash: Block.parse(raw) for block_hash, raw in delta.blocks.items()}
        self.raw_undos |= delta.undo
        for record in delta.pool_removed:
            del self.pool[record.tx.txid]
        for record in delta.pool_added:
            assert record.tx.txid not in self.pool
            self.pool[record.tx.txid] = record


def links(pool: Pool) -> dict[bytes, tuple[set[bytes], set[bytes]]]:
    """Return each transaction's parents and children in the pool, in its order."""
    txids = [item.tx.txid for item in pool]
    return {txid: (set(pool.graph.parents(txid)), set(pool.graph.children(txid))) for txid in txids}


class MemoryNode(NodeState):
    """A node on the genesis block, with as many coins as a test asks for."""

    view: MemoryView  # type: ignore[assignment]

    def __init__(self, params: ChainParams = REGTEST) -> None:
        self.params = params
        self.view = MemoryView()
        self.verifier = Verifier()
        self.orphans = Orphanage()
        genesis = params.genesis
        self.tree = BlockTree(
            [
                BlockEntry(
                    header=genesis.header,
                    height=0,
                    chain_work=block_work(genesis.header.bits),
                    status=BlockStatus.HAVE_DATA | BlockStatus.CONNECTED,
                    tx_count=1,
                    size=genesis.size,
                    weight=genesis.weight,
                    chain_tx_count=1,
                    arrival=0,
                )
            ],
            genesis.hash,
        )
        self.prioritised = {}
        self.pool = Pool(prioritised=self.prioritised)
        self.jobs = Jobs()
        self.mining = MANUAL
        self.next_sequence = 1
        self._clock = NOW
        self._coins = 0
        self.deltas: list[Delta] = []
        self.traces: list[str] = []
        """The traceparent of the work that each commit was part of."""

    def commit(self, delta: Delta) -> None:
        delta.time = self.now()
        self.view.apply(delta)
        self.deltas.append(delta)
        self.traces.append(trace.current())

    # ── short ways ──────────────────────────────────────────────────────────────────────────────────────────────

    def coin(self, value: int = 10_000_000, owner: PrivateKey = MINER) -> Spendable:
        """A confirmed coin from nowhere."""
        self._coins += 1
        outpoint = OutPoint(self._coins.to_bytes(32, "big"), 0)
        output = TxOut(value, p2wpkh(owner))
        self.view.unspent[outpoint] = Coin(output, 0, False)
        return Spendable(outpoint, output, owner)

    def coin_to(self, script_pubkey: bytes, value: int = 10_000_000) -> OutPoint:
        """Return a coin that any script locks."""
        outpoint = self.coin(value).outpoint
        self.view.unspent[outpoint] = Coin(TxOut(value, script_pubkey), 0, False)
        return outpoint

    def send(self, *txs: Transaction, test_only: bool = False, package: bool = False, **options) -> TxVerdicts:
        raw = tuple(tx.serialize().hex() for tx in txs)
        replies, _ = submit(self, [TxSubmitted(txs=raw, test_only=test_only, package=package, **options)])
        return replies[0]

    def send_one(self, tx: Transaction, **options) -> TxVerdict:
        return self.send(tx, **options).verdicts[0]

    def block(self, txs: Sequence[Transaction] = (), *, on: Block | None = None, **options) -> Block:
        """A block that the node has not seen, on its tip or on another."""
        prev = self.tree.tip if on is None else self.tree.get(on.hash)
        assert prev is not None
        return make_block(prev.header, prev.height + 1, p2wpkh(MINER), txs, **options)

    def accept_block(self, block: Block) -> BlockVerdict:
        return accept_block(self, block)

    def mine(self, txs: Sequence[Transaction] = (), **options) -> Block:
        block = self.block(txs, **options)
        verdict = self.accept_block(block)
        assert (verdict.accepted, verdict.reason) == (True, ""), verdict
        return block

    def branch(self, on: Block | None, length: int, tag: bytes = b"rival", **options) -> list[Block]:
        """Blocks that the node has not seen, above `on` or the genesis block."""
        entry = self.tree.get(self.params.genesis.hash if on is None else on.hash)
        assert entry is not None
        blocks: list[Block] = []
        header = entry.header
        for height in range(entry.height + 1, entry.height + 1 + length):
            first = options if not blocks else {}
            blocks.append(make_block(header, height, p2wpkh(MINER), tag=tag, **first))
            header = blocks[-1].header
        return blocks

    def state(self) -> tuple[object, ...]:
        """Return the state that a refusal must not change."""
        relatives = list(links(self.pool).items())
        return relatives, self.pool.vsize, self.tree.tip.hash, dict(self.view.pool), len(self.deltas)


def family(node: MemoryNode, length: int) -> list[Transaction]:
    """Return a chain of transactions, each spending the one before."""
    coin = node.coin(owner=ALICE)
    txs = []
    for _ in range(length):
        txs.append(spend([coin], [TxOut(coin.output.value - 1_000, p2wpkh(ALICE))]))
        coin = output_of(txs[-1], 0, ALICE)
    return txs
