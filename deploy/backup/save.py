"""Writes a backup of a chain that may be at work: all of it as it was at one moment.

Everything that changes is read in one script: the tip, the block index, pool, events and wallets. Raw blocks never
change and are never removed, so they are read after that moment, in chunks, and nobody waits for it. All that follows
from the blocks (coins, indexes of transactions and scripts, undo data) is left out and made again by `restore`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from deploy.backup.archive import ArchiveWriter
from deploy.backup.records import BlockRecord, FileRecord, Header, encode
from deploy.errors import LaunchError
from shared.chain import codec
from shared.chain.codec import BlockEntry, BlockStatus
from shared.chain.kept_keys import KeyPart, read_kept, split
from shared.chain.redis_keys import Keys
from shared.chain.store import StoreClient
from shared.chain.view import ChainView
from shared.consensus.params import ChainParams
from shared.version import VERSION

CHUNK = 200
"""Number of blocks to read at once."""
FILES = ("creator-password",)
"""Files of a chain's directory that the wallets cannot do without."""


def save(client: StoreClient, params: ChainParams, chain_dir: Path, archive: ArchiveWriter) -> Header:
    """Write all records; `LaunchError` if there is no chain, `UnsafeStore` if it is in another format."""
    keys = Keys(params.name)
    view = ChainView(client, keys)
    view.tip()
    tip, index, kept = read_kept(client, keys)
    best, others = _order(map(codec.decode_block_entry, index.values()), tip[b"hash"])
    if best[0].hash != params.genesis.hash:
        raise LaunchError(f"this Redis holds another chain by the name of {params.name}")
    header = Header(
        warren=VERSION,
        stored=codec.FORMAT,
        chain=params.name,
        genesis=params.genesis.hash,
        tip=tip[b"hash"],
        height=best[-1].height,
        seq=int(tip[b"seq"]),
        moves=int(tip[b"moves"]),
        time=int(time.time()),
        blocks=len(index),
        pool=_count(kept.get("pool:txs")),
        wallets=_count(kept.get("wallet:ids")),
    )
    archive.add(encode(header))
    for record in _block_records(client, keys, best, on_best_chain=True):
        archive.add(encode(record))
    for record in _block_records(client, keys, others, on_best_chain=False):
        archive.add(encode(record))
    for key in kept.values():
        for part in split(key):
            archive.add(encode(part))
    for name in FILES:
        if (chain_dir / name).is_file():
            archive.add(encode(FileRecord(name, (chain_dir / name).read_text(encoding="utf-8"))))
    return header


def _order(entries: Iterable[BlockEntry], tip: bytes) -> tuple[list[BlockEntry], list[BlockEntry]]:
    """Return the best chain from the genesis block on, and all other entries."""
    others = {entry.hash: entry for entry in entries}
    best = []
    entry = others.pop(tip, None)
    while entry is not None:
        best.append(entry)
        entry = others.pop(entry.header.prev_hash, None)
    return best[::-1], sorted(others.values(), key=lambda other: other.height)


def _block_records(
    client: StoreClient, keys: Keys, entries: Sequence[BlockEntry], *, on_best_chain: bool
) -> Iterator[BlockRecord]:
    """Yield the records of these blocks; those off the best chain with undo data and layout, if ever connected."""
    names = (keys.block,) if on_best_chain else (keys.block, keys.undo, keys.layout)
    for first in range(0, len(entries), CHUNK):
        chunk = entries[first : first + CHUNK]
        found: Any = client.mget([name(entry.hash) for entry in chunk for name in names])
        for number, entry in enumerate(chunk):
            values = [value or b"" for value in found[number * len(names) :][: len(names)]]
            if entry.status & BlockStatus.HAVE_DATA and not values[0]:
                raise LaunchError(f"block {entry.header.hash_hex} is not stored, though the index says so")
            yield BlockRecord(codec.encode_block_entry(entry), *values)


def _count(key: KeyPart | None) -> int:
    """Return the number of members of a hash or sorted set."""
    return len(key.members) // 2 if key else 0
