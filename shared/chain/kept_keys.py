"""The keys of a chain that a backup keeps: all that cannot be made again from the chain's blocks.

They are read as plain values of Redis' types, at one moment, so that they go into a server of any kind and version.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from shared.chain.lua import source
from shared.chain.redis_keys import Keys
from shared.chain.store import StoreClient

KEPT = (
    "block_fees",
    "pool:txs",
    "pool:entries",
    "pool:order",
    "pool:spends",
    "pool:scripts",
    "pool:stats",
    "pool:history",
    "replaced",
    "replaces",
    "replacements",
    "prioritised",
    "clock",
    "mode",
    "jobs",
    "events",
    "relayed",
    "wallet:*",
)
"""Ends of names, or their beginnings before `*`: one pattern alone, because each takes a walk through all names."""
REBUILT = (
    "tip",
    "heights",
    "blocks",
    "block:*",
    "undo:*",
    "layout:*",
    "txs",
    "scripts",
    "script_records",
    "script:*",
)
"""Follow from the blocks and the block index, which a backup has as well."""
OF_A_PROCESS = ("writer", "writer:epoch")
"""The lease, and the fencing token, which only ever grows."""

PART = 2_000
"""Members of a key that are written at once, and that a backup has in one record."""


@dataclass(frozen=True, slots=True)
class KeyPart:
    """A key, or some members of a large one."""

    name: str
    """The end of the key's name, after the chain's prefix."""
    kind: str
    """Redis' type: `string`, `list`, `set`, `hash`, `zset` or `stream`."""
    expires: int
    """Milliseconds since 1970; -1 for a key that stays."""
    members: Sequence[Any]
    """As `lua/kept_keys.lua` returns them."""


def read_kept(client: StoreClient, keys: Keys) -> tuple[dict[bytes, bytes], dict[bytes, bytes], dict[str, KeyPart]]:
    """Return the tip's fields, the block index, and the kept keys by the ends of their names, all of one moment."""
    script: Any = client.register_script(source("kept_keys"))
    pipe: Any = client.pipeline()
    pipe.hgetall(keys.tip)
    pipe.hgetall(keys.blocks)
    script(keys=[keys.tip], args=KEPT, client=pipe)
    tip, blocks, found = pipe.execute()
    parts = [KeyPart(name.decode(), kind.decode(), expires, members) for name, kind, expires, members in found]
    return tip, blocks, {part.name: part for part in parts}


def split(key: KeyPart) -> Iterator[KeyPart]:
    """Yield a key in parts of bounded size, in order."""
    step = PART * (2 if key.kind in ("hash", "zset") else 1)
    for first in range(0, len(key.members), step):
        yield KeyPart(key.name, key.kind, key.expires, key.members[first : first + step])


def write_part(pipe: Any, keys: Keys, part: KeyPart) -> None:
    """Add the commands to a pipeline that write a part of a key after the parts before it."""
    key, members = keys.prefix + part.name, part.members
    match part.kind:
        case "string":
            pipe.set(key, members[0])
        case "list":
            pipe.rpush(key, *members)
        case "set":
            pipe.sadd(key, *members)
        case "hash":
            pipe.execute_command("HSET", key, *members)
        case "zset":
            scored = zip(members[1::2], members[::2], strict=True)
            pipe.execute_command("ZADD", key, *(item for pair in scored for item in pair))
        case "stream":
            for entry_id, fields in members:
                pipe.execute_command("XADD", key, entry_id, *fields)
        case kind:
            raise ValueError(f"a key of type {kind}")
    if part.expires >= 0:
        pipe.pexpireat(key, part.expires)
