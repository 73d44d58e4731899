"""Reading and writing Bitcoin's binary format: little-endian integers, compact sizes, byte strings.

`Reader` checks every length before it reads and says what was being read, so a truncated or hostile message ends
in a `DecodeError`, never in an IndexError or a huge allocation. Each `read` has a `pack_` that mirrors it.
"""

from __future__ import annotations

from struct import Struct

from shared.errors import DecodeError

# Core's MAX_SIZE: no compact size of a message or a script is larger.
MAX_SIZE = 0x02000000

_U16 = Struct("<H")
_U32 = Struct("<I")
_U64 = Struct("<Q")
_I32 = Struct("<i")
_I64 = Struct("<q")

pack_u16 = _U16.pack
pack_u32 = _U32.pack
pack_u64 = _U64.pack
pack_i32 = _I32.pack
pack_i64 = _I64.pack

_SMALL_SIZES = tuple(bytes([size]) for size in range(253))


def pack_compact_size(size: int) -> bytes:
    """Return the shortest compact size: 1, 3, 5 or 9 bytes."""
    if size < 253:
        return _SMALL_SIZES[size]
    if size <= 0xFFFF:
        return b"\xfd" + _U16.pack(size)
    if size <= 0xFFFFFFFF:
        return b"\xfe" + _U32.pack(size)
    return b"\xff" + _U64.pack(size)


def pack_var_bytes(data: bytes) -> bytes:
    """Return `data` with its compact size before it."""
    return pack_compact_size(len(data)) + data


def compact_size_length(size: int) -> int:
    """Return how many bytes the compact size of `size` takes."""
    if size < 253:
        return 1
    if size <= 0xFFFF:
        return 3
    return 5 if size <= 0xFFFFFFFF else 9


class Reader:
    """Reads forward through bytes; every method takes `what` is being read, for the error message."""

    __slots__ = ("_end", "data", "position")

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position
        self._end = len(data)

    @property
    def remaining(self) -> int:
        """How many bytes are left."""
        return self._end - self.position

    def take(self, count: int, what: str) -> bytes:
        """Return the next `count` bytes."""
        start = self.position
        end = start + count
        if end > self._end:
            raise self._truncated(count, what)
        self.position = end
        return self.data[start:end]

    def _advance(self, count: int, what: str) -> int:
        start = self.position
        end = start + count
        if end > self._end:
            raise self._truncated(count, what)
        self.position = end
        return start

    def u8(self, what: str) -> int:
        """Return an unsigned byte."""
        return self.data[self._advance(1, what)]

    def u16(self, what: str) -> int:
        """Return an unsigned 16-bit integer, little-endian."""
        value: int = _U16.unpack_from(self.data, self._advance(2, what))[0]
        return value

    def u32(self, what: str) -> int:
        """Return an unsigned 32-bit integer, little-endian."""
        value: int = _U32.unpack_from(self.data, self._advance(4, what))[0]
        return value

    def u64(self, what: str) -> int:
        """Return an unsigned 64-bit integer, little-endian."""
        value: int = _U64.unpack_from(self.data, self._advance(8, what))[0]
        return value

    def i32(self, what: str) -> int:
        """Return a signed 32-bit integer, little-endian."""
        value: int = _I32.unpack_from(self.data, self._advance(4, what))[0]
        return value

    def i64(self, what: str) -> int:
        """Return a signed 64-bit integer, little-endian."""
        value: int = _I64.unpack_from(self.data, self._advance(8, what))[0]
        return value

    def compact_size(self, what: str, limit: int = MAX_SIZE) -> int:
        """Return a compact size (Core's ReadCompactSize); it must be the shortest form and at most `limit`."""
        size = self.data[self._advance(1, what)]
        if size >= 253:
            if size == 253:
                size, least = self.u16(what), 253
            elif size == 254:
                size, least = self.u32(what), 0x10000
            else:
                size, least = self.u64(what), 0x100000000
            if size < least:
                raise DecodeError(f"{what}: non-canonical compact size")
        if size > limit:
            raise DecodeError(f"{what}: size {size} is larger than {limit}")
        return size

    def count(self, what: str, least_size: int) -> int:
        """Return a compact size that counts items of at least `least_size` bytes, as many as can still follow."""
        count = self.compact_size(what)
        if count * least_size > self._end - self.position:
            raise DecodeError(f"{what}: {count} of them do not fit into the {self.remaining} bytes left")
        return count

    def var_bytes(self, what: str, limit: int = MAX_SIZE) -> bytes:
        """Return a byte string with its compact size before it."""
        start = self.position
        if start < self._end and (size := self.data[start]) < 253:  # nearly all are short
            start += 1
            if size > limit:
                raise DecodeError(f"{what}: size {size} is larger than {limit}")
        else:
            size = self.compact_size(what, limit)
            start = self.position
        end = start + size
        if end > self._end:
            self.position = start
            raise self._truncated(size, what)
        self.position = end
        return self.data[start:end]

    def finish(self, what: str) -> None:
        """Raise DecodeError if anything is left after `what`."""
        if self.position != self._end:
            raise DecodeError(f"{what}: {self.remaining} bytes too many at the end")

    def _truncated(self, count: int, what: str) -> DecodeError:
        return DecodeError(f"{what}: {count} bytes needed, {self.remaining} left")
