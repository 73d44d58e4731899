"""Builds a chain anew from a backup: the blocks are connected again, one after another, and give all indexes.

Restoring holds the writer's lease, so that no mempool service can write meanwhile, and every commit is fenced like the
writer's own. While it is at work the chain is marked as not whole (`codec.RESTORING`): services refuse it, and so after
an interruption the next restore removes it and begins again.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from deploy.backup.archive import Archive
from deploy.backup.records import BlockRecord, FileRecord, Header, header_of, records
from deploy.errors import LaunchError
from deploy.files import make_private_dir, write_atomically
from shared.chain import codec
from shared.chain.codec import BlockEntry, BlockStatus
from shared.chain.commit import Committer, Delta
from shared.chain.connect_block import connect_block, touched_by_connect
from shared.chain.genesis import genesis_delta
from shared.chain.kept_keys import OF_A_PROCESS, KeyPart, write_part
from shared.chain.lease import RENEW_EVERY, Lease
from shared.chain.overlay import Overlay
from shared.chain.redis_keys import Keys
from shared.chain.store import StoreClient
from shared.chain.view import ChainView
from shared.consensus.block_check import median_time_past
from shared.consensus.limits import MEDIAN_TIME_SPAN
from shared.consensus.params import ChainParams
from shared.errors import StaleWriter, ValidationError
from shared.primitives.block import Block
from shared.primitives.transaction import Transaction, TxOut
from shared.reasons import Reason
from shared.script.flags import Flags

BATCH_BLOCKS = 200
BATCH_TXS = 2_000
"""A commit takes about this many blocks or transactions, so that it stays far below the lease's time limit."""
_REMOVE = 1_000
Progress = Callable[[str], None]


def check(archive: Archive, params: ChainParams) -> Header:
    """Return the header of a backup of this chain; `LaunchError` for a backup of another one."""
    header = header_of(archive)
    if header.chain != params.name:
        raise LaunchError(f"this is a backup of the chain {header.chain}, not of {params.name}")
    if header.genesis != params.genesis.hash:
        raise LaunchError(f"this is a backup of another chain by the name of {params.name}: their first blocks differ")
    if header.stored != codec.FORMAT:
        raise LaunchError(
            f"this backup has values of format {header.stored}, and this version of Warren reads format "
            f"{codec.FORMAT}: restore it with version {header.warren}"
        )
    return header


def restore(
    client: StoreClient,
    params: ChainParams,
    chain_dir: Path,
    archive: Archive,
    *,
    replace: bool,
    progress: Progress = lambda text: None,
) -> Header:
    """Write the chain, its pool and its wallets, and return the backup's header.

    Raises `LaunchError`, with nothing changed, for a backup of another chain, while a mempool service writes to the
    chain, and where there is a chain already, unless `replace` says to remove it.
    """
    header = check(archive, params)
    target = _Target(client, params)
    with target.lease():
        target.check_free(chain_dir, archive, replace=replace)
        target.clear()
        rebuild = _Rebuild(target, params, header)
        for record in records(archive):
            if isinstance(record, BlockRecord):
                rebuild.add(record)
                progress(f"restoring block {rebuild.height} of {header.height}")
        rebuild.finish()
        progress("restoring pool and wallets")
        target.write_keys(record for record in records(archive) if isinstance(record, KeyPart))
        _write_files(chain_dir, archive)
        target.complete(header)
    return header


class _Target:
    """The chain's place in Redis, held by the writer's lease."""

    def __init__(self, client: StoreClient, params: ChainParams) -> None:
        self.client: Any = client
        self.keys = Keys(params.name)
        self.epoch = 0
        self._lease = Lease(client, self.keys)
        self._renew_at = 0.0

    @contextlib.contextmanager
    def lease(self) -> Iterator[None]:
        epoch = self._lease.take()
        if epoch is None:
            raise LaunchError("a mempool service writes to this chain: stop all services first")
        self.epoch = epoch
        try:
            yield
        finally:
            self._lease.release()

    def keep(self) -> None:
        """Renew the lease if it is time; raises `StaleWriter` if it is lost."""
        if time.monotonic() >= self._renew_at:
            self._renew_at = time.monotonic() + RENEW_EVERY
            if not self._lease.renew():
                raise StaleWriter("the lease is lost: another process writes to this chain")

    def check_free(self, chain_dir: Path, archive: Archive, *, replace: bool) -> None:
        """Raise `LaunchError` if there is a whole chain or a wallet's file here that must not be replaced."""
        if replace or self.client.hget(self.keys.tip, "format") == b"%d" % codec.RESTORING:
            return
        if next(self._names(), None) is not None:
            height = (self.client.hget(self.keys.tip, "height") or b"(unknown)").decode()
            raise LaunchError(f"there is a chain already, of height {height}: --force removes it and its wallets")
        for name, text in (record for record in records(archive) if isinstance(record, FileRecord)):
            path = chain_dir / name
            if path.is_file() and path.read_text(encoding="utf-8") != text:
                raise LaunchError(f"{path} is there already, and differs: --force replaces it")

    def clear(self) -> None:
        """Remove the chain and its wallets; until the end it is marked as not whole."""
        if self.client.exists(self.keys.tip):
            self.client.hset(self.keys.tip, "format", codec.RESTORING)
        last = {self.keys.tip.encode(), self.keys.heights.encode()}
        pipe = self.client.pipeline(transaction=False)
        for name in self._names():
            if name not in last:
                pipe.unlink(name)
            if len(pipe) >= _REMOVE:
                pipe.execute()
                self.keep()
        pipe.execute()
        self.client.delete(*last)

    def write_keys(self, parts: Iterable[KeyPart]) -> None:
        """Write the pool, the wallets, and everything else that does not follow from the blocks."""
        for part in parts:
            pipe = self.client.pipeline(transaction=False)
            write_part(pipe, self.keys, part)
            pipe.execute()
            self.keep()

    def complete(self, header: Header) -> None:
        """Make the chain whole: from now on services accept it."""
        state = {"seq": header.seq, "moves": header.moves, "format": codec.FORMAT}
        self.keep()
        self.client.hset(self.keys.tip, mapping=state)

    def _names(self) -> Iterator[bytes]:
        """Yield all keys of the chain except the lease."""
        kept = {(self.keys.prefix + name).encode() for name in OF_A_PROCESS}
        escaped = "".join(f"\\{char}" if char in "[]?*\\" else char for char in self.keys.prefix)
        yield from (name for name in self.client.scan_iter(match=f"{escaped}*", count=10_000) if name not in kept)


class _AlreadyVerified:
    """The scripts of a committed block ran when it was connected first; the checksum says that it is the same block."""

    def verify(self, tx: Transaction, spent: list[TxOut], flags: Flags, reason: Reason) -> None:
        """Accept."""


class _Waiting(NamedTuple):
    """A block of the best chain that is not connected yet."""

    entry: BlockEntry
    block: Block
    raw: bytes


class _Rebuild:
    """Connects the best chain's blocks in batches; stores all others as they are."""

    def __init__(self, target: _Target, params: ChainParams, header: Header) -> None:
        self.height = -1
        """Of the last block that was added to the best chain."""
        self._target = target
        self._params = params
        self._header = header
        self._view = ChainView(target.client, target.keys)
        self._committer = Committer(target.client, target.keys, target.epoch, b"", 0, codec.RESTORING)
        self._tip = bytes(32)
        self._times: list[int] = []
        self._waiting: list[_Waiting] = []
        self._txs = 0

    def add(self, record: BlockRecord) -> None:
        """Take the next block: first those of the best chain, from the genesis block on."""
        entry = codec.decode_block_entry(record.entry)
        if self.height == self._header.height:
            self._flush()
            self._store(entry, record)
            return
        if entry.header.prev_hash != self._tip or entry.height != self.height + 1:
            raise LaunchError(f"block {entry.header.hash_hex} of this backup does not follow on the one before")
        block = Block.parse(record.raw)
        self._waiting.append(_Waiting(entry, block, record.raw))
        self._txs += len(block.transactions)
        self.height, self._tip = entry.height, entry.hash
        if len(self._waiting) >= BATCH_BLOCKS or self._txs >= BATCH_TXS:
            self._flush()

    def finish(self) -> None:
        """Write what waits; raises `LaunchError` if the tip is not the backup's."""
        self._flush()
        if self._tip != self._header.tip:
            raise LaunchError("the blocks of this backup do not lead to its tip")

    def _flush(self) -> None:
        if not self._waiting:
            return
        self._target.keep()
        if self._waiting[0].entry.height == 0:
            self._genesis(self._waiting.pop(0).entry)
        if self._waiting:
            self._connect(self._waiting)
        self._waiting, self._txs = [], 0

    def _genesis(self, entry: BlockEntry) -> None:
        delta = genesis_delta(self._params, self._view.txs)
        delta.entries = [entry]
        self._times.append(entry.header.time)
        self._committer.commit(delta)

    def _connect(self, blocks: list[_Waiting]) -> None:
        overlay = Overlay(self._view.txs)
        overlay.prefetch(outpoint for _, block, _ in blocks for outpoint in touched_by_connect(block, self._params))
        first, last = blocks[0].entry, blocks[-1].entry
        delta = Delta(overlay=overlay, new_tip=last, first_height=first.height)
        for entry, block, raw in blocks:
            try:
                payments = connect_block(
                    overlay,
                    block,
                    entry.height,
                    self._params,
                    median_time_past=self._median_time_at(entry.height - 1),
                    mtp_at=self._median_time_at,
                    verifier=_AlreadyVerified(),
                )
            except ValidationError as error:
                raise LaunchError(f"block {entry.header.hash_hex} of this backup breaks a rule: {error}") from None
            stored = codec.store_block(block, payments.spent)
            overlay.locate(block, stored.locations)
            delta.undo[entry.hash] = stored.undo
            delta.layouts[entry.hash] = stored.layout
            delta.blocks[entry.hash] = raw
            self._times.append(entry.header.time)
        delta.best_chain = [waiting.entry.hash for waiting in blocks]
        delta.entries = [waiting.entry for waiting in blocks]
        self._committer.commit(delta)

    def _median_time_at(self, height: int) -> int:
        """Return the median time past of the best chain's block at a height."""
        return median_time_past(self._times[max(0, height + 1 - MEDIAN_TIME_SPAN) : height + 1])

    def _store(self, entry: BlockEntry, record: BlockRecord) -> None:
        """Store a block off the best chain, or a lone header."""
        keys, pipe = self._target.keys, self._target.client.pipeline(transaction=False)
        pipe.hset(keys.blocks, entry.hash, record.entry)
        if entry.status & BlockStatus.HAVE_DATA:
            pipe.set(keys.block(entry.hash), record.raw)
        if record.layout:
            pipe.set(keys.layout(entry.hash), record.layout)
            pipe.set(keys.undo(entry.hash), record.undo)
        pipe.execute()
        self._target.keep()


def _write_files(chain_dir: Path, archive: Archive) -> None:
    """Write the files; root gives them to the owner of the nearest directory above that exists."""
    found = [record for record in records(archive) if isinstance(record, FileRecord)]
    if not found:
        return
    existing = next(path for path in (chain_dir, *chain_dir.parents) if path.is_dir())
    owner = existing.stat().st_uid if os.geteuid() == 0 else None
    if existing != chain_dir:
        make_private_dir(chain_dir)
        if owner is not None:
            os.chown(chain_dir, owner, owner)
    for name, text in found:
        write_atomically(chain_dir / Path(name).name, text, owner)
