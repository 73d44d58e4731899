"""The records of a backup, in their order in the file; each is a list whose first item is its kind.

header   what the backup is of, as a map: see `Header`
block    index entry, raw block, undo data, layout: the best chain's blocks from the genesis block on, and then all
         others; empty where there is none. Undo data and layout of the best chain's blocks are made again
key      name, type, time at which it expires, members: see `shared/chain/kept_keys.py`
file     name, text: a file of the data directory that belongs to the wallets
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from deploy.backup.archive import Archive
from deploy.errors import LaunchError
from shared.chain.kept_keys import KeyPart


class Header(msgspec.Struct, frozen=True):
    """The first record: the chain and its state."""

    warren: str
    """Version of Warren that wrote the backup."""
    stored: int
    """Format of the values in Redis: `shared.chain.codec.FORMAT`."""
    chain: str
    genesis: bytes
    tip: bytes
    height: int
    seq: int
    moves: int
    time: int
    """Seconds since 1970 at the moment of the backup."""
    blocks: int
    """All blocks and headers that are known."""
    pool: int
    wallets: int


class BlockRecord(NamedTuple):
    """A block, or a header whose block never came."""

    entry: bytes
    raw: bytes
    undo: bytes = b""
    layout: bytes = b""


class FileRecord(NamedTuple):
    """A small text file."""

    name: str
    text: str


Record = Header | BlockRecord | KeyPart | FileRecord


def encode(record: Record) -> list[Any]:
    """Return a record as the archive has it."""
    match record:
        case Header():
            return ["header", msgspec.to_builtins(record, builtin_types=(bytes,))]
        case BlockRecord():
            return ["block", *record]
        case KeyPart():
            return ["key", record.name, record.kind, record.expires, record.members]
        case FileRecord():
            return ["file", *record]


def header_of(archive: Archive) -> Header:
    """Return the first record."""
    found = next(records(archive))
    if not isinstance(found, Header):
        raise LaunchError("this backup has no header")
    return found


def records(archive: Archive) -> Iterator[Record]:
    """Yield the records; `LaunchError` for one of no known kind."""
    for kind, *content in archive:
        match kind:
            case "header":
                yield msgspec.convert(content[0], Header, builtin_types=(bytes,))
            case "block":
                yield BlockRecord(*content)
            case "key":
                yield KeyPart(*content)
            case "file":
                yield FileRecord(*content)
            case _:
                raise LaunchError(f"this backup has a record of an unknown kind, {kind!r}")
