"""The common base of all parts of `ChainView`: the client, the tip, and several reads from one state of the chain."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from shared.chain import codec
from shared.chain.records import Tip
from shared.chain.redis_keys import Keys
from shared.chain.store import StoreClient
from shared.errors import NoChain, StoreUnavailable, UnsafeStore

T = TypeVar("T")

_TRIES = 20
TIP_FIELDS = ("hash", "height", "work", "seq", "moves", "format")
"""The fields of the key `tip` of which `decode_tip` makes a tip."""


class Moved(StoreUnavailable):
    """A record that was just listed is gone: `ChainView.at_tip` reads again."""

    def __init__(self) -> None:
        super().__init__("the chain has moved")


class StoreReader:
    """Reads one chain of one Redis server. Every method except `at_tip` is one round trip, or rarely two."""

    def __init__(self, client: StoreClient, keys: Keys) -> None:
        self.redis: Any = client
        self.keys = keys
        self._thread = threading.local()

    def tip(self) -> Tip:
        """Return the tip; `NoChain` before the first block, `UnsafeStore` for a chain stored in another format."""
        return decode_tip(self.redis.hmget(self.keys.tip, TIP_FIELDS))

    def at_tip(self, read: Callable[[Tip], T]) -> T:
        """Call `read` with the tip and return its result; see `ChainView.at_tip`."""
        outer: Tip | None = getattr(self._thread, "tip", None)
        if outer is not None:
            return settled(lambda: read(outer))

        def read_at_rest() -> T:
            tip = self._thread.tip = self.tip()
            try:
                result = read(tip)
            finally:
                self._thread.tip = None
            if self.tip().moves != tip.moves:
                raise Moved
            return result

        return settled(read_at_rest)

    def at_once(self, queue: Callable[[Any], object]) -> list[Any]:
        """Return the replies to the reads that `queue` puts into a pipeline, all of one state of chain and pool.

        It is one round trip unless a commit came between the reads: `seq` before and after them tells. A transaction
        alone would be simpler, but a full server refuses to queue even reads in one.
        """
        pipe = self.redis.pipeline(transaction=False)
        pipe.hget(self.keys.tip, "seq")
        queue(pipe)
        pipe.hget(self.keys.tip, "seq")
        replies: list[Any]
        before, *replies, after = pipe.execute()
        if before != after:
            pipe = self.redis.pipeline()
            queue(pipe)
            replies = pipe.execute()
        return replies

    def fields(self, key: str, names: Sequence[bytes], decode: Callable[[bytes], T]) -> list[T | None]:
        """Return the decoded value of each field of a hash, None for a missing field."""
        if not names:
            return []
        return [None if value is None else decode(value) for value in self.redis.hmget(key, names)]

    def strings(self, keys: Sequence[str], decode: Callable[[bytes], T]) -> list[T | None]:
        """Return the decoded value of each key, None for a missing key."""
        if not keys:
            return []
        return [None if value is None else decode(value) for value in self.redis.mget(keys)]


def decode_tip(values: Sequence[bytes | None]) -> Tip:
    """Return the tip of the values of `TIP_FIELDS`; see `StoreReader.tip`."""
    block_hash, height, work, seq, moves, stored = values
    if block_hash is None or height is None or work is None or seq is None or moves is None:
        raise NoChain("there is no chain here yet")
    if stored is not None and int(stored) == codec.RESTORING:
        raise UnsafeStore("this chain is not whole: a restore is at work or was interrupted; run it again")
    if int(stored or 1) != codec.FORMAT:
        raise UnsafeStore(
            f"this chain is stored in format {int(stored or 1)}, and this version of Warren reads format "
            f"{codec.FORMAT}: begin anew in an empty data directory, or run the version that wrote it"
        )
    return Tip(block_hash, int(height), int.from_bytes(work, "big"), int(seq), int(moves))


def settled(read: Callable[[], T]) -> T:
    """Return the result of `read`; call it again while it raises `Moved`."""
    for _ in range(_TRIES):
        try:
            return read()
        except Moved:
            continue
    raise StoreUnavailable("the chain moves faster than it can be read")
