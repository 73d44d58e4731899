"""What all parts of `ChainView` share: the tip, the best chain's hashes, and reading more than once from one state."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import redis

from shared.chain import codec
from shared.chain.codec import BlockEntry
from shared.chain.records import Tip
from shared.chain.redis_keys import Keys
from shared.chain.store import store_errors
from shared.crypto.hashes import sha256
from shared.errors import NoChain, StoreUnavailable, UnsafeStore

T = TypeVar("T")

_TRIES = 20
_TIP_FIELDS = ("hash", "height", "work", "seq", "moves", "format")


class Moved(StoreUnavailable):
    """What was just listed is no longer there: to be read again, as `BaseView.consistent` does."""

    def __init__(self) -> None:
        super().__init__("the chain has moved")


def script_hash(script_pubkey: bytes) -> bytes:
    """Return SHA-256 of a scriptPubKey, the key of its index."""
    return sha256(script_pubkey)


class BaseView:
    """Reads one chain of one Redis server."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._redis: Any = client
        self._keys = keys
        self._thread = threading.local()

    def has_chain(self) -> bool:
        """Whether there is a chain: the writer's first act is to commit the genesis block."""
        with store_errors():
            return bool(self._redis.exists(self._keys.heights))

    def tip(self) -> Tip:
        """Return the tip; `UnsafeStore` if all this was written in another format."""
        with store_errors():
            block_hash, height, work, seq, moves, stored = self._redis.hmget(self._keys.tip, _TIP_FIELDS)
        if block_hash is None:
            raise NoChain("there is no chain here yet")
        if int(stored or 1) != codec.FORMAT:
            raise UnsafeStore(
                f"this chain is stored in format {int(stored or 1)}, and this version of Warren reads format "
                f"{codec.FORMAT}: begin anew in an empty data directory, or run the version that wrote it"
            )
        return Tip(block_hash, int(height), int.from_bytes(work, "big"), int(seq), int(moves))

    def consistent(self, read: Callable[[], T]) -> T:
        """Run several reads and return their result once the tip stayed in place, and nothing they looked for was gone.

        What enters the pool meanwhile does no harm, so that no stream of transactions keeps anyone from reading: a list
        of txids is read at once, and what a txid stands for never changes.
        """
        return self.at_tip(lambda _: read())

    def at_tip(self, read: Callable[[Tip], T]) -> T:
        """Do the same with the tip that it is read at; within another such read that is the outer one's."""
        outer: Tip | None = getattr(self._thread, "tip", None)
        if outer is not None:
            return self._settled(lambda: read(outer))

        def read_at_rest() -> T:
            tip = self._thread.tip = self.tip()
            try:
                result = read(tip)
            finally:
                self._thread.tip = None
            if self.tip().moves != tip.moves:
                raise Moved
            return result

        return self._settled(read_at_rest)

    def _settled(self, read: Callable[[], T]) -> T:
        for _ in range(_TRIES):
            try:
                return read()
            except Moved:
                continue
        raise StoreUnavailable("the chain moves faster than it can be read")

    def block_hash(self, height: int) -> bytes | None:
        """Return the hash of the best chain's block at this height."""
        hashes = self.block_hashes(height, 1)
        return hashes[0] if hashes else None

    def block_hashes(self, start: int, count: int) -> list[bytes]:
        """Return up to `count` hashes of the best chain from height `start` upwards."""
        if start < 0 or count <= 0:
            return []
        with store_errors():
            data = self._redis.getrange(self._keys.heights, start * 32, (start + count) * 32 - 1)
        return [data[i : i + 32] for i in range(0, len(data), 32)]

    def block_hashes_at(self, heights: Sequence[int]) -> list[bytes]:
        """Return the best chain's hash at each of these heights, which it must have."""
        with store_errors():
            pipe = self._redis.pipeline(transaction=False)
            for height in heights:
                pipe.getrange(self._keys.heights, height * 32, height * 32 + 31)
            hashes: list[bytes] = pipe.execute()
        if not all(hashes):
            raise Moved
        return hashes

    def is_in_best_chain(self, entry: BlockEntry) -> bool:
        """Whether this block is on the best chain."""
        return self.block_hash(entry.height) == entry.hash

    def _newest(self, key: str, limit: int | None) -> list[bytes]:
        with store_errors():
            txids: list[bytes] = self._redis.zrevrange(key, 0, -1 if limit is None else limit - 1)
        return txids

    def _many(self, key: str, fields: Sequence[bytes], decode: Callable[[bytes], T]) -> list[T | None]:
        if not fields:
            return []
        with store_errors():
            values = self._redis.hmget(key, fields)
        return [None if value is None else decode(value) for value in values]

    def _strings(self, keys: Sequence[str], decode: Callable[[bytes], T]) -> list[T | None]:
        if not keys:
            return []
        with store_errors():
            values = self._redis.mget(keys)
        return [None if value is None else decode(value) for value in values]
