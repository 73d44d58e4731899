"""Mining requests, the templates that go out for them or for the mining mode, and the solutions that come back.

One request is served at a time, oldest first; the mining mode (`schedule`) gets its blocks while none is open. Every
miner gets one template (`offers`) and searches a space of its own.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from services.mempool import mining_job
from services.mempool.block_tree import Branch
from services.mempool.blocks.accept_block import accept_block, accept_blocks, check_on_tip, propose
from services.mempool.mining import template
from services.mempool.mining.next_blocks import has_easy_blocks, next_blocks, next_solved
from services.mempool.mining.offers import Offers
from services.mempool.mining.schedule import Schedule
from services.mempool.mining.select_txs import CHOICE_REFUSED, chosen_txs, select_txs
from services.mempool.mining.template import Template
from services.mempool.mining.workers import Workers
from services.mempool.mining_job import MiningJob
from services.mempool.state import NodeState
from shared import trace
from shared.bus.broker import Broker, ReplyAddress
from shared.bus.events import BlockMined, BlockVerdict, MineRequested, MineResult, NextBlock
from shared.chain.commit import Delta
from shared.consensus.limits import MAX_BLOCK_WEIGHT
from shared.consensus.pow import next_bits
from shared.consensus.subsidy import block_subsidy
from shared.errors import BrokerError, DecodeError, ValidationError
from shared.logs import with_fields
from shared.primitives.block import Block
from shared.primitives.hex import parse_hex
from shared.primitives.transaction import Transaction
from shared.reasons import Reason
from shared.script.script import MAX_SCRIPT_SIZE

log = logging.getLogger(__name__)

MAX_COUNT = 10_000
"""The most blocks of one request."""
KEEP_TEMPLATES = 16


class Mining:
    """The writer's mining requests and its mining mode, with the templates for them."""

    def __init__(self, node: NodeState, broker: Broker, timeout: float, workers: Workers | None = None) -> None:
        self._node = node
        self._broker = broker
        self._timeout = timeout
        self._schedule = Schedule(node)
        self._offers = Offers(broker, workers or Workers())
        self._templates: OrderedDict[str, Template] = OrderedDict()
        self._built_on = object()

    def request(self, message: MineRequested, message_id: str, reply_address: ReplyAddress | None) -> MineResult | None:
        """Store a request as a job, to which `tick` replies later; an impossible request is refused at once."""
        if (known := self._known(message_id, reply_address)) is not None:
            log.info("mining request came again", extra=with_fields(message_id=message_id))
            if known.finished:
                return known.result()  # its requester may have left the place where the answer went
            if reply_address is not None and reply_address != known.reply_address:
                self._store(msgspec.structs.replace(known, reply_address=reply_address))
            return None
        try:
            script = parse_hex(message.script_pubkey, "script_pubkey")
        except DecodeError as error:
            return MineResult(hashes=(), error=str(error))
        if len(script) > MAX_SCRIPT_SIZE:
            return MineResult(hashes=(), error=f"script_pubkey is longer than {MAX_SCRIPT_SIZE} bytes")
        if not 1 <= message.count <= MAX_COUNT:
            return MineResult(hashes=(), error=f"count must be from 1 to {MAX_COUNT}")
        txs: list[Transaction] | None = None
        if message.txs is not None:
            if message.count != 1:
                return MineResult(hashes=(), error="transactions are chosen for one block only")
            try:
                txs = chosen_txs(self._node, message.txs)
                check_on_tip(self._node, self._template("", script, txs).unsolved())
            except DecodeError as error:
                return MineResult(hashes=(), error=str(error))
            except ValidationError as error:
                return MineResult(hashes=(), error=f"{CHOICE_REFUSED}: {error}")
        now = int(time.time())
        job = MiningJob(
            id=message_id,
            script_pubkey=message.script_pubkey,
            remaining=message.count,
            txs=None if txs is None else tuple(tx.serialize() for tx in txs),
            reply_address=reply_address,
            created=now,
            deadline=now + int(self._timeout),
            traceparent=trace.current(),
        )
        self._store(job)
        log.info("blocks requested", extra=with_fields(count=job.remaining))
        return None

    def _known(self, message_id: str, reply_address: ReplyAddress | None) -> MiningJob | None:
        """Return the job of a request that comes again: redelivered, or asked again with its correlation id."""
        again = reply_address.correlation_id if reply_address is not None else ""
        return self._node.jobs.get(message_id) or self._node.jobs.get(again)

    def solution(self, message: BlockMined) -> BlockVerdict:
        """Check a miner's solution, or a whole block, and commit its consequences."""
        try:
            if message.block is not None:
                _check_size(message.block)
                block = message.parsed or Block.parse(parse_hex(message.block, "block"))
                return propose(self._node, block) if message.test_only else self._whole(block)
            return self._solved(message)
        except DecodeError as error:
            log.info("block refused", extra=with_fields(reason="Block decode failed", detail=str(error)))
            return BlockVerdict(hash="", accepted=False, reason="Block decode failed", detail=str(error))
        except ValidationError as error:
            return BlockVerdict(hash="", accepted=False, reason=error.reject_reason, detail=error.detail)

    def tick(self) -> None:
        """Reply to finished and overdue jobs, drop old ones, publish a template for the oldest open job or the mode."""
        now = int(time.time())
        for job in self._node.jobs.overdue(now):
            error = f"no miner found the next block in time; {job.remaining} blocks are missing"
            self._store(msgspec.structs.replace(job, error=error))
        try:
            self._answer(now)
            self._publish()
        except BrokerError as error:
            log.warning("mining waits: %s", error)

    def forget(self) -> None:
        """Drop all templates, after the node was loaded anew."""
        self._templates.clear()
        self._offers.drop()
        self._schedule.restart()

    def _solved(self, message: BlockMined) -> BlockVerdict:
        solved = self._templates.get(message.template_id or "")
        if solved is None:
            raise ValidationError(Reason.STALE_WORK, "no such template, or one from long ago")
        header = parse_hex(message.header or "", "header")
        coinbase = parse_hex(message.coinbase or "", "coinbase")
        block = solved.complete(header, coinbase)
        if block.header.prev_hash != self._node.tree.tip.hash:
            raise ValidationError(Reason.STALE_PREVBLK, "the chain has moved on")
        if self._schedule.wants(solved.job_id):
            return self._join([(block, None)], message.miner, solved)
        job = self._node.jobs.get(solved.job_id)
        if job is None or job.finished:
            raise ValidationError(Reason.STALE_WORK, "the mining request is finished")
        blocks = [block, *next_solved(block, message.next_blocks)][: job.remaining]
        with trace.within(job.traceparent or trace.current()):
            jobs = job.with_blocks([block.hash_hex for block in blocks])
            return self._join(list(zip(blocks, jobs, strict=True)), message.miner, solved)

    def _whole(self, block: Block) -> BlockVerdict:
        """Commit a block that somebody made without a template of ours."""
        verdict = accept_block(self._node, block)
        fields = with_fields(hash=verdict.hash, reason=verdict.reason)
        log.info("block accepted" if verdict.accepted else "block refused", extra=fields)
        return verdict

    def _join(self, found: Sequence[tuple[Block, MiningJob | None]], miner: str, solved: Template) -> BlockVerdict:
        """Commit blocks that were found for a job, each with the job after it, or one for the mining mode.

        Return the verdict on the first.
        """
        changes = [(block, {job.id: mining_job.encode(job)} if job else {}) for block, job in found]
        verdicts = accept_blocks(self._node, changes)
        if verdicts[0].accepted:
            self._offers.solved(solved, miner)
        for height, (verdict, (_, job)) in enumerate(zip(verdicts, found, strict=False), solved.message.height):
            if not verdict.accepted:
                log.warning(
                    "solution refused",
                    extra=with_fields(reason=verdict.reason, detail=verdict.detail, miner=miner),
                )
                break
            if job:
                self._node.jobs.put(job)
            else:
                self._schedule.done(time.monotonic())
            log.info("block connected", extra=with_fields(height=height, hash=verdict.hash, miner=miner))
        return verdicts[0]

    def _store(self, job: MiningJob) -> None:
        self._node.commit(Delta(jobs={job.id: mining_job.encode(job)}))
        self._node.jobs.put(job)

    def _answer(self, now: int) -> None:
        jobs = self._node.jobs
        waiting = jobs.unanswered()
        replies = [(job.reply_address, job.result()) for job in waiting if job.reply_address is not None]
        if replies:
            self._broker.reply_many(replies)
        changes: dict[str, bytes | None] = {}
        for job in waiting:
            answered = msgspec.structs.replace(job, answered=True)
            jobs.put(answered)
            changes[job.id] = mining_job.encode(answered)
        for job_id in jobs.take_old(now):
            changes[job_id] = None
        if changes:
            self._node.commit(Delta(jobs=changes))

    def _publish(self) -> None:
        now = time.monotonic()
        job = self._node.jobs.oldest_open()
        is_due = self._schedule.is_due(now)
        if job is None and not is_due:
            self._offers.end(now)
            return
        current = self._offers.current
        job_id = job.id if job else self._schedule.id
        if (
            current is None
            or current.job_id != job_id
            or current.previous_hash != self._node.tree.tip.hash
            or (self._offers.may_change(now) and self._is_outdated(current))
        ):
            current = self._build(job, now)
        if current is None:
            return
        with trace.within(job.traceparent if job else trace.new()):
            self._offers.publish(now)

    def _is_outdated(self, current: Template) -> bool:
        """Whether the pool has moved on, or the difficulty, which falls on some chains when no block is found."""
        return self._built_on is not self._node.pool.state or current.message.bits != self._bits(self._block_time())

    def _build(self, job: MiningJob | None, now: float) -> Template | None:
        """Return a new template for a job or the mode; None if there is no block for it to make."""
        built = self._for_job(job) if job else self._for_mode(now)
        if built is None:
            return None
        current = self._offers.take(built)
        self._built_on = self._node.pool.state
        self._templates[current.message.id] = current
        while len(self._templates) > KEEP_TEMPLATES:
            self._templates.popitem(last=False)
        return current

    def _for_job(self, job: MiningJob) -> Template | None:
        """Return a new template for a job; None if its transactions can no longer be in the next block."""
        script = bytes.fromhex(job.script_pubkey)
        txs = None if job.txs is None else [Transaction.parse(raw) for raw in job.txs]
        built = self._template(job.id, script, txs, more=job.remaining - 1)
        if txs is not None:
            try:
                check_on_tip(self._node, built.unsolved())
            except ValidationError as error:
                self._store(msgspec.structs.replace(job, error=f"{CHOICE_REFUSED}: {error}"))
                return None
        return built

    def _for_mode(self, now: float) -> Template | None:
        """Return a new template for the mining mode; None if it would be empty and the mode skips empty blocks."""
        setting = self._node.mining
        built = self._template(self._schedule.id, setting.script_pubkey, None)
        if setting.mode.skip_empty and not built.txs:
            self._schedule.done(now)
            return None
        return built

    def _template(
        self, job_id: str, script_pubkey: bytes, txs: Sequence[Transaction] | None, more: int = 0
    ) -> Template:
        """Return a template on the tip, with these transactions or the best of the pool.

        The fees of named transactions are not claimed, as in Core's generateblock. `more` blocks are wanted after it.
        """
        node = self._node
        tip = node.tree.tip
        height = tip.height + 1
        fees = 0
        if txs is None:
            chosen = select_txs(node.pool)
            txs = [item.tx for item in chosen]
            fees = sum(item.entry.fee for item in chosen)
        block_time = self._block_time()
        following: tuple[NextBlock, ...] = ()
        if more and has_easy_blocks(node.params):
            times = [*node.tree.last_times(tip), block_time]
            following = next_blocks(more, height, times, script_pubkey, node.now(), node.params)
        return template.build(
            job_id=job_id,
            txs=txs,
            reward=block_subsidy(height, node.params) + fees,
            script_pubkey=script_pubkey,
            height=height,
            previous_hash=tip.hash,
            bits=self._bits(block_time),
            time=block_time,
            min_time=node.tree.median_time_past(tip) + 1,
            next_blocks=following,
        )

    def _block_time(self) -> int:
        tree = self._node.tree
        return max(self._node.now(), tree.median_time_past(tree.tip) + 1)

    def _bits(self, block_time: int) -> int:
        tree = self._node.tree
        return next_bits(Branch(tree, tree.tip), tree.tip.height + 1, block_time, self._node.params)


def _check_size(block_hex: str) -> None:
    if len(block_hex) > 2 * MAX_BLOCK_WEIGHT:
        raise DecodeError(f"a block of {len(block_hex) // 2} bytes is over the limit of {MAX_BLOCK_WEIGHT}")
