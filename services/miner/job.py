"""One template, as a miner works on it: a search space of its own, walked slice by slice. Pure.

The extranonce is `/name/`, a random number of this process, and a counter: no two miners search the same space, and
anyone can read in the coinbase who found a block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from shared.bus.events import BlockMined, BlockTemplate
from shared.consensus.pow import bits_to_target
from shared.crypto.hashes import sha256d
from shared.errors import DecodeError
from shared.primitives.block import BlockHeader
from shared.primitives.hexes import parse_display_hash, parse_hex
from shared.primitives.merkle import root_from_branch
from shared.primitives.serialize import pack_u32

NONCES = 1 << 32
COUNTER_SIZE = 4
SALT_SIZE = 4
_COUNTERS = 1 << (8 * COUNTER_SIZE)
_MAX_TIME = 0xFFFFFFFF

Search = Callable[[bytes, int, int, int], int | None]


def extranonce(size: int, name: str, salt: bytes, counter: int) -> bytes:
    """Return `size` bytes: `/name/`, as far as it fits, zeros, the salt and the counter.

    Raises `DecodeError` when not even salt and counter fit.
    """
    room = size - SALT_SIZE - COUNTER_SIZE
    if room < 0:
        raise DecodeError(f"an extranonce of {size} bytes is too small")
    shown = name.encode("ascii")[: max(room - 2, 0)]
    label = b"/" + shown + b"/" if shown else b""
    return label.ljust(room, b"\0") + salt[:SALT_SIZE] + counter.to_bytes(COUNTER_SIZE, "big")


@dataclass(frozen=True, slots=True)
class _Parts:
    prefix: bytes
    suffix: bytes
    branch: tuple[bytes, ...]
    prev_hash: bytes


class Job:
    """The search for one template's solution."""

    def __init__(self, template: BlockTemplate, name: str, salt: bytes) -> None:
        self.template = template
        self._name = name
        self._salt = salt
        self._parts = _Parts(
            parse_hex(template.coinbase_prefix, "coinbase_prefix"),
            parse_hex(template.coinbase_suffix, "coinbase_suffix"),
            tuple(parse_hex(node, "merkle_branch") for node in template.merkle_branch),
            parse_display_hash(template.previous_hash),
        )
        self._target = bits_to_target(template.bits)
        self._counter = -1
        self._nonce = 0
        self._time = max(template.time, template.min_time)
        self._next_space()

    def advance(self, search: Search, count: int, now: int) -> BlockMined | None:
        """Try up to `count` nonces and return the solution if one is among them.

        When the nonces are used up, the extranonce moves on, and the block's time with the clock (`now`, in seconds),
        never backwards.
        """
        count = min(count, NONCES - self._nonce)
        found = search(self._header_base, self._target, self._nonce, count)
        if found is not None:
            self._nonce = found + 1
            return BlockMined(
                template_id=self.template.id,
                header=(self._header_base + pack_u32(found)).hex(),
                coinbase=self._coinbase.hex(),
                miner=self._name,
            )
        self._nonce += count
        if self._nonce >= NONCES:
            self._time = min(max(self._time, now), _MAX_TIME)
            self._next_space()
        return None

    def _next_space(self) -> None:
        """Move to the next extranonce."""
        self._counter = (self._counter + 1) % _COUNTERS
        parts = self._parts
        filled = extranonce(self.template.extranonce_size, self._name, self._salt, self._counter)
        self._coinbase = parts.prefix + filled + parts.suffix
        root = root_from_branch(sha256d(self._coinbase), parts.branch, 0)
        header = BlockHeader(self.template.version, parts.prev_hash, root, self._time, self.template.bits, 0)
        self._header_base = header.serialize()[:-4]
        self._nonce = 0
